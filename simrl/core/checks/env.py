"""Check that an environment keeps the contract of `VecEnv`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.checks.failed import (
    CheckFailed,
    expect,
    expect_same,
    expect_same_groups,
    expect_tensor,
)
from simrl.core.checks.sample import random_action
from simrl.core.checks.step import check_mask, check_obs, check_step
from simrl.core.env import VecEnv
from simrl.core.seeding import torch_generator
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep

MakeEnv = Callable[[int], VecEnv]
"""Build `num_envs` environments, always with the same options."""

DEAR_GROUPS = ("critic", "state")


def check_env(
    make: MakeEnv,
    *,
    num_envs: int = 4,
    num_steps: int = 64,
    seed: int = 0,
    must_end: bool = True,
) -> None:
    """Raise CheckFailed with the first broken promise of the environments that `make(n)` builds.

    Plays `num_steps` random legal steps in `num_envs` rows, several times over.  With `must_end`,
    an episode has to end in that time, so that the automatic reset is seen: give enough steps.
    """
    expect(num_envs >= 2, "check_env needs at least 2 rows to compare")
    env = make(num_envs)
    trace = _record(env, seed, num_steps)
    ended = any(bool(step.done.any()) for step in trace.steps)
    if must_end and not ended:
        raise CheckFailed(f"no episode ended in {num_steps} steps; check with more num_steps")
    _check_episode_lengths(env.spec, trace)
    _check_autoreset(make(num_envs), trace)
    _check_same_seed(make(num_envs), trace)
    _check_row_independence(make(num_envs + 1), trace)
    _check_snapshot(make(num_envs), make(num_envs), trace)
    _check_request(make(num_envs), trace)
    _check_refusals(make(num_envs), seed)
    _check_render(make(num_envs), seed)


@dataclass
class _Trace:
    """Hold copies of what an environment said while it was played."""

    seed: int
    first: Obs
    actions: list[Tensor]
    steps: list[TimeStep]


def _check_episode_lengths(spec: EnvSpec, trace: _Trace) -> None:
    """No episode outlives `spec.max_steps`."""
    if not spec.max_steps:
        return
    lengths = torch.zeros(len(trace.first["policy"]), dtype=torch.int64)
    for index, step in enumerate(trace.steps):
        lengths += 1
        long = ((lengths >= spec.max_steps) & ~step.done).nonzero().flatten().tolist()
        expect(
            not long,
            f"step {index}: rows {long} have run {spec.max_steps} steps, the spec's max_steps, "
            "and are not done",
        )
        lengths[step.done] = 0


def _check_autoreset(env: VecEnv, trace: _Trace) -> None:
    """In done rows obs is the new episode's and final_obs the old one's, as their states say."""
    env.reset(trace.seed + 1)
    for index, step in enumerate(trace.steps):
        rows = step.done.nonzero().flatten()
        if not len(rows) or "state" not in step.obs:
            continue
        new, old = step.obs["state"][rows], step.final_obs["state"][rows]
        expect(
            not bool((new == old).flatten(1).all(-1).any()),
            f"step {index}: final_obs holds the state of the new episode in rows {rows.tolist()}",
        )
        for name, state, shown in (("obs", new, step.obs), ("final_obs", old, step.final_obs)):
            seen = env.restore(state, rows)
            expect_same_groups(
                {key: value[rows] for key, value in seen.items()},
                {key: value[rows] for key, value in shown.items()},
                f"step {index}: what the state in {name} shows, against {name}, in done rows",
            )


def _check_same_seed(env: VecEnv, trace: _Trace) -> None:
    again = _record(env, trace.seed, len(trace.actions), trace.actions)
    _expect_same_run(trace, again, "the same seed and actions gave other bits")


def _check_row_independence(env: VecEnv, trace: _Trace) -> None:
    """Row 0 is the same when there are more rows, which do other things."""
    rng = torch_generator(trace.seed, "other rows")
    obs = env.reset(trace.seed)
    message = "row 0 depends on the other rows or on how many there are"
    row = torch.tensor([0])
    expect_same_groups(_rows(obs, row), _rows(trace.first, row), f"{message}: obs of reset")
    for index, wanted in enumerate(trace.steps):
        action = random_action(env.spec, obs, rng)
        action[0] = trace.actions[index][0]
        step = env.step(action)
        obs = step.obs
        _expect_same_step(
            _step_rows(step, row), _step_rows(wanted, row), f"{message}, step {index}"
        )


def _check_snapshot(env: VecEnv, other: VecEnv, trace: _Trace) -> None:
    """A restored snapshot continues bit for bit, in the same environments and in others."""
    half = len(trace.actions) // 2
    obs = env.reset(trace.seed)
    for action in trace.actions[:half]:
        obs = env.step(action).obs
    before = _copy(obs)
    snapshot = env.snapshot()
    shape = (env.num_envs, env.spec.state_size)
    expect_tensor(snapshot, shape, env.spec.state_dtype, "snapshot")
    if "state" in before:
        expect_same(before["state"], snapshot, "group 'state' against snapshot()")
    kept = snapshot.clone()
    other.reset(trace.seed + 1)
    for target, whose in ((env, "the same environments"), (other, "other environments")):
        for action in trace.actions[half:]:
            env.step(action)
        expect_same(snapshot, kept, "a snapshot changed when the environments went on")
        obs = target.restore(snapshot)
        expect_same_groups(obs, before, f"observations after restore in {whose}")
        for index, action in enumerate(trace.actions[half:], half):
            name = f"after restore in {whose}, step {index}"
            _expect_same_step(target.step(action), trace.steps[index], name)
        env.restore(snapshot)
    _check_partial_restore(env, snapshot, trace)


def _check_partial_restore(env: VecEnv, snapshot: Tensor, trace: _Trace) -> None:
    """Restoring row 1 leaves the other rows as they are."""
    env.reset(trace.seed + 2)
    now = env.snapshot()
    env.restore(snapshot[1:2], torch.tensor([1]))
    wanted = now.clone()
    wanted[1] = snapshot[1]
    expect_same(env.snapshot(), wanted, "restoring row 1 alone gave another state")


def _check_request(env: VecEnv, trace: _Trace) -> None:
    groups = list(trace.first)
    try:
        env.request(["no such group"])
    except ValueError as error:
        expect("policy" in str(error), f"request's error does not list the valid groups: {error}")
    else:
        raise CheckFailed("request accepted the unknown group 'no such group'")
    env.request(["policy"])
    obs = env.reset(trace.seed)
    dear = [name for name in DEAR_GROUPS if name in obs]
    expect(not dear, f"after request(['policy']) reset still returned {dear}")
    expect_same(obs["policy"], trace.first["policy"], "group 'policy' when requested alone")
    step = env.step(trace.actions[0])
    dear = [name for name in DEAR_GROUPS if name in step.obs]
    expect(not dear, f"after request(['policy']) step still returned {dear}")
    env.request(groups)
    expect_same_groups(env.reset(trace.seed), trace.first, "observations after requesting all")


def _check_refusals(env: VecEnv, seed: int) -> None:
    """A bad action raises ValueError and changes nothing."""
    obs = env.reset(seed)
    good = random_action(env.spec, obs, torch_generator(seed, "refusals"))
    for bad, problem in _bad_actions(env.spec, obs, good):
        before = env.snapshot()
        try:
            env.step(bad)
        except ValueError:
            expect_same(env.snapshot(), before, f"refusing {problem} changed the state")
        else:
            raise CheckFailed(f"step accepted {problem}")


def _bad_actions(spec: EnvSpec, obs: Obs, good: Tensor) -> list[tuple[Tensor, str]]:
    bad = [(good[..., :0], "an action without its last axis")]
    if not isinstance(spec.actions, DiscreteActions):
        for value in (float("nan"), float("inf")):
            wrong = good.clone()
            wrong[-1, -1, -1] = value
            bad.append((wrong, f"the float {value}"))
        return bad
    for value in (-1, spec.actions.heads[0].size):
        wrong = good.clone()
        wrong[-1, -1, 0] = value
        bad.append((wrong, f"value {value} of head {spec.actions.heads[0].name!r}"))
    forbidden = (~spec.actions.head_mask(obs["action_mask"], 0)).nonzero()
    if len(forbidden):
        row, agent, value = forbidden[0].tolist()
        wrong = good.clone()
        wrong[row, agent, 0] = value
        bad.append((wrong, f"the masked value {value} of head {spec.actions.heads[0].name!r}"))
    return bad


def _check_render(env: VecEnv, seed: int) -> None:
    env.reset(seed)
    image = env.render(0)
    good = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[-1] == 3
    expect(
        good and image.dtype == np.uint8,
        f"render must return (height, width, 3) uint8, got {getattr(image, 'shape', image)}",
    )


def _record(env: VecEnv, seed: int, num_steps: int, actions: list[Tensor] | None = None) -> _Trace:
    """Play random legal actions, or `actions`, checking and copying every step."""
    rng = torch_generator(seed, "check_env")
    obs = env.reset(seed)
    missing = [name for name in env.spec.observations if name not in obs]
    expect(not missing, f"reset did not return the groups {missing} of the spec")
    check_obs(env.spec, obs, env.num_envs, "reset: obs")
    if isinstance(env.spec.actions, DiscreteActions):
        check_mask(env.spec.actions, obs["action_mask"], "reset: action_mask")
    trace = _Trace(seed, _copy(obs), [], [])
    for index in range(num_steps):
        action = actions[index] if actions else random_action(env.spec, obs, rng)
        kept = action.clone()
        step = env.step(action)
        expect_same(action, kept, f"step {index} changed its action")
        check_step(env.spec, step, env.num_envs, f"step {index}")
        trace.actions.append(kept)
        trace.steps.append(_step_rows(step, torch.arange(env.num_envs)))
        obs = step.obs
    return trace


def _expect_same_run(left: _Trace, right: _Trace, message: str) -> None:
    expect_same_groups(left.first, right.first, f"{message}: obs of reset")
    for index, (a, b) in enumerate(zip(left.steps, right.steps, strict=True)):
        _expect_same_step(a, b, f"{message}, step {index}")


def _expect_same_step(left: TimeStep, right: TimeStep, name: str) -> None:
    """Compare what two steps mean: final_obs and metrics count in done rows alone."""
    expect_same(left.terminated, right.terminated, f"{name}: terminated")
    expect_same(left.truncated, right.truncated, f"{name}: truncated")
    expect_same(left.reward, right.reward, f"{name}: reward")
    expect_same_groups(left.obs, right.obs, f"{name}: obs")
    if left.reward_terms is not None and right.reward_terms is not None:
        expect_same(left.reward_terms, right.reward_terms, f"{name}: reward_terms")
    done = left.done.nonzero().flatten()
    if len(done):
        last = _rows(left.final_obs, done), _rows(right.final_obs, done)
        expect_same_groups(*last, f"{name}: final_obs")
        expect_same_groups(
            _rows(left.metrics, done), _rows(right.metrics, done), f"{name}: metrics"
        )


def _copy(obs: Obs) -> Obs:
    return {name: value.clone() for name, value in obs.items()}


def _rows(obs: Obs, rows: Tensor) -> Obs:
    return {name: value[rows] for name, value in obs.items()}


def _step_rows(step: TimeStep, rows: Tensor) -> TimeStep:
    """Copy some rows of a time step."""
    return TimeStep(
        obs=_rows(step.obs, rows),
        reward=step.reward[rows],
        terminated=step.terminated[rows],
        truncated=step.truncated[rows],
        final_obs=_rows(step.final_obs, rows),
        reward_terms=None if step.reward_terms is None else step.reward_terms[rows],
        metrics=_rows(step.metrics, rows),
    )
