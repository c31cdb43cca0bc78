"""Stack controllers: a task level commands an action level, which commands the servos.

**The contract of a command.**  Each level but the lowest gives a command, a float tensor
`[rows, n]`.  The next level finds it where that level's own spec (`Level.view`) says: in the part
"command" of its state rows, and in the block "command" of its group "policy" if there is one of
that size.  There are two kinds of views:

- the environment's own spec, where the task has a command (the velocity that a quadruped shall
  walk): the command of the environment is overwritten, so a planner below plans for the new one;
- `command_view(spec, names)`, where it has none or another: the state row gets n numbers more, and
  the part "command" names those.  Servos read joint targets so.

A level is any policy: a network, a planner, a controller, a person.  It decides every `every` steps
of an episode, and its command stands in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from simrl.core import (
    ActionSpec,
    DiscreteActions,
    Dynamics,
    EnvSpec,
    Obs,
    Policy,
    PolicyOutput,
    PolicyState,
)

COMMAND = "command"


@dataclass(frozen=True)
class Level:
    """Hold one level of a cascade."""

    name: str
    """Its name, the prefix of its memory and extras."""
    policy: Policy
    """What decides."""
    actions: ActionSpec
    """What the policy's actions are; continuous ones are clipped to their bounds.  Those of the
    lowest level are the environment's."""
    every: int = 1
    """Environment steps from one decision to the next."""
    view: EnvSpec | None = None
    """What the level takes for its environment; None: the environment itself."""
    command: Callable[[Tensor], Tensor] | None = None
    """Turn actions `[rows, size]` into the command for the level below; None: they are it."""


class Cascade:
    """Let each level command the next, each at its own rate.

    Memory: "steps" `[rows]`, the steps of the episode; for each level its last "NAME/action" and
    its own memory as "NAME/memory/...".  Extras: those of each level as "NAME/...", NaN (or 0 if
    they are not floats) in rows in which it did not decide, and "NAME/decided" `[rows]` bool.
    """

    def __init__(self, spec: EnvSpec, levels: Sequence[Level]) -> None:
        """Stack `levels`, the highest first, for the environments of `spec`.

        Raises:
            ValueError: The levels do not fit each other or the environment; it says which and why.
        """
        self._spec, self._levels = spec, tuple(levels)
        _check_levels(spec, self._levels)
        self._places = [_Place(spec, level) for level in self._levels]
        reads = {name for level in self._levels for name in level.policy.reads}
        self.reads = frozenset(reads)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return a memory in which every level is about to decide."""
        memory: dict[str, Tensor] = {"steps": torch.zeros(num_rows, dtype=torch.int64)}
        for level in self._levels:
            memory[f"{level.name}/action"] = _no_action(level.actions, num_rows)
            inner = level.policy.initial_state(num_rows)
            memory |= {f"{level.name}/memory/{key}": value for key, value in inner.items()}
        return memory

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Decide from the highest level to the lowest and return the lowest one's action."""
        steps = state["steps"]
        memory: dict[str, Tensor] = {"steps": steps + 1}
        extras: dict[str, Tensor] = {}
        seen, action = dict(obs), steps
        for index, level in enumerate(self._levels):
            due = steps % level.every == 0
            action, more, said = _decide(level, seen, state, due, rng, deterministic)
            memory |= more
            extras |= said
            if index + 1 < len(self._levels):
                command = action if level.command is None else level.command(action)
                seen = self._places[index + 1].write(obs, command)
        return PolicyOutput(action, memory, extras)


def command_view(spec: EnvSpec, names: Iterable[str]) -> EnvSpec:
    """Return `spec` as a level sees it that is commanded by numbers with these names.

    State rows are longer by the command, which the part "command" names.  Model and reference work
    on the longer rows as they did on the shorter ones, and carry the command along.
    """
    named = tuple(names)
    if not named:
        raise ValueError(f"{spec.id}: a command needs at least one name")
    size, total = spec.state_size, spec.state_size + len(named)
    parts = {**spec.physics.get("state", {}), COMMAND: slice(size, total)}
    make, tell = spec.dynamics, spec.reference
    return replace(
        spec,
        state_size=total,
        physics={**spec.physics, "state": parts, COMMAND: named},
        dynamics=None if make is None else lambda: _ViewDynamics(make(), size),
        reference=None if tell is None else lambda state, ahead: tell(state[:, :size], ahead),
    )


class _ViewDynamics:
    """Step the environment's part of longer rows and carry the command along."""

    def __init__(self, inner: Dynamics, size: int) -> None:
        self._inner, self._size = inner, size

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        after, reward, discount = self._inner.step(state[:, : self._size].contiguous(), action)
        return torch.cat([after, state[:, self._size :]], dim=1), reward, discount


