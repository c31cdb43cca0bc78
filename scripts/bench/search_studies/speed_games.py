"""Games for measuring the speed of searches: connect four on both sides, and a large state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
import torch
from numba import njit
from torch import Tensor

from simrl.core.actions import DiscreteActions, Head
from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs
from simrl.core.turn_rules import LEGAL, MOVER, OBSERVE, PLAY, TurnRules
from simrl.nn.actor_critic import ActorCritic
from simrl.search import TurnModel

HEIGHT, WIDTH, CELLS = 6, 7, 42
PLIES = 20
LARGE = 1024


def uniform_game() -> tuple[Any, EnvSpec]:
    """Return dynamics and spec of connect four."""
    plugin = env_plugin("connect-four")
    assert plugin.dynamics is not None
    return plugin.dynamics(plugin.config()), make_env("connect-four", 1).spec


@overload
def positions(model: TurnModel, count: int, *, keep_moves: Literal[False] = False) -> Tensor: ...
@overload
def positions(
    model: TurnModel, count: int, *, keep_moves: Literal[True]
) -> tuple[Tensor, list[list[int]]]: ...
def positions(model: TurnModel, count: int, *, keep_moves: bool = False) -> Any:
    """Return unfinished positions after 0 to `PLIES` random plies, and if wanted their moves."""
    start = make_env("connect-four", 1).reset(0)["state"].clone()
    rng, found, moves = torch_generator(0, "positions"), [], []
    while len(found) < count:
        state, played = start, []
        for _ in range(len(found) % (PLIES + 1)):
            legal = model.view.look(state)[1]
            move = int((torch.rand(legal.shape, generator=rng) * legal).argmax())
            step = model.step(state, torch.tensor([[move]]), rng)
            state, over = step.state, bool(step.discount == 0)
            played.append(move)
            if over:
                break
        if bool(model.view.look(state)[1].any()):
            found.append(state)
            moves.append(played)
    states = torch.cat(found)
    return (states, moves) if keep_moves else states


def mctx_search(
    net: ActorCritic, seen: tuple[Tensor, Tensor], rule: str, simulations: int
) -> Callable[[], object]:
    """Return a compiled search of mctx over the positions `seen` (observations, legal slots)."""
    import jax
    import jax.numpy as jnp
    import mctx

    policy = {"gumbel": mctx.gumbel_muzero_policy, "puct": mctx.muzero_policy}[rule]
    params = {name: jnp.asarray(value) for name, value in _weights(net).items()}
    stones = jnp.asarray(seen[0][:, : 2 * CELLS].numpy())
    invalid = jnp.asarray(~seen[1].numpy())

    def recurrent(params: Any, key: Any, action: Any, stones: Any) -> tuple[Any, Any]:
        after, won, full = _play(stones, action)
        logits, value, _ = _judge(params, after)
        output = mctx.RecurrentFnOutput(
            reward=won.astype(jnp.float32),
            discount=jnp.where(won | full, 0.0, -1.0),
            prior_logits=logits,
            value=value,
        )
        return output, after

    @jax.jit
    def run(params: Any, key: Any, stones: Any) -> Any:
        logits, value, _ = _judge(params, stones)
        root = mctx.RootFnOutput(prior_logits=logits, value=value, embedding=stones)
        output = policy(
            params=params,
            rng_key=key,
            root=root,
            recurrent_fn=recurrent,
            num_simulations=simulations,
            invalid_actions=invalid,
        )
        return output.action, output.action_weights

    key = jax.random.PRNGKey(0)
    return lambda: jax.block_until_ready(run(params, key, stones))


def _weights(net: ActorCritic) -> dict[str, np.ndarray]:
    """Return the network's weights for 84 inputs: the column "to move" is always 1."""
    first, second = (layer for layer in net.trunk if isinstance(layer, torch.nn.Linear))
    kept = torch.tensor([*range(WIDTH), net.num_logits])  # without "wait"
    with torch.no_grad():
        parts = {
            "w1": first.weight[:, : 2 * CELLS].T,
            "b1": first.bias + first.weight[:, 2 * CELLS],
            "w2": second.weight.T,
            "b2": second.bias,
            "w3": net.head.weight[kept].T,
            "b3": net.head.bias[kept],
        }
        return {name: value.contiguous().numpy() for name, value in parts.items()}


