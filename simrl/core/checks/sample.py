"""Draw random legal actions, and lay observations out as policies are handed them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs


def random_action(spec: EnvSpec, obs: Obs, rng: torch.Generator) -> Tensor:
    """Draw a legal action for every agent, `[N, A, heads]` int64 or `[N, A, size]` float32.

    The selector is drawn first, then the heads that count for it; the others are 0.
    """
    lead = obs["policy"].shape[:2]
    actions = spec.actions
    if not isinstance(actions, DiscreteActions):
        low, high = torch.tensor(actions.low), torch.tensor(actions.high)
        return low + (high - low) * torch.rand(*lead, actions.size, generator=rng)
    mask = obs["action_mask"]
    values: list[Tensor] = []
    for index in range(actions.num_heads):
        legal = actions.head_mask(mask, index, values[0] if values else None)
        score = torch.rand(legal.shape, generator=rng).masked_fill(~legal, -1.0)
        values.append(score.argmax(-1))
    action = torch.stack(values, dim=-1)
    return torch.where(actions.used(mask, values[0]), action, torch.zeros_like(action))


def seat_rows(obs: Obs, reads: Iterable[str], num_agents: int) -> dict[str, Tensor]:
    """Lay observations `[N, A, ...]` out as the rows `[N * A, ...]` of a policy in every seat.

    "state" `[N, S]` is repeated for each agent, and "seat" says which agent a row is.
    """
    num_envs = obs["policy"].shape[0]
    rows = {
        name: obs[name].repeat_interleave(num_agents, dim=0)
        if name == "state"
        else obs[name].flatten(0, 1)
        for name in reads
        if name != "seat"
    }
    rows["seat"] = torch.arange(num_agents).repeat(num_envs)
    return rows