class _Place:
    """Write commands where a level looks for them."""

    def __init__(self, spec: EnvSpec, level: Level) -> None:
        view = level.view or spec
        self._name, self._size = level.name, spec.state_size
        part: slice = view.physics.get("state", {}).get(COMMAND, slice(0, 0))
        self._part = part if part.stop > part.start else None
        layout = view.observations["policy"]
        self._block = layout.slices.get(COMMAND)

    @property
    def exists(self) -> bool:
        """Whether there is any place for a command."""
        return self._part is not None or self._block is not None

    def write(self, obs: Obs, command: Tensor) -> dict[str, Tensor]:
        """Return the groups with the command `[rows, n]` in its place; `obs` stays as it is."""
        seen = dict(obs)
        part, block, width = self._part, self._block, command.shape[1]
        written = False
        if part is not None and part.stop - part.start == width:
            written = True
            if "state" in seen:
                seen["state"] = self._in_state(seen["state"], part, command)
        if block is not None and block.stop - block.start == width:
            written = True
            if "policy" in seen:
                seen["policy"] = _put(seen["policy"], block, command)
        if not written:
            sizes = [p.stop - p.start for p in (part, block) if p is not None]
            raise ValueError(
                f"level {self._name!r} has a command of {sizes} numbers, and was given {width}"
            )
        return seen

    def _in_state(self, state: Tensor, part: slice, command: Tensor) -> Tensor:
        if part.start == self._size:
            return torch.cat([state, command.to(state.dtype)], dim=1)
        return _put(state, part, command)


def _put(rows: Tensor, where: slice, values: Tensor) -> Tensor:
    result = rows.clone()
    result[:, where] = values.to(rows.dtype)
    return result


def _decide(
    level: Level,
    seen: Obs,
    state: PolicyState,
    due: Tensor,
    rng: torch.Generator,
    deterministic: bool,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Return a level's actions (new where due), its memory, and its extras."""
    action = state[f"{level.name}/action"]
    inner = memory_under(state, f"{level.name}/memory")
    extras: dict[str, Tensor] = {f"{level.name}/decided": due}
    rows = due.nonzero().squeeze(1)
    if len(rows):
        part = {name: value[rows] for name, value in groups_read(seen, level.policy).items()}
        kept = {name: value[rows] for name, value in inner.items()}
        output = level.policy.act(part, kept, rng, deterministic=deterministic)
        action = action.index_copy(0, rows, _clipped(level.actions, output.action))
        inner = {k: v.index_copy(0, rows, output.state[k]) for k, v in inner.items()}
        for key, value in output.extras.items():
            extras[f"{level.name}/{key}"] = _spread(value, rows, len(due))
    memory = {f"{level.name}/memory/{key}": value for key, value in inner.items()}
    memory[f"{level.name}/action"] = action
    return action, memory, extras


def groups_read(obs: Obs, policy: Policy) -> dict[str, Tensor]:
    """Return the groups that a policy reads."""
    return {name: obs[name] for name in {*policy.reads, "seat"} if name in obs}


def memory_under(state: PolicyState, prefix: str) -> dict[str, Tensor]:
    """Return the memory under a prefix, without it."""
    start = f"{prefix}/"
    return {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}


def _no_action(actions: ActionSpec, num_rows: int) -> Tensor:
    if isinstance(actions, DiscreteActions):
        return torch.zeros(num_rows, actions.num_heads, dtype=torch.int64)
    return torch.zeros(num_rows, actions.size)


def _clipped(actions: ActionSpec, action: Tensor) -> Tensor:
    if isinstance(actions, DiscreteActions):
        return action
    low, high = torch.tensor(actions.low), torch.tensor(actions.high)
    return action.to(torch.float32).clamp(low, high)


def _spread(value: Tensor, rows: Tensor, num_rows: int) -> Tensor:
    """Put `value` `[len(rows), ...]` at `rows` of `[num_rows, ...]`; NaN or 0 elsewhere."""
    fill = torch.nan if value.is_floating_point() else 0
    result = torch.full((num_rows, *value.shape[1:]), fill, dtype=value.dtype)
    return result.index_copy(0, rows, value)


def _check_levels(spec: EnvSpec, levels: tuple[Level, ...]) -> None:
    names = [level.name for level in levels]
    if not levels or len(set(names)) != len(names) or any("/" in name for name in names):
        raise ValueError(f"a cascade needs levels with names of their own, got {names}")
    for level in levels:
        if level.every < 1:
            raise ValueError(f"level {level.name!r}: every must be at least 1, got {level.every}")
    for upper, lower in pairwise(levels):
        if upper.every % lower.every:
            raise ValueError(
                f"level {upper.name!r} decides every {upper.every} steps, which is no multiple of "
                f"the {lower.every} of {lower.name!r} below it"
            )
        if not _Place(spec, lower).exists:
            raise ValueError(
                f"level {lower.name!r} has no place for a command: neither a part 'command' of its "
                "state nor a block 'command' of its observations; see command_view"
            )
    if levels[-1].actions != spec.actions:
        raise ValueError(
            f"{spec.id}: the lowest level, {levels[-1].name!r}, must give the environment's actions"
        )