def _judge(params: Any, stones: Any) -> tuple[Any, Any, Any]:
    """Return masked logits, values and legal columns of `stones` float32 `[B, 84]`."""
    import jax.numpy as jnp

    hidden = jnp.maximum(stones @ params["w1"] + params["b1"], 0.0)
    hidden = jnp.maximum(hidden @ params["w2"] + params["b2"], 0.0)
    output = hidden @ params["w3"] + params["b3"]
    legal = (stones[:, :WIDTH] + stones[:, CELLS : CELLS + WIDTH]) == 0.0
    logits = jnp.where(legal, output[:, :WIDTH], jnp.finfo(jnp.float32).min)
    return logits, output[:, WIDTH], legal


def _play(stones: Any, action: Any) -> tuple[Any, Any, Any]:
    """Drop a stone; return the board as the other sees it, whether it won, and whether it is full.

    Lines of four are counted by one matrix product.
    """
    import jax
    import jax.numpy as jnp

    own, other = stones[:, :CELLS], stones[:, CELLS:]
    taken = (own + other).reshape(-1, HEIGHT, WIDTH).sum(1)
    rows = jnp.arange(len(action))
    row = HEIGHT - 1 - taken[rows, action].astype(jnp.int32)
    cell = jnp.maximum(row, 0) * WIDTH + action
    own = jnp.maximum(own, jax.nn.one_hot(cell, CELLS))
    won = (own @ jnp.asarray(_lines()) == 4.0).any(-1)
    full = taken.sum(-1) + 1.0 >= CELLS
    return jnp.concatenate([other, own], -1), won, full


def _lines() -> np.ndarray:
    """Return which cells each of the 69 lines of four has, float32 `[42, 69]`."""
    found = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                ys, xs = [y + dy * k for k in range(4)], [x + dx * k for k in range(4)]
                if max(ys) < HEIGHT and min(xs) >= 0 and max(xs) < WIDTH:
                    line = np.zeros(CELLS, np.float32)
                    line[[a * WIDTH + b for a, b in zip(ys, xs, strict=True)]] = 1.0
                    found.append(line)
    return np.stack(found, axis=1)


@njit(PLAY, nogil=True, cache=True)
def _play_large(state: np.ndarray, action: int, reward: np.ndarray) -> int:
    plies = state[LARGE - 1]
    state[(plies * 37 + action * 101) % (LARGE - 8)] ^= 1
    state[LARGE - 1] = plies + 1
    reward[0] = reward[1] = np.float32(0.0)
    return 0


@njit(MOVER, nogil=True, cache=True)
def _mover_large(state: np.ndarray) -> int:
    return state[LARGE - 1] % 2


@njit(LEGAL, nogil=True, cache=True)
def _legal_large(state: np.ndarray, mask: np.ndarray) -> int:
    mask[:] = True
    return len(mask)


@njit(OBSERVE, nogil=True, cache=True)
def _observe_large(state: np.ndarray, obs: np.ndarray) -> None:
    for column in range(len(obs)):
        obs[column] = np.float32(state[column * 12])


class LargeDynamics:
    """A game of seven actions whose positions are 1 KB."""

    turn_rules: TurnRules | None = TurnRules(
        state_size=LARGE,
        num_agents=2,
        num_actions=WIDTH,
        wait=WIDTH,
        obs_size=2 * CELLS,
        play=_play_large,
        mover=_mover_large,
        legal=_legal_large,
        observe=_observe_large,
    )

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Play without reward; the mover's action counts."""
        after = state.clone()
        reward = np.zeros(2, np.float32)
        for row, position in enumerate(after.numpy()):
            mover = int(_mover_large(position))
            _play_large(position, int(action[row, mover, 0]), reward)
        return after, torch.zeros(len(state), 2), torch.ones(len(state))

    def mover(self, state: Tensor) -> Tensor:
        """Return whose turn it is, int64 `[B]`."""
        return state[:, LARGE - 1].long() % 2

    def observe(self, state: Tensor) -> Obs:
        """Show both agents every twelfth byte."""
        seen = state[:, : 24 * CELLS : 12].float()[:, None].expand(-1, 2, -1)
        mask = torch.zeros(len(state), 2, WIDTH + 1, dtype=torch.bool)
        mask[..., -1] = True
        moves = torch.tensor([True] * WIDTH + [False])
        mask[torch.arange(len(state)), self.mover(state)] = moves
        return {"policy": seen, "action_mask": mask}


def kilobyte_game() -> tuple[LargeDynamics, EnvSpec]:
    """Return dynamics and spec of a game whose positions are 1 KB."""
    columns = (Column(f"byte[{index}]", 0.0, 1.0) for index in range(2 * CELLS))
    spec = EnvSpec(
        id="kilobyte",
        num_agents=2,
        observations={"policy": Layout((vector("bytes", *columns),))},
        actions=DiscreteActions((Head("move", WIDTH + 1),)),
        state_size=LARGE,
    )
    return LargeDynamics(), spec
