"""The actor-critic network, built from an environment's spec."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from simrl.core.actions import DiscreteActions
from simrl.core.spec import EnvSpec, Layout
from simrl.core.timestep import Obs
from simrl.nn.distributions import ClippedGaussian, Distribution, MaskedHeads
from simrl.nn.encoders import EncoderConfig, ObsEncoder
from simrl.nn.history import History, joined_layout
from simrl.nn.layers import linear, mlp
from simrl.nn.normaliser import RunningNormaliser
from simrl.nn.recurrent import Recurrent, RecurrentKind

CriticKind = Literal["shared", "separate", "privileged"]


@dataclass(frozen=True)
class ActorCriticConfig:
    """Choose the network's parts and sizes."""

    hidden: tuple[int, ...] = (128,)
    """Widths of the trunk's layers after the encoders."""
    activation: Literal["relu", "leaky_relu", "tanh"] = "relu"
    """Activation of encoders and trunk."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """How observation blocks are encoded."""
    recurrent: RecurrentKind = "none"
    """Memory after the trunk: "none", "lstm" or "gru"."""
    recurrent_width: int = 128
    """Width of the memory."""
    recurrent_bf16: bool = False
    """Run the memory under bfloat16 autocast; faster on processors with AVX512-BF16."""
    critic: CriticKind = "shared"
    """Where values come from: "shared" (the actor's features), "separate" (an encoder and trunk of
    its own on the "policy" group) or "privileged" (the same on the "critic" group)."""
    attention_heads: Mapping[str, str] = field(default_factory=dict)
    """Heads that choose among units: head name -> table block whose row i stands for value i."""
    pool_attended: bool = True
    """Whether tables that attention heads look at are pooled into the features as well; switch off
    where their rows repeat what other tables hold."""
    attention_width: int = 32
    """Width of the queries and keys of attention heads."""
    history: int = 0
    """Past observations that the "policy" group is joined with: a short memory without recurrence,
    from which delays, loads and speeds can be told."""
    normalise_obs: bool = False
    """Scale observations by their running mean and deviation."""
    initial_log_std: float = 0.0
    """Logarithm of the first standard deviation of continuous actions, in half ranges."""
    policy_gain: float = 0.01
    """Gain of the policy head's orthogonal initialisation; small means nearly uniform at first."""


