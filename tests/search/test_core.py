"""Check the search itself: budgets, equal results on every path, depth, parallel leaves."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search import (
    Evaluation,
    GumbelConfig,
    NetworkEvaluator,
    PuctConfig,
    SearchConfig,
    SearchResult,
    Transition,
    UctConfig,
    UniformEvaluator,
    flat_spec,
    search,
)
from simrl.search.kernels import batch, summary
from simrl.search.kernels.turn_rounds import collect_turns
from simrl.search.kernels.turn_whole import search_turns

RULES = ["gumbel", "puct", "uct"]
SLOTS = 3  # of the numbered game
QUIET = PuctConfig(dirichlet_fraction=0.0, temperature=0.0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("extra", [{}, {"max_depth": 2}])
def test_torch_equals_kernels(kit: Any, rule: str, extra: dict[str, Any]) -> None:
    config = SearchConfig(simulations=80, rule=rule, **extra)  # type: ignore[arg-type]
    game = kit.Numbered()
    both = [kit.run(game, replace(config, backend=name), 5) for name in ("kernels", "torch")]
    kit.expect_same(*both, tolerance=1e-5)
    assert torch.equal(both[0].tree.count, both[1].tree.count)


@pytest.mark.parametrize("rule", RULES)
def test_compiled_game_equals_model_calls(kit: Any, rule: str) -> None:
    model, evaluator, state = kit.connect_four()
    config = SearchConfig(simulations=60, rule=rule)  # type: ignore[arg-type]

    def on(used: Any, judge: Any, **options: Any) -> SearchResult:
        rng = torch_generator(0, "search")
        return search(used, judge, state, replace(config, **options), rng)

    whole = on(model, evaluator)
    kit.expect_same(whole, on(kit.Hidden(model), evaluator))
    judge = kit.Numbered()  # any other class: rounds of one network call, rules compiled
    judge.num_slots, judge.__class__ = 7, type("Judge", (), {"__call__": evaluator.__call__})
    judge.__dict__.update(view=evaluator.view, sees_policy_alone=True, judge=evaluator.judge)
    kit.expect_same(whole, on(model, judge))


@pytest.mark.parametrize("rule", RULES)
def test_same_seed_same_bits_and_rows_stand_alone(kit: Any, rule: str) -> None:
    model, evaluator, state = kit.connect_four()
    config = SearchConfig(simulations=300, rule=rule)  # type: ignore[arg-type]
    one, two = (
        search(model, evaluator, state, config, torch_generator(4, "search")) for _ in range(2)
    )
    kit.expect_same(one, two)
    quiet = replace(
        config,
        puct=QUIET,
        gumbel=GumbelConfig(scale=0.0),
        uct=UctConfig(shuffle=False),
    )
    together = search(model, evaluator, state, quiet, torch_generator(0, "search"))
    alone = search(model, evaluator, state[5:6], quiet, torch_generator(0, "search"))
    assert torch.equal(alone.visits[0], together.visits[5])
    assert torch.equal(alone.value[0], together.value[5])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("leaves", [1, 4])
def test_visits_add_up(kit: Any, rule: str, leaves: int) -> None:
    game = kit.Numbered()
    config = SearchConfig(simulations=70, rule=rule, parallel_leaves=leaves)  # type: ignore[arg-type]
    result = kit.run(game, config)
    assert result.visits.sum(-1).tolist() == [70, 70]
    for row in range(2):
        tree, count = result.tree, int(result.tree.count[row])
        is_open = tree.status[row, :count] == 0
        below = tree.visits[row, :count].sum(-1)
        assert torch.equal(tree.node_visits[row, :count][is_open], 1 + below[is_open].int())
        assert not tree.edges[row, :count, 6].any()  # nothing waits


@pytest.mark.parametrize("compiled", [True, False])
def test_parallel_leaves_are_judged_together(kit: Any, compiled: bool) -> None:
    model, evaluator, state = kit.connect_four()
    calls: list[int] = []

    class Counting:
        num_slots = 7

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            calls.append(len(state))
            return evaluator(state, rng)

    used: Any = model if compiled else kit.Hidden(model)
    rounds = {}
    for leaves in (1, 8):
        calls.clear()
        config = SearchConfig(simulations=64, rule="puct", parallel_leaves=leaves)
        result = search(used, Counting(), state[:2], config, torch_generator(0, "search"))
        assert result.visits.sum(-1).tolist() == [64, 64]
        assert max(calls) <= 2 * leaves
        rounds[leaves] = len(calls)
    assert rounds[1] == 65
    assert rounds[8] < 22  # leaves that would meet wait for the next round


def test_depth_limit(kit: Any) -> None:
    game = kit.Numbered()
    result = kit.run(game, SearchConfig(simulations=100, rule="uct", max_depth=2))
    tree = result.tree
    assert tree.count.tolist() == [1 + SLOTS + SLOTS**2] * 2
    below = tree.child[0, tree.child[0, 0].long()].flatten().long()
    assert (tree.child[0, below] == -1).all()
    assert tree.node_visits[0, below].sum() == 100 - SLOTS  # judged again and again
    expected = game.value[tree.positions[0, below].view(torch.int64)[:, 0]]
    torch.testing.assert_close(tree.value[0, below], expected)


def test_time_budget_ends_a_search(kit: Any) -> None:
    config = SearchConfig(simulations=500_000, seconds=0.2, rule="puct")
    result = kit.run(kit.Numbered(), config)
    assert 0 < result.simulations < 500_000
    assert result.visits.sum(-1).tolist() == [result.simulations] * 2


def test_other_sizes_need_no_other_machine_code(kit: Any) -> None:
    for rows, simulations in ((1, 3), (4, 20)):
        kit.run(kit.Numbered(), SearchConfig(simulations=simulations), rows)
        model, evaluator, state = kit.connect_four()
        judge = UniformEvaluator(evaluator.view.dynamics, model.spec)
        for used in (evaluator, judge):
            rng = torch_generator(0, "search")
            search(model, used, state[:rows], SearchConfig(simulations=simulations), rng)
    kernels = (batch.plant, batch.collect, batch.keep_positions, batch.finish, summary.summarise)
    assert [len(kernel.signatures) for kernel in kernels] == [1] * len(kernels)
    assert [len(kernel.signatures) for kernel in (search_turns, collect_turns)] == [1, 1]


def test_slots_may_stand_for_any_actions(kit: Any) -> None:
    class Vectors(kit.Numbered):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            self.seen.append(action.clone())
            return super().step(state, (action[:, :1] * 10).round().long() % SLOTS, rng)

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            judged = super().__call__(state, rng)
            node = state.view(torch.int64)[:, 0]
            actions = torch.stack([torch.arange(SLOTS) / 10.0] * 2, -1) + 3.0 * node[:, None, None]
            return replace(judged, actions=actions)

    for backend in ("kernels", "torch"):
        game = Vectors()
        config = SearchConfig(simulations=20, rule="puct", puct=QUIET, backend=backend)  # type: ignore[arg-type]
        result = kit.run(game, config)
        plain = kit.run(kit.Numbered(), replace(config, backend="kernels"))
        assert torch.equal(result.visits, plain.visits)
        assert torch.equal(result.action[:, 0], result.slot / 10.0 + 3.0 * torch.arange(2))
        assert all(action.shape[1] == 2 for action in game.seen)


def test_nets_of_all_shapes_run_in_kernels() -> None:
    env, plugin = make_env("connect-four", 4), env_plugin("connect-four")
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    obs = torch.rand(9, 85)
    legal = torch.rand(9, 7) < 0.7
    kinds = itertools.product(("relu", "leaky_relu", "tanh"), ("shared", "separate"), (True, False))
    for activation, critic, normalise in kinds:
        config = ActorCriticConfig(
            hidden=(24, 40),
            activation=activation,  # type: ignore[arg-type]
            critic=critic,  # type: ignore[arg-type]
            normalise_obs=normalise,
            policy_gain=1.0,
        )
        net = ActorCritic(flat_spec(env.spec), config)
        net.update_normaliser({"policy": torch.rand(50, 85) * 3})
        net.update_value_scale(torch.randn(100, 1) * 5 + 2)
        evaluator = NetworkEvaluator(net, dynamics, env.spec)  # type: ignore[arg-type]
        assert evaluator.kernel_net is not None
        judged = evaluator.judge(obs, legal)
        dist, value, _ = net.act_step({"policy": obs}, {})
        expected = dist.logits[:, :7].masked_fill(~legal, -torch.inf)  # type: ignore[union-attr]
        torch.testing.assert_close(judged.logits, expected.detach(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(judged.value, value[:, 0].detach(), atol=1e-4, rtol=1e-4)
