"""Search connect four beside mctx, with the same network and the same noise."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search import (
    NetworkEvaluator,
    PuctConfig,
    SearchConfig,
    SearchResult,
    TurnModel,
    flat_spec,
    search,
)
from simrl.search.noise import gumbel_noise

jax = pytest.importorskip("jax")
mctx = pytest.importorskip("mctx")

POSITIONS, SIMULATIONS = 64, 64
LOWEST = float(np.finfo(np.float32).min)


def mid_game(count: int) -> torch.Tensor:
    """Return positions of games that were played at random for 0 to 24 plies."""
    env, rng = make_env("connect-four", count), torch_generator(5, "positions")
    obs = env.reset(0)
    kept = env.snapshot()
    for ply in range(24):
        scores = torch.rand(obs["action_mask"].shape, generator=rng) * obs["action_mask"]
        step = env.step(scores.argmax(-1, keepdim=True))
        obs = step.obs
        longer = torch.arange(count) * 24 // count > ply
        kept[longer] = env.snapshot()[longer]
    return kept


class Game:
    """Step and judge for mctx; an ended position stays as it is."""

    def __init__(self) -> None:
        env, plugin = make_env("connect-four", 1), env_plugin("connect-four")
        assert plugin.dynamics is not None
        dynamics = plugin.dynamics(plugin.config())
        with torch.random.fork_rng():
            torch.manual_seed(7)
            config = ActorCriticConfig(hidden=(64, 64), policy_gain=2.0)
            net = ActorCritic(flat_spec(env.spec), config)
        self.model = TurnModel(dynamics, env.spec)
        self.evaluator = NetworkEvaluator(net, dynamics, env.spec)
        self.rng = torch_generator(0, "unused")

    def judge(self, state: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        judged = self.evaluator(state, self.rng)
        return judged.logits.clamp_min(LOWEST).numpy(), judged.value.numpy()

    def step(self, state: Any, action: Any) -> tuple[np.ndarray, ...]:
        before = torch.from_numpy(np.array(state))
        _, legal = self.model.view.look(before)
        going = legal.any(-1)
        after, reward, discount = before.clone(), torch.zeros(len(before)), torch.zeros(len(before))
        if bool(going.any()):
            chosen = torch.from_numpy(np.array(action)).long()[going, None]
            step = self.model.step(before[going], chosen, self.rng)
            after[going], reward[going], discount[going] = step.state, step.reward, step.discount
        logits, value = self.judge(after)
        over = ~self.model.view.look(after)[1].any(-1).numpy()
        logits[over], value[over] = 0.0, 0.0
        return after.numpy(), reward.numpy(), discount.numpy(), logits, value


def run_mctx(game: Game, state: torch.Tensor, run: Callable[..., Any]) -> Any:
    """Run a search of mctx whose network and game are ours, called back from jax."""
    from jax import ShapeDtypeStruct as Shape

    rows, size = state.shape
    shapes = (
        Shape((rows, size), np.uint8),
        Shape((rows,), np.float32),
        Shape((rows,), np.float32),
        Shape((rows, 7), np.float32),
        Shape((rows,), np.float32),
    )

    def recurrent(params: Any, key: Any, action: Any, embedding: Any) -> tuple[Any, Any]:
        result = jax.pure_callback(game.step, shapes, embedding, action)
        after, reward, discount, logits, value = result
        output = mctx.RecurrentFnOutput(
            reward=reward, discount=discount, prior_logits=logits, value=value
        )
        return output, after

    logits, value = game.judge(state)
    root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=state.numpy())
    invalid = ~game.model.view.look(state)[1].numpy()
    return run(
        params=(),
        rng_key=jax.random.PRNGKey(0),
        root=root,
        recurrent_fn=recurrent,
        num_simulations=SIMULATIONS,
        invalid_actions=invalid.astype(np.float32),
    )


def compare(result: SearchResult, output: Any) -> None:
    """Compare visits, chosen slots and values of all positions."""
    summary = output.search_tree.summary()
    np.testing.assert_array_equal(result.visits.numpy(), np.asarray(summary.visit_counts))
    np.testing.assert_allclose(result.value.numpy(), np.asarray(summary.value), atol=1e-5)


@cache
def mctx_gumbel() -> Any:
    """Search with our Gumbel noise instead of jax's."""
    noise = gumbel_noise((POSITIONS, 7), 1.0, torch_generator(1, "search")).numpy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.random, "gumbel", lambda key, shape, dtype: noise)
        return run_mctx(Game(), mid_game(POSITIONS), mctx.gumbel_muzero_policy)


@cache
def mctx_puct() -> Any:
    """Search without mctx's random tie-breaks of 1e-7, so that it takes the first of equals."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.random, "uniform", lambda key, shape: np.zeros(shape, np.float32))
        policy = partial(mctx.muzero_policy, dirichlet_fraction=0.0)
        return run_mctx(Game(), mid_game(POSITIONS), policy)


@pytest.mark.parametrize("compiled", [True, False])
def test_gumbel(compiled: bool) -> None:
    result, output = ours(compiled, SearchConfig(simulations=SIMULATIONS)), mctx_gumbel()
    compare(result, output)
    np.testing.assert_array_equal(result.slot.numpy(), np.asarray(output.action))
    weights = np.asarray(output.action_weights)
    np.testing.assert_allclose(result.policy.numpy(), weights, atol=1e-4)


@pytest.mark.parametrize("compiled", [True, False])
def test_puct(compiled: bool) -> None:
    quiet = PuctConfig(dirichlet_fraction=0.0)
    config = SearchConfig(simulations=SIMULATIONS, rule="puct", puct=quiet)
    result, output = ours(compiled, config), mctx_puct()
    compare(result, output)
    np.testing.assert_allclose(result.policy.numpy(), np.asarray(output.action_weights), atol=1e-6)


def ours(compiled: bool, config: SearchConfig) -> SearchResult:
    """Search in kernels alone, or with a call of the model for each simulation."""
    game, state = Game(), mid_game(POSITIONS)
    model = game.model if compiled else Plain(game.model)
    return search(model, game.evaluator, state, config, torch_generator(1, "search"))


class Plain:
    """Hide that a model has compiled rules, so that it is called once a simulation."""

    def __init__(self, model: TurnModel) -> None:
        self.step = model.step
