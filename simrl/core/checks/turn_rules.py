"""Check that a game's compiled rules agree with its dynamics and with its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.checks.failed import CheckFailed, expect, expect_same
from simrl.core.checks.sample import random_action
from simrl.core.dynamics import TurnDynamics
from simrl.core.env import VecEnv
from simrl.core.seeding import torch_generator
from simrl.core.timestep import Obs

if TYPE_CHECKING:  # it imports numba
    from simrl.core.turn_rules import TurnRules

UNWRITTEN = float("nan")


def check_turn_rules(
    dynamics: TurnDynamics, env: VecEnv, *, num_steps: int = 64, seed: int = 0
) -> None:
    """Raise CheckFailed unless `dynamics.turn_rules` play exactly as `dynamics` and `env` do.

    Over `num_steps` steps of random games: whose turn it is, the legal actions, what the mover sees
    and, after the move, state, rewards and end, all bit for bit; what waits has one legal action;
    an ended game has none; two agents' rewards sum to zero.  `num_steps` should see games end.
    """
    expect(isinstance(dynamics, TurnDynamics), f"{env.spec.id}: these dynamics are no TurnDynamics")
    rules = dynamics.turn_rules
    if rules is None:
        raise CheckFailed(f"{env.spec.id}: the dynamics have no turn_rules")
    _check_form(rules, env)
    env.request([*env.spec.observations, "action_mask", "state"])
    rng = torch_generator(seed, "check_turn_rules")
    obs = env.reset(seed)
    ended = 0
    for index in range(num_steps):
        name = f"step {index}"
        state = env.snapshot()
        mover = _check_view(dynamics, rules, state, obs, name)
        action = random_action(env.spec, obs, rng)
        after, reward, discount = dynamics.step(state, action)
        for row in range(env.num_envs):
            choice = int(action[row, mover[row], 0])
            _check_play(rules, state[row], choice, after[row], reward[row], discount[row], name)
        step = env.step(action)
        expect_same(reward, step.reward, f"{name}: reward of dynamics against env")
        expect_same(discount == 0, step.terminated, f"{name}: end of dynamics against env")
        ended += int(step.terminated.sum())
        obs = step.obs
    expect(ended > 0, f"no game ended within {num_steps} steps: ask for more of them")


def _check_form(rules: TurnRules, env: VecEnv) -> None:
    """Compare the sizes with the spec, and the compiled signatures with their constants."""
    from simrl.core import turn_rules

    spec = env.spec
    if not isinstance(spec.actions, DiscreteActions):
        raise CheckFailed(f"{spec.id}: turn_rules need discrete actions")
    values = spec.actions.heads[0].size
    for field, wanted in (
        ("state_size", spec.state_size),
        ("num_agents", spec.num_agents),
        ("obs_size", spec.observations["policy"].size),
    ):
        given = getattr(rules, field)
        expect(given == wanted, f"{spec.id}: {field} is {given}, the spec says {wanted}")
    expect(
        0 < rules.num_actions <= values,
        f"{spec.id}: num_actions is {rules.num_actions}, the first head has {values} values",
    )
    expect(
        rules.num_actions <= rules.wait < values,
        f"{spec.id}: wait is {rules.wait}; it must be a value of the first head that is no move, "
        f"{rules.num_actions} to {values - 1}",
    )
    for field in ("play", "mover", "legal", "observe"):
        wanted = getattr(turn_rules, field.upper())
        compiled = list(getattr(getattr(rules, field), "nopython_signatures", ()))
        expect(
            compiled == [wanted],
            f"{spec.id}: {field} must be compiled for {wanted} alone, got {compiled}",
        )


def _check_view(
    dynamics: TurnDynamics, rules: TurnRules, state: Tensor, obs: Obs, name: str
) -> Tensor:
    """Compare mover, legal actions and observation; return whose turn it is `[N]`."""
    seen, mover = dynamics.observe(state), dynamics.mover(state)
    for group in ("policy", "action_mask"):
        expect_same(seen[group], obs[group], f"{name}: {group} of dynamics.observe against env")
    for row, (bytes_, agent) in enumerate(zip(state, mover.tolist(), strict=True)):
        where = f"{name}, row {row}"
        given, kept = bytes_.numpy().copy(), bytes_.numpy()
        told = int(rules.mover(given))
        expect(told == agent, f"{where}: mover is {told}, dynamics.mover says {agent}")
        mask, count = _legal(rules, given)
        choices = obs["action_mask"][row, :, : rules.wait + 1]
        expect_same(mask, choices[agent, : rules.num_actions], f"{where}: legal actions")
        expect(count == int(mask.sum()), f"{where}: legal returned {count} for {mask.tolist()}")
        for other in range(rules.num_agents):
            waits = choices[other].nonzero().flatten().tolist() == [rules.wait]
            expect(waits != (other == agent), f"{where}: agent {other} may do {choices[other]}")
        shown = np.full(rules.obs_size, UNWRITTEN, np.float32)
        rules.observe(given, shown)
        expect_same(torch.from_numpy(shown), obs["policy"][row, agent], f"{where}: observe")
        expect(bool((given == kept).all()), f"{where}: looking changed the state")
    return mover


def _check_play(
    rules: TurnRules,
    state: Tensor,
    choice: int,
    after: Tensor,
    reward: Tensor,
    discount: Tensor,
    name: str,
) -> None:
    """Play one action in one position and compare with what the dynamics made of it."""
    played = state.numpy().copy()
    paid = np.full(rules.num_agents, UNWRITTEN, np.float32)
    over = int(rules.play(played, choice, paid))
    where = f"{name}: action {choice}"
    expect_same(torch.from_numpy(played), after, f"{where}: state of play against dynamics")
    expect_same(torch.from_numpy(paid), reward, f"{where}: reward of play against dynamics")
    ended = int(discount == 0)
    expect(over == ended, f"{where}: play returned {over}, the dynamics say {ended}")
    if rules.num_agents == 2:
        expect(paid.sum() == 0, f"{where}: rewards {paid.tolist()} do not sum to zero")
    if over:
        mask, count = _legal(rules, played)
        expect(
            count == 0 and not bool(mask.any()),
            f"{where}: an ended game has legal actions {mask.tolist()}, legal returned {count}",
        )


def _legal(rules: TurnRules, state: np.ndarray) -> tuple[Tensor, int]:
    """Return the mask `[K]` and what `legal` says is their number; it has to write every flag."""
    masks = []
    for before in (False, True):
        mask = np.full(rules.num_actions, before)
        count = int(rules.legal(state, mask))
        masks.append(torch.from_numpy(mask))
    expect_same(masks[0], masks[1], "legal left flags unwritten")
    return masks[0], count