class ActorCritic(nn.Module):
    """Map observation rows to an action distribution and one value for each reward group.

    Attention heads follow Ye et al. 2020, "Mastering Complex Control in MOBA Games with Deep
    Reinforcement Learning": the logit of value i gains query(h) · key(row i of a table).
    """

    value_mean: Tensor
    value_scale: Tensor
    value_moments: Tensor

    def __init__(self, spec: EnvSpec, config: ActorCriticConfig | None = None) -> None:
        """Build the network for `spec`.

        Raises ValueError naming an unknown head, block or group, with the valid ones.
        """
        super().__init__()
        config = config or ActorCriticConfig()
        self.spec = spec
        self.config = config
        self.actions = spec.actions
        self.num_values = len(spec.value_groups)
        if config.history < 0:
            raise ValueError(f"history must be at least 0, got {config.history}")
        layout = spec.observations["policy"]
        self.history = History(config.history, layout.size) if config.history else None
        self._check_attention(config)
        self.encoder = ObsEncoder(
            joined_layout(layout, config.history),
            config.encoder,
            config.activation,
            row_features=tuple(dict.fromkeys(config.attention_heads.values())),
            pool_rows=config.pool_attended,
        )
        self.trunk = mlp(self.encoder.width, config.hidden, config.activation)
        width = config.hidden[-1] if config.hidden else self.encoder.width
        self.memory: Recurrent | None = None
        if config.recurrent != "none":
            self.memory = Recurrent(
                config.recurrent, width, config.recurrent_width, config.recurrent_bf16
            )
            width = config.recurrent_width
        self.critic = self._make_critic(config)
        self.num_logits = (
            sum(head.size for head in self.actions.heads)
            if isinstance(self.actions, DiscreteActions)
            else self.actions.size
        )
        # Logits and, where the critic shares the features, values come from one layer.
        shared_values = self.num_values if self.critic is None else 0
        self.head = linear(width, self.num_logits + shared_values, 1.0)
        with torch.no_grad():
            nn.init.orthogonal_(self.head.weight[: self.num_logits], config.policy_gain)
            if shared_values:
                nn.init.orthogonal_(self.head.weight[self.num_logits :], 1.0)
        if not isinstance(self.actions, DiscreteActions):
            self.log_std = nn.Parameter(torch.full((self.num_logits,), config.initial_log_std))
        self.query = nn.ModuleDict()
        self.key = nn.ModuleDict()
        for head in config.attention_heads:
            self.query[head] = linear(width, config.attention_width, 1.0)
            self.key[head] = nn.Linear(
                config.encoder.table_width, config.attention_width, bias=False
            )
        self.normaliser = RunningNormaliser(layout) if config.normalise_obs else None
        self.register_buffer("value_mean", torch.zeros(self.num_values))
        self.register_buffer("value_scale", torch.ones(self.num_values))
        self.register_buffer("value_moments", torch.zeros(2, self.num_values, dtype=torch.float64))

    @property
    def reads(self) -> frozenset[str]:
        """Observation groups that the network needs to act and to value."""
        groups = {"policy"}
        if isinstance(self.actions, DiscreteActions):
            groups.add("action_mask")
        if self.config.critic == "privileged":
            groups.add("critic")
        return frozenset(groups)

    @property
    def stateful(self) -> bool:
        """Whether anything is remembered from step to step: a recurrent cell, or a history."""
        return self.memory is not None or self.history is not None

    def initial_state(self, num_rows: int) -> dict[str, Tensor]:
        """Return the memory at the start of an episode, `[num_rows, width]`; {} if none."""
        device = self.head.weight.device
        state: dict[str, Tensor] = {}
        if self.memory is not None:
            state |= self.memory.initial_state(num_rows, device)
        if self.history is not None:
            state |= self.history.initial_state(num_rows, device)
        return state

    def remember(self, obs: Obs, state: Mapping[str, Tensor]) -> tuple[Obs, dict[str, Tensor]]:
        """Join "policy" with the past ones in `state`, and return what is kept of them."""
        if self.history is None:
            return obs, {}
        joined, kept = self.history.step(obs["policy"], state)
        return {**obs, "policy": joined}, kept

    def remember_sequence(
        self, obs: Obs, start_state: Mapping[str, Tensor], episode_start: Tensor
    ) -> Obs:
        """Join "policy" `[T, B, D]` with the past, as `remember` would step by step."""
        if self.history is None or obs["policy"].shape[-1] != self.history.size:
            return obs
        joined = self.history.sequence(obs["policy"], start_state, episode_start)
        return {**obs, "policy": joined}

    def act_step(
        self, obs: Obs, state: Mapping[str, Tensor], *, need_value: bool = True
    ) -> tuple[Distribution, Tensor, dict[str, Tensor]]:
        """Advance one step: distribution over R rows, values `[R, V]` and the new memory."""
        obs, new_state = self.remember(obs, state)
        features, rows = self.encoder(self._policy_obs(obs))
        features = self.trunk(features)
        if self.memory is not None:
            features, kept = self.memory.step(features, state)
            new_state |= kept
        dist, value = self._heads(obs, features, rows, need_value)
        return dist, value, new_state

    def sequence(
        self, obs: Obs, start_state: Mapping[str, Tensor], episode_start: Tensor
    ) -> tuple[Distribution, Tensor]:
        """Run whole sequences: distribution over T*B rows (time first) and values `[T, B, V]`.

        obs: each `[T, B, ...]`, where "policy" may have been joined with its past already;
        start_state: `[B, width]` before step 0; episode_start: `[T, B]` bool, True where the memory
        was reset just before step t.
        """
        obs = self.remember_sequence(obs, start_state, episode_start)
        num_steps, batch = episode_start.shape
        flat = {name: value.flatten(0, 1) for name, value in obs.items()}
        features, rows = self.encoder(self._policy_obs(flat))
        features = self.trunk(features)
        if self.memory is not None:
            shaped = features.unflatten(0, (num_steps, batch))
            features = self.memory.sequence(shaped, start_state, episode_start).flatten(0, 1)
        dist, value = self._heads(flat, features, rows, True)
        return dist, value.unflatten(0, (num_steps, batch))

    def value(self, obs: Obs, state: Mapping[str, Tensor]) -> Tensor:
        """Return the values `[R, V]` of observation rows, given the memory before them."""
        return self.act_step(obs, state)[1]

    def distribution(self, logits: Tensor, mask: Tensor | None) -> Distribution:
        """Make the action distribution of logits or means `[R, outputs]`."""
        if isinstance(self.actions, DiscreteActions):
            return MaskedHeads(self.actions, logits, mask)
        return ClippedGaussian(self.actions, logits, self.log_std)

    def update_normaliser(self, obs: Obs) -> None:
        """Merge observations `[..., D]` into the running statistics, where there are any."""
        if self.normaliser is not None:
            self.normaliser.update(obs["policy"])
        if self.critic is not None and self.critic.normaliser is not None:
            self.critic.normaliser.update(obs[self.critic.group])

    @torch.no_grad()
    def update_value_scale(self, returns: Tensor, rate: float = 0.05) -> None:
        """Follow mean and deviation of the returns `[..., V]` and keep every value as it was.

        The last layer then works in units of each group's deviation (van Hasselt et al. 2016,
        "Learning values across many orders of magnitude", PopArt).  `rate` is the weight of the
        newest returns; the first ones count fully.
        """
        rows = returns.reshape(-1, self.num_values).double()
        moments = torch.stack([rows.mean(0), rows.square().mean(0)])
        first = bool((self.value_moments[1] == 0).all())
        self.value_moments.lerp_(moments, 1.0 if first else rate)
        mean = self.value_moments[0].float()
        variance = self.value_moments[1] - self.value_moments[0].square()
        scale = variance.clamp_min(1e-8).sqrt().float().clamp_min(1e-2)
        layer, start = (
            (self.head, self.num_logits) if self.critic is None else (self.critic.head, 0)
        )
        layer.weight[start:] *= (self.value_scale / scale)[:, None]
        layer.bias[start:] *= self.value_scale / scale
        layer.bias[start:] += (self.value_mean - mean) / scale
        self.value_mean.copy_(mean)
        self.value_scale.copy_(scale)

    def _policy_obs(self, obs: Obs) -> Tensor:
        x = obs["policy"]
        return x if self.normaliser is None else self.normaliser(x)

    def _heads(
        self, obs: Obs, features: Tensor, rows: dict[str, Tensor], need_value: bool
    ) -> tuple[Distribution, Tensor]:
        output = self.head(features)
        if self.critic is None:
            logits, value = output.split((self.num_logits, self.num_values), -1)
        else:
            logits = output
            value = (
                self.critic(obs, features)
                if need_value
                else output.new_zeros(output.shape[0], self.num_values)
            )
        value = value * self.value_scale + self.value_mean
        if self.config.attention_heads:
            logits = self._attend(logits, features, rows)
        return self.distribution(logits, obs.get("action_mask")), value

    def _attend(self, logits: Tensor, features: Tensor, rows: dict[str, Tensor]) -> Tensor:
        """Add query · key to the logits of the heads that choose among units."""
        heads = self.actions.heads if isinstance(self.actions, DiscreteActions) else ()
        parts = list(logits.split([head.size for head in heads], -1))
        names = [head.name for head in heads]
        for head, block in self.config.attention_heads.items():
            index = names.index(head)
            query = self.query[head](features) / math.sqrt(self.config.attention_width)
            # query · (W r) = (query W) · r: the keys themselves are never built.  A key's bias
            # would add the same to every unit, which softmax does not see, so there is none.
            mixed = query @ self.key[head].weight
            scores = (rows[block] * mixed.unsqueeze(1)).sum(-1)  # bmm is 6 times slower here
            missing = parts[index].shape[-1] - scores.shape[-1]
            parts[index] = parts[index] + nn.functional.pad(scores, (0, missing))
        return torch.cat(parts, -1)

    def _check_attention(self, config: ActorCriticConfig) -> None:
        if not config.attention_heads:
            return
        if not isinstance(self.actions, DiscreteActions):
            raise ValueError("attention_heads need discrete actions")
        sizes = {head.name: head.size for head in self.actions.heads}
        layout = self.spec.observations["policy"]
        for head, name in config.attention_heads.items():
            if head not in sizes:
                raise ValueError(f"unknown head {head!r}; the heads are {', '.join(sizes)}")
            block = layout.block(name)
            if block.shape[0] > sizes[head]:
                raise ValueError(
                    f"head {head!r} has {sizes[head]} values, but block {name!r} has "
                    f"{block.shape[0]} rows"
                )

    def _make_critic(self, config: ActorCriticConfig) -> Critic | None:
        if config.critic == "shared":
            return None
        group = {"separate": "policy", "privileged": "critic"}.get(config.critic)
        if group is None:
            raise ValueError(
                f"unknown critic {config.critic!r}; the kinds are shared, separate, privileged"
            )
        if group not in self.spec.observations:
            raise ValueError(
                f"{self.spec.id} has no observation group {group!r}; its groups are "
                f"{', '.join(self.spec.observations)}"
            )
        memory = config.recurrent_width if config.recurrent != "none" else 0
        layout = self.spec.observations[group]
        frames = config.history if group == "policy" else 0
        return Critic(self.spec, group, joined_layout(layout, frames), config, memory)


