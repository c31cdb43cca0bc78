"""Say who sits where: which policy acts at which (environment, agent), and which seats train."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from simrl.core import EnvSpec, Policy, VecEnv


class Seating:
    """Seat P policies at the N x A seats of N environments with A agents.

    Attributes:
        policy_index: Number of the policy at each seat `[N, A]` int64.  A matchmaker writes to it.
        trains: Seats that a learner learns from `[N, A]` bool; they never change.
    """

    def __init__(
        self,
        policies: Mapping[str, Policy],
        policy_index: Tensor,
        trains: Tensor | None = None,
    ) -> None:
        if not policies:
            raise ValueError("a seating needs at least one policy")
        if policy_index.ndim != 2 or policy_index.dtype != torch.int64:
            raise ValueError(
                "policy_index must be int64 [num_envs, num_agents], got "
                f"{policy_index.dtype} {list(policy_index.shape)}"
            )
        if trains is None:
            trains = torch.zeros_like(policy_index, dtype=torch.bool)
        if trains.shape != policy_index.shape or trains.dtype != torch.bool:
            raise ValueError(
                f"trains must be bool {list(policy_index.shape)}, got "
                f"{trains.dtype} {list(trains.shape)}"
            )
        self._policies = dict(policies)
        self._names = tuple(self._policies)
        self._numbers = {name: number for number, name in enumerate(self._names)}
        self.policy_index = policy_index.clone()
        self.trains = trains.clone()
        self.check()

    @property
    def policies(self) -> Mapping[str, Policy]:
        """The policies by name, in the order of their numbers; grows by `add`."""
        return MappingProxyType(self._policies)

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each policy, by number."""
        return self._names

    @property
    def training_policy(self) -> str | None:
        """Name of the one policy that sits at the training seats; None if no seat trains."""
        held = self.policy_index[self.trains].unique().tolist()
        if not held:
            return None
        if len(held) > 1:
            names = ", ".join(self.names[index] for index in held)
            raise ValueError(f"one learner learns from one policy, but training seats hold {names}")
        return self.names[held[0]]

    def add(self, name: str, policy: Policy) -> int:
        """Add a policy that nobody is seated with yet and return its number."""
        if name in self._policies:
            raise ValueError(f"a policy called {name!r} is already in the seating")
        self._policies[name] = policy
        self._names = (*self._names, name)
        self._numbers[name] = len(self._numbers)
        return self._numbers[name]

    def index_of(self, name: str) -> int:
        """Return the number of the policy called `name`; ValueError lists the valid names."""
        if name not in self._policies:
            raise ValueError(f"unknown policy {name!r}; the policies are {', '.join(self.names)}")
        return self._numbers[name]

    def reads(self) -> frozenset[str]:
        """Unite the observation groups that any of the policies reads."""
        return frozenset().union(*(policy.reads for policy in self._policies.values()))

    def check(self) -> None:
        """Raise ValueError if a seat names no policy or the training seats hold several."""
        low, high = int(self.policy_index.min()), int(self.policy_index.max())
        if low < 0 or high >= len(self._policies):
            wrong = (self.policy_index < 0) | (self.policy_index >= len(self._policies))
            row, agent = (int(i) for i in wrong.nonzero()[0])
            raise ValueError(
                f"environment {row}, agent {agent}: there is no policy "
                f"{int(self.policy_index[row, agent])}; the policies are 0 to "
                f"{len(self._policies) - 1} ({', '.join(self.names)})"
            )
        _ = self.training_policy

    @classmethod
    def self_play(
        cls, env: VecEnv, policy: Policy, *, name: str = "policy", train: bool = True
    ) -> Seating:
        """Seat one policy everywhere; every seat trains unless `train` is false."""
        index = torch.zeros(env.num_envs, env.spec.num_agents, dtype=torch.int64)
        return cls({name: policy}, index, torch.full_like(index, train, dtype=torch.bool))

    @classmethod
    def versus(
        cls,
        env: VecEnv,
        a: Policy,
        b: Policy,
        *,
        names: tuple[str, str] = ("a", "b"),
        swap_sides: bool = True,
        train: bool = False,
    ) -> Seating:
        """Seat `a` at the first team and `b` at all others.

        With `swap_sides` they change places in every second row, so that the first n rows are
        balanced for every even n.  With `train` the seats of `a` train.  ValueError if there is
        only one team.
        """
        index = side_index(env.spec, env.num_envs, swap_sides=swap_sides)
        if names[0] == names[1]:
            raise ValueError(f"the two policies need different names, both are called {names[0]!r}")
        return cls(dict(zip(names, (a, b), strict=True)), index, (index == 0) & train)


def side_index(spec: EnvSpec, num_envs: int, *, swap_sides: bool) -> Tensor:
    """Return 0 at the seats of the home side and 1 at the others' `[num_envs, A]` int64.

    Home is the first team; with `swap_sides`, all but the first team in every second row.
    """
    if len(set(spec.teams)) < 2:
        raise ValueError(f"{spec.id} has one team, {spec.teams}: nobody plays versus anybody")
    away = torch.tensor([int(team != spec.teams[0]) for team in spec.teams])
    index = away.expand(num_envs, -1).clone()
    if swap_sides:
        index[1::2] = 1 - index[1::2]
    return index


@runtime_checkable
class Matchmaker(Protocol):
    """Choose opponents when episodes start, so that an opponent stays for the whole episode."""

    def seat(self, rows: Tensor, seating: Seating) -> None:
        """Choose who plays the episodes that start now in environments `rows` `[K]` int64.

        May write `seating.policy_index` in these rows at seats that do not train, and may call
        `seating.add`.  The engine raises ValueError if anything else was changed.
        """
        ...


def check_seated(before: Tensor, seating: Seating, rows: Tensor) -> None:
    """Raise ValueError if a matchmaker moved a training seat or a row that it was not given."""
    moved = before != seating.policy_index
    allowed = torch.zeros_like(moved)
    allowed[rows] = True
    allowed &= ~seating.trains
    wrong = (moved & ~allowed).nonzero()
    if len(wrong):
        row, agent = (int(i) for i in wrong[0])
        why = "trains" if bool(seating.trains[row, agent]) else "is in the middle of an episode"
        raise ValueError(
            f"the matchmaker changed the policy of environment {row}, agent {agent}, which {why}"
        )
    seating.check()
