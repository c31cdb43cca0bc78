"""Check that a dynamics function keeps its contract and agrees with its environment."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.checks.failed import expect, expect_same, expect_tensor
from simrl.core.checks.sample import random_action
from simrl.core.dynamics import Dynamics, ObservedDynamics
from simrl.core.env import VecEnv
from simrl.core.seeding import torch_generator
from simrl.core.timestep import Obs, TimeStep

REWARD_TOLERANCE = 1e-5


def check_dynamics(
    dynamics: Dynamics,
    env: VecEnv,
    *,
    num_steps: int = 32,
    seed: int = 0,
    state_tolerance: float = 0.0,
) -> None:
    """Raise CheckFailed unless `dynamics` steps like `env` and is a pure function of its inputs.

    Each step of `env` under random legal actions is predicted from its snapshot: next state (equal
    bit for bit, or within `state_tolerance` for float states), reward, and discount 0 exactly where
    the episode terminated.  In done rows the predicted state must show what `final_obs` shows.
    Dynamics that tell observations must tell those of `env`.
    """
    env.request(
        [*env.spec.observations, "action_mask", "state"]
        if _discrete(env)
        else [*env.spec.observations, "state"]
    )
    rng = torch_generator(seed, "check_dynamics")
    obs = env.reset(seed)
    for index in range(num_steps):
        name = f"step {index}"
        state, action = env.snapshot(), random_action(env.spec, obs, rng)
        if isinstance(dynamics, ObservedDynamics):
            _check_observed(dynamics, state, obs, name)
        after, reward, discount = _predict(dynamics, env, state, action, name)
        step = env.step(action)
        expect_same(
            reward, step.reward, f"{name}: reward of dynamics against env", REWARD_TOLERANCE
        )
        wanted = (~step.terminated).to(torch.float32)
        expect_same(discount, wanted, f"{name}: discount of dynamics against env")
        _check_state(env, step, after, state_tolerance, name)
        if bool(step.terminated.any()):
            _check_ended(dynamics, after[step.terminated], action[step.terminated], name)
        obs = step.obs


def _predict(
    dynamics: Dynamics, env: VecEnv, state: Tensor, action: Tensor, name: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Step once; check shapes, purity, and that each row alone gives the same."""
    kept = state.clone(), action.clone()
    after, reward, discount = (value.clone() for value in dynamics.step(state, action))
    expect_same(state, kept[0], f"{name}: dynamics changed the state that it was given")
    expect_same(action, kept[1], f"{name}: dynamics changed the action that it was given")
    count = len(state)
    expect_tensor(after, tuple(state.shape), state.dtype, f"{name}: next state")
    expect_tensor(reward, (count, env.spec.num_agents), torch.float32, f"{name}: reward")
    expect_tensor(discount, (count,), torch.float32, f"{name}: discount")
    for title, picked in (
        ("the same inputs again", torch.arange(count)),
        ("its last row alone", torch.tensor([count - 1])),
    ):
        again = dynamics.step(state[picked], action[picked])
        for part, left, right in zip(
            ("next state", "reward", "discount"), (after, reward, discount), again, strict=True
        ):
            expect_same(left[picked], right, f"{name}: {title} gave another {part}")
    return after, reward, discount


def _check_state(env: VecEnv, step: TimeStep, after: Tensor, tolerance: float, name: str) -> None:
    """Compare the next state with the environment's: its bits where the episode goes on."""
    going, done = (~step.done).nonzero().flatten(), step.done.nonzero().flatten()
    now = env.snapshot()
    expect_same(
        after[going], now[going], f"{name}: next state of dynamics against snapshot()", tolerance
    )
    if not len(done):
        return
    last = {group: step.final_obs[group][done].clone() for group in env.spec.observations}
    shown: Obs = env.restore(after[done], done)
    for group, value in last.items():
        title = f"{name}: group {group!r} of the ended state of dynamics against final_obs"
        expect_same(shown[group][done], value, title, max(tolerance, 1e-6))
    env.restore(now)


def _check_observed(dynamics: ObservedDynamics, state: Tensor, obs: Obs, name: str) -> None:
    """Compare what the dynamics show of a state with what the environment shows."""
    kept, seen = state.clone(), dynamics.observe(state)
    expect_same(state, kept, f"{name}: observe changed the state that it was given")
    for group, value in obs.items():
        expect(group in seen, f"{name}: observe shows no group {group!r}, only {sorted(seen)}")
        title = f"{name}: group {group!r} of observe against env"
        expect_same(seen[group], value, title, 0.0 if value.dtype == torch.bool else 1e-6)


def _check_ended(dynamics: Dynamics, state: Tensor, action: Tensor, name: str) -> None:
    """An ended state stays as it is, pays nothing and has discount 0."""
    after, reward, discount = dynamics.step(state, action)
    expect_same(after, state, f"{name}: an ended state did not stay as it is")
    expect(not bool(discount.any()), f"{name}: an ended state has discount {discount.tolist()}")
    expect(not bool(reward.any()), f"{name}: an ended state pays {reward.tolist()}")


def _discrete(env: VecEnv) -> bool:
    return hasattr(env.spec.actions, "heads")
