"""Measure how far two rewards are apart, without training a policy on either: EPIC and DARD.

Both compare rewards after a canonical shift that takes potential shaping away, and neither sees a
positive scale.  Two rewards at distance 0 order policies alike; 1 is a reward and its negative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

RewardFunction = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Reward of rows of state, action and next state, each `[R, ...]`: `[R]`."""


ROWS = 65_536
"""Rows that a reward is asked about at a time."""


def pearson_distance(first: Tensor, second: Tensor) -> float:
    """Return √((1 - ρ) / 2) of two samples `[R]`, ρ being Pearson's correlation.

    0 for a positive multiple (plus a constant), 1 for a negative one; NaN if one is constant.
    """
    x, y = first.double() - first.double().mean(), second.double() - second.double().mean()
    norm = float(x.norm() * y.norm())
    if norm == 0.0:
        return float("nan")
    correlation = min(1.0, max(-1.0, float(x @ y) / norm))
    return float(np.sqrt(0.5 * (1.0 - correlation)))


def epic_distance(
    first: RewardFunction,
    second: RewardFunction,
    transitions: tuple[Tensor, Tensor, Tensor],
    profile: tuple[Tensor, Tensor],
    gamma: float,
) -> float:
    """Return the EPIC distance of two rewards, estimated from samples, within 0 and 1.

    Gleave et al. 2021, "Quantifying differences in reward functions", definitions 4.1 and 4.7.

    Args:
        first: One reward.
        second: The other.
        transitions: State, action and next state `[R, ...]` over which they are correlated (the
            coverage distribution).
        profile: Actions and states `[K, ...]` with which the expectations of `canonical_epic` are
            taken: drawn independently of each other and of the transitions.
        gamma: Discount.
    """
    parts = [canonical_epic(reward, transitions, profile, gamma) for reward in (first, second)]
    return pearson_distance(*parts)


def canonical_epic(
    reward: RewardFunction,
    transitions: tuple[Tensor, Tensor, Tensor],
    profile: tuple[Tensor, Tensor],
    gamma: float,
) -> Tensor:
    """Return C(R) of transitions `[R]` float64, free of potential shaping.

    C(R)(s, a, s') = R(s, a, s') + E[γ R(s', A, S') - R(s, A, S') - γ R(S, A, S')], with the same
    K pairs (A, S') for every expectation and all K states in turn as S.
    """
    state, action, following = transitions
    actions, states = profile

    def expected(source: Tensor) -> Tensor:
        """Return E[R(x, A, S')] for each row x of `source`."""
        rows = []
        for part in source.split(max(1, ROWS // len(states))):
            size, count = len(part), len(states)
            value = reward(
                part.repeat_interleave(count, 0), _tiled(actions, size), _tiled(states, size)
            )
            rows.append(value.double().view(size, count).mean(1))
        return torch.cat(rows)

    shift = gamma * expected(states).mean()
    direct = reward(state, action, following).double()
    return direct + gamma * expected(following) - expected(state) - shift


def dard_distance(
    first: RewardFunction,
    second: RewardFunction,
    transitions: tuple[Tensor, Tensor, Tensor],
    model: Callable[[Tensor, Tensor], Tensor],
    actions: Tensor,
    gamma: float,
) -> float:
    """Return the DARD distance of two rewards, estimated from samples, within 0 and 1.

    Wulfe et al. 2022, "Dynamics-aware comparison of learned reward functions", equation 3.
    Unlike EPIC, which pairs any state with any other, the rewards are asked about what the task can
    do from where it is: a learned reward has seen nothing else, and the rest of it is noise.

    Args:
        first: One reward.
        second: The other.
        transitions: State, action and next state `[R, ...]` that really followed each other.
        model: Next states `[B, ...]` of states and actions `[B, ...]`, such as a simulator.
        actions: Actions `[K, ...]` with which the expectations of `canonical_dard` are taken.
        gamma: Discount.
    """
    parts = [
        canonical_dard(reward, transitions, model, actions, gamma) for reward in (first, second)
    ]
    return pearson_distance(*parts)


def canonical_dard(
    reward: RewardFunction,
    transitions: tuple[Tensor, Tensor, Tensor],
    model: Callable[[Tensor, Tensor], Tensor],
    actions: Tensor,
    gamma: float,
) -> Tensor:
    """Return C_T(R) of transitions `[R]` float64, free of potential shaping.

    C_T(R)(s, a, s') = R(s, a, s') + E[γ R(s', A, S'') - R(s, A, S') - γ R(S', A, S'')], where
    S' follows s and an action, and S'' follows s' and A.  Every expectation is taken over all K
    actions; the last one pairs each S' with each A and its S''.  That term alone may hold steps
    that are not quite possible (S'' follows s', not S'): it must, for the shaping to cancel.
    """
    state, action, following = transitions
    count = len(actions)
    results = []
    for index in torch.arange(len(state)).split(max(1, ROWS // count**2)):
        now, after, size = state[index], following[index], len(index)
        chosen = _tiled(actions, size)

        def mean(value: Tensor, size: int = size) -> Tensor:
            return value.double().view(size, -1).mean(1)

        from_now, from_after = now.repeat_interleave(count, 0), after.repeat_interleave(count, 0)
        first, second = model(from_now, chosen), model(from_after, chosen)  # S' and S'' [B K]
        direct = reward(now, action[index], after).double()
        later = mean(reward(from_after, chosen, second))
        instead = mean(reward(from_now, chosen, first))
        crossed = reward(
            first.repeat_interleave(count, 0),
            _tiled(actions, size * count),
            _paired(second, count),
        )
        results.append(direct + gamma * later - instead - gamma * mean(crossed))
    return torch.cat(results)


def _paired(rows: Tensor, count: int) -> Tensor:
    """Repeat each group of `count` rows `count` times: `[B count, ...]` to `[B count², ...]`."""
    groups = rows.unflatten(0, (-1, count))
    return groups.repeat_interleave(count, 0).flatten(0, 1)


def _tiled(rows: Tensor, times: int) -> Tensor:
    """Repeat all rows `times` times: `[times K, ...]`."""
    return rows.repeat(times, *[1] * (rows.ndim - 1))
