"""Recordings of what somebody saw and did, to be learned from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from simrl.core.env import VecEnv
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating


@dataclass(frozen=True)
class Demonstrations:
    """Hold T steps of L lanes; a lane is what one seat saw and did, episode after episode."""

    obs: dict[str, Tensor]
    """Observation groups, each `[T, L, ...]`."""
    action: Tensor
    """What was done `[T, L, heads]` int64 or `[T, L, size]` float32."""
    episode_start: Tensor
    """Whether step t is the first of its episode `[T, L]` bool; every lane starts with one."""
    weight: Tensor
    """How much each step counts `[T, L]` float32; 0 where a lane has ended already."""

    @property
    def num_steps(self) -> int:
        """Steps that count."""
        return int((self.weight > 0).sum())

    def select(self, lanes: Tensor) -> Demonstrations:
        """Return some of the lanes."""
        return self._each(lambda value: value.index_select(1, lanes))

    def to(self, device: torch.device | str) -> Demonstrations:
        """Return the same steps on `device`."""
        return self._each(lambda value: value.to(device))

    def pieces(self, length: int) -> Demonstrations:
        """Cut every lane into stretches of `length` steps, laid side by side: piece k * L + lane.

        The last stretch is padded with steps of weight 0.
        """
        steps = self.weight.shape[0]
        count = math.ceil(steps / length)
        where = torch.arange(count * length).clamp_max(steps - 1)
        padding = torch.arange(count * length) >= steps

        def cut(value: Tensor) -> Tensor:
            laid = value.index_select(0, where).unflatten(0, (count, length))
            return laid.transpose(0, 1).flatten(1, 2)

        result = self._each(cut)
        dead = (
            padding.unflatten(0, (count, length)).t().repeat_interleave(self.weight.shape[1], dim=1)
        )
        return replace(result, weight=result.weight.masked_fill(dead, 0.0))

    @staticmethod
    def cat(parts: Sequence[Demonstrations]) -> Demonstrations:
        """Lay demonstrations of the same environment side by side, shorter ones padded."""
        if not parts:
            raise ValueError("there are no demonstrations to join")
        steps = max(part.weight.shape[0] for part in parts)

        def padded(value: Tensor) -> Tensor:
            # Repeating the last step keeps masks and actions legal; its weight is 0.
            missing = steps - value.shape[0]
            return torch.cat([value, value[-1:].expand(missing, *value.shape[1:])])

        def longer(part: Demonstrations) -> Demonstrations:
            weight = part.weight
            missing = weight.new_zeros(steps - weight.shape[0], weight.shape[1])
            return replace(part._each(padded), weight=torch.cat([weight, missing]))

        parts = [longer(part) for part in parts]
        return Demonstrations(
            obs={name: torch.cat([p.obs[name] for p in parts], 1) for name in parts[0].obs},
            action=torch.cat([p.action for p in parts], 1),
            episode_start=torch.cat([p.episode_start for p in parts], 1),
            weight=torch.cat([p.weight for p in parts], 1),
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> Demonstrations:
        return Demonstrations(
            obs={name: change(value) for name, value in self.obs.items()},
            action=change(self.action),
            episode_start=change(self.episode_start),
            weight=change(self.weight),
        )


def collect_demonstrations(
    env: VecEnv,
    expert: Policy,
    net: ActorCritic,
    *,
    steps: int,
    seed: int,
    opponent: Policy | None = None,
    deterministic: bool = False,
) -> Demonstrations:
    """Let `expert` play `steps` steps of every environment, and keep what `net` needs of it.

    The expert takes every seat; with an `opponent` one side, swapped in every second row.  With
    `deterministic` it plays its most probable actions.
    """
    seated = _Shown(expert, net.reads, deterministic)
    if opponent is None:
        seating = Seating.self_play(env, seated)
    else:
        seating = Seating.versus(env, seated, opponent, train=True)
    buffer = RolloutEngine(env, seating, seed=seed).collect(steps)
    return Demonstrations(
        obs={name: buffer.obs[name].clone() for name in net.reads},
        action=buffer.action.clone(),
        episode_start=buffer.episode_start.clone(),
        weight=torch.ones_like(buffer.reward),
    )


class _Shown:
    """Act as another policy, and have the engine keep more groups than it reads."""

    def __init__(self, policy: Policy, reads: frozenset[str], deterministic: bool) -> None:
        self.policy = policy
        self.reads = frozenset(policy.reads) | reads
        self.deterministic = deterministic

    def initial_state(self, num_rows: int) -> PolicyState:
        return self.policy.initial_state(num_rows)

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        return self.policy.act(obs, state, rng, deterministic=deterministic or self.deterministic)
