"""Check that a policy keeps the contract of `Policy`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.checks.failed import (
    CheckFailed,
    expect,
    expect_finite,
    expect_same,
    expect_same_groups,
    expect_tensor,
)
from simrl.core.checks.sample import seat_rows
from simrl.core.env import VecEnv
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.seeding import torch_generator
from simrl.core.spec import EnvSpec
from simrl.core.timestep import PolicyState


def check_policy(
    policy: Policy,
    env: VecEnv,
    *,
    num_steps: int = 16,
    seed: int = 0,
    rows_independent: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """Raise CheckFailed with the first broken promise of `policy`, seated at every agent of `env`.

    With `rows_independent`, the deterministic action of a row may not depend on which other rows
    are in the batch (floats within `tolerance`); turn it off for a planner whose random draws are
    shared by the batch.
    """
    spec, rng = env.spec, torch_generator(seed, "check_policy")
    _check_reads(policy, env, seed)
    env.request([*(policy.reads - {"seat"}), "policy"])
    obs = env.reset(seed)
    num_rows = env.num_envs * spec.num_agents
    state = policy.initial_state(num_rows)
    _check_initial_state(policy, state, num_rows)
    for index in range(num_steps):
        name = f"step {index}"
        rows = _StrictObs(seat_rows(obs, policy.reads, spec.num_agents))
        mask = _mask_rows(env, obs)
        output = _check_act(policy, rows, state, rng, spec, mask, name)
        if rows_independent:
            _check_batch(policy, rows, state, spec, tolerance, name)
        state = {key: value.clone() for key, value in output.state.items()}
        width = output.action.shape[-1]
        step = env.step(output.action.clone().view(env.num_envs, spec.num_agents, width))
        obs, fresh = step.obs, policy.initial_state(num_rows)
        done = step.done.repeat_interleave(spec.num_agents)
        for key, value in state.items():
            value[done] = fresh[key][done]


class _StrictObs(Mapping[str, Tensor]):
    """Hold the groups that a policy says it reads; asking for another one is a broken promise."""

    def __init__(self, groups: Mapping[str, Tensor]) -> None:
        self._groups = dict(groups)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._groups:
            raise CheckFailed(
                f"the policy uses the group {name!r}, but its reads are {sorted(self._groups)}"
            )
        return self._groups[name]

    def __contains__(self, name: object) -> bool:
        return name in self._groups

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def take(self, rows: Tensor) -> _StrictObs:
        """Return some rows of every group."""
        return _StrictObs({name: value[rows] for name, value in self._groups.items()})

    def copy(self) -> dict[str, Tensor]:
        """Copy every group."""
        return {name: value.clone() for name, value in self._groups.items()}


def _check_reads(policy: Policy, env: VecEnv, seed: int) -> None:
    reads = getattr(policy, "reads", None)
    if not isinstance(reads, frozenset):
        raise CheckFailed(f"reads must be a frozenset of group names, got {reads!r}")
    valid = {*env.reset(seed), "seat"}
    unknown = sorted(reads - valid)
    expect(not unknown, f"the policy reads {unknown}; the groups are {sorted(valid)}")


def _check_initial_state(policy: Policy, state: PolicyState, num_rows: int) -> None:
    one = policy.initial_state(1)
    expect(set(one) == set(state), "initial_state has other names for 1 row than for more")
    for key, value in state.items():
        expect(
            isinstance(value, Tensor) and len(value) == num_rows,
            f"initial_state({num_rows})[{key!r}] must have {num_rows} rows",
        )
        for row in (0, num_rows - 1):
            expect_same(value[row], one[key][0], f"initial_state differs between rows in {key!r}")


def _mask_rows(env: VecEnv, obs: Mapping[str, Tensor]) -> Tensor | None:
    """Return the legal-action mask of every row, from the environment itself."""
    if not isinstance(env.spec.actions, DiscreteActions):
        return None
    if "action_mask" not in obs:
        env.request([*obs, "action_mask"])
        obs = env.restore(env.snapshot())
    return obs["action_mask"].flatten(0, 1).clone()


def _check_act(
    policy: Policy,
    rows: _StrictObs,
    state: PolicyState,
    rng: torch.Generator,
    spec: EnvSpec,
    mask: Tensor | None,
    name: str,
) -> PolicyOutput:
    """Act twice in each mode from the same generator state and compare; return a sampled output."""
    kept_obs, kept_state = rows.copy(), {key: value.clone() for key, value in state.items()}
    output = None
    for deterministic in (True, False):
        mode = f"{name}, deterministic={deterministic}"
        start = rng.get_state()
        world = _global_randomness()
        output = policy.act(rows, state, rng, deterministic=deterministic)
        first = output.action.clone()
        expect(
            world == _global_randomness(),
            f"{mode}: the policy drew from a global random generator instead of its rng",
        )
        expect_same_groups(rows.copy(), kept_obs, f"{mode}: the policy changed its observations")
        expect_same_groups(state, kept_state, f"{mode}: the policy changed the state it was given")
        _check_output(output, state, spec, mask, len(rows["seat"]), mode)
        end = rng.get_state()
        rng.set_state(start)
        again = policy.act(rows, state, rng, deterministic=deterministic)
        expect_same(first, again.action, f"{mode}: the same generator state gave another action")
        rng.set_state(end)
        output = again
    if output is None:
        raise CheckFailed(f"{name}: the policy gave no output")
    return output


def _global_randomness() -> tuple[bytes, bytes]:
    """Return the states of the process-wide generators of torch and NumPy."""
    numpy_state = np.random.get_state(legacy=False)["state"]
    return torch.random.get_rng_state().numpy().tobytes(), repr(numpy_state).encode()


def _check_output(
    output: PolicyOutput,
    state: PolicyState,
    spec: EnvSpec,
    mask: Tensor | None,
    num_rows: int,
    name: str,
) -> None:
    actions = spec.actions
    if isinstance(actions, DiscreteActions):
        action = expect_tensor(
            output.action, (num_rows, actions.num_heads), torch.int64, f"{name}: action"
        )
        if mask is not None:
            _check_legal(actions, mask, action, name)
    else:
        action = expect_tensor(
            output.action, (num_rows, actions.size), torch.float32, f"{name}: action"
        )
        expect_finite(action, f"{name}: action")
    expect(
        set(output.state) == set(state),
        f"{name}: the state has {sorted(output.state)}, initial_state has {sorted(state)}",
    )
    for key, value in output.state.items():
        shape, dtype = tuple(state[key].shape), state[key].dtype
        expect_tensor(value, shape, dtype, f"{name}: state {key!r}")
    for key, value in output.extras.items():
        good = isinstance(value, Tensor) and value.ndim > 0 and len(value) == num_rows
        expect(good, f"{name}: extras {key!r} must be a tensor with {num_rows} rows")


def _check_legal(actions: DiscreteActions, mask: Tensor, action: Tensor, name: str) -> None:
    bad = (~actions.legal(mask, action)).nonzero()
    if len(bad):
        row, head = bad[0].tolist()
        raise CheckFailed(
            f"{name}: row {row}: value {int(action[row, head])} of head "
            f"{actions.heads[head].name!r} is not legal"
        )
    unused = ~actions.used(mask, action[..., 0]) & (action != 0)
    bad = unused.nonzero()
    if len(bad):
        row, head = bad[0].tolist()
        raise CheckFailed(
            f"{name}: row {row}: head {actions.heads[head].name!r} does not count for the choice "
            f"made, so it must be 0, got {int(action[row, head])}"
        )


def _check_batch(
    policy: Policy,
    rows: _StrictObs,
    state: PolicyState,
    spec: EnvSpec,
    tolerance: float,
    name: str,
) -> None:
    """Compare deterministic actions of all rows with those of half of them in reverse order."""
    count = len(rows["seat"])
    picked = torch.arange(count - 1, -1, -2)
    part = {key: value[picked] for key, value in state.items()}
    whole = policy.act(rows, state, torch_generator(0, "batch"), deterministic=True).action.clone()
    half = policy.act(rows.take(picked), part, torch_generator(0, "batch"), deterministic=True)
    expect_same(
        half.action,
        whole[picked],
        f"{name}: the deterministic action of a row depends on the rest of the batch",
        0.0 if isinstance(spec.actions, DiscreteActions) else tolerance,
    )