class Critic(nn.Module):
    """Value the situation with an encoder and trunk of its own.

    Where the actor has memory, its output joins the critic's features, without gradient.
    """

    def __init__(
        self,
        spec: EnvSpec,
        group: str,
        layout: Layout,
        config: ActorCriticConfig,
        memory_width: int,
    ) -> None:
        """Build for observation group `group`; `memory_width` is 0 for an actor without memory.

        layout: that of the group, joined with its past if the actor has a history of it.
        """
        super().__init__()
        self.group = group
        self.memory_width = memory_width
        self.encoder = ObsEncoder(layout, config.encoder, config.activation)
        inputs = self.encoder.width + memory_width
        self.trunk = mlp(inputs, config.hidden, config.activation)
        width = config.hidden[-1] if config.hidden else inputs
        self.head = linear(width, len(spec.value_groups), 1.0)
        seen = spec.observations[group]
        self.normaliser = RunningNormaliser(seen) if config.normalise_obs else None

    def forward(self, obs: Obs, actor_features: Tensor) -> Tensor:
        """Return values `[R, V]`."""
        x = obs[self.group]
        if self.normaliser is not None:
            x = self.normaliser(x)
        features, _ = self.encoder(x)
        if self.memory_width:
            features = torch.cat([features, actor_features.detach()], -1)
        value: Tensor = self.head(self.trunk(features))
        return value
