"""An ensemble of reward functions learned from comparisons, evaluated in one batch."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from simrl.core.spec import EnvSpec, Layout
from simrl.nn.encoders import EncoderConfig, ObsEncoder
from simrl.preferences.action_encoder import ActionEncoder
from simrl.preferences.segment import SegmentBatch

Activation = Literal["relu", "leaky_relu", "tanh"]
Output = Literal["tanh", "linear"]

CHUNK = 8192
"""Rows whose rewards are worked out at a time, so that they stay in the cache."""

_ACTIVATE = {"relu": torch.relu_, "leaky_relu": F.leaky_relu_, "tanh": torch.tanh_}
# Gain of the first weights for each activation, as torch.nn.init.calculate_gain gives it.
_GAIN = {"relu": math.sqrt(2.0), "leaky_relu": math.sqrt(2.0), "tanh": 5.0 / 3.0}


@dataclass(frozen=True)
class RewardModelConfig:
    """Choose the networks of a reward model.

    The defaults are B-Pref's (Lee et al. 2021, "B-Pref: Benchmarking preference-based reinforcement
    learning").
    """

    members: int = 3
    """Networks in the ensemble; where they disagree, the data does not say."""
    hidden: tuple[int, ...] = (256, 256, 256)
    """Widths of each member's layers after the encoders."""
    activation: Activation = "leaky_relu"
    """Activation of encoders and layers: "relu", "leaky_relu" or "tanh"."""
    output: Output = "tanh"
    """What bounds a step's reward: "tanh" (within -1 and 1) or "linear" (nothing)."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """How observation blocks are encoded; tables and maps go through the policies' encoders."""
    use_action: bool = True
    """Whether the reward may depend on the action."""
    normalise_obs: bool = True
    """Scale vector blocks by mean and deviation of the labelled data; tables and maps stay."""
    absorbing: bool = True
    """Whether a termination leads to an absorbing state whose reward is learned. Without it an end
    counts as average play: for a reward that joins a game's own, whose business the end is."""
    reward_std: float = 1.0
    """Standard deviation to which `reward` is scaled."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.members < 1:
            raise ValueError(f"members must be at least 1, got {self.members}")
        if any(width < 1 for width in self.hidden):
            raise ValueError(f"hidden widths must be at least 1, got {self.hidden}")
        for name, known in (("activation", tuple(_ACTIVATE)), ("output", ("tanh", "linear"))):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; the choices are {', '.join(known)}"
                )
        if self.reward_std <= 0:
            raise ValueError(f"reward_std must be positive, got {self.reward_std}")


class RewardEnsemble(nn.Module):
    """Predict the reward that people have in mind: E networks r̂(s, a), and r̂ of being absorbed.

    **Unequal lengths.**  A segment's return is the sum of r̂ over the steps that happened.  Where
    the task terminated, the steps from there to L are spent in the absorbing state, whose reward
    each member learns: falling early then costs what the missing steps would have paid, and no sign
    of r̂ leaks from the length.  Where a time limit or the recording's end cut a segment, nothing
    is known of the rest, and the sum is over what there is; a cut segment of fewer steps then has a
    return nearer to zero, so compare segments of equal length there (`cut_segments` drops cut rests
    by default).

    **Units.**  Comparisons fix r̂ up to a constant per step and member.  `reward` takes it away and
    scales the ensemble's mean to `reward_std`.  Zero is the absorbing state once its reward was
    learned (so that termination itself pays nothing); before that it is the mean over the data, and
    termination counts as average, since nothing is known of it.
    """

    obs_shift: Tensor
    obs_scale: Tensor
    zero: Tensor
    unit: Tensor
    terminates: Tensor
    """Whether the reward of the absorbing state was learned: labelled segments ended in it."""
    temperature: Tensor
    """What logits are divided by in `probability`; 1 until it is fitted on held-out pairs."""

    def __init__(
        self, spec: EnvSpec, config: RewardModelConfig | None = None, *, seed: int = 0
    ) -> None:
        """Build for the "policy" observations and the actions of `spec`; `seed` draws weights."""
        super().__init__()
        self.spec = spec
        self.config = config = config or RewardModelConfig()
        self.layout = spec.observations["policy"]
        self._scaled = _vector_slices(self.layout)
        self.action_encoder = ActionEncoder(spec.actions) if config.use_action else None
        action_size = 0 if self.action_encoder is None else self.action_encoder.width
        members = config.members
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # the initialisers of torch.nn draw from the global generator
            encoders = [
                ObsEncoder(self.layout, config.encoder, config.activation) for _ in range(members)
            ]
            widths = [encoders[0].width + action_size, *config.hidden, 1]
            self.weights = nn.ParameterList()
            self.biases = nn.ParameterList()
            for inputs, outputs in pairwise(widths):
                last = len(self.weights) == len(config.hidden)
                gain = 1.0 if last else _GAIN[config.activation]
                weight = torch.empty(members, outputs, inputs)
                for member in weight:
                    nn.init.orthogonal_(member, gain)
                self.weights.append(nn.Parameter(weight))
                self.biases.append(nn.Parameter(torch.zeros(members, outputs, 1)))
        self.plain = encoders[0].identity
        """Whether the observations are one flat vector, that no encoder touches."""
        self.encoders = nn.ModuleList([] if self.plain else encoders)
        self.absorbing_raw = nn.Parameter(torch.zeros(members))
        self.register_buffer("obs_shift", torch.zeros(self.layout.size))
        self.register_buffer("obs_scale", torch.ones(self.layout.size))
        self.register_buffer("zero", torch.zeros(members))
        self.register_buffer("unit", torch.ones(()))
        self.register_buffer("terminates", torch.zeros((), dtype=torch.bool))
        self.register_buffer("temperature", torch.ones(()))

    def inputs(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return what the members read `[..., D + action size]`: scaled obs, encoded action."""
        if self.config.normalise_obs:
            obs = (obs - self.obs_shift) * self.obs_scale
            for part in self._scaled:
                obs[..., part].clamp_(-10.0, 10.0)
        if self.action_encoder is None:
            return obs
        return torch.cat([obs, self.action_encoder(action)], -1)

    def member_rewards(self, obs: Tensor, action: Tensor) -> Tensor:
        """Return r̂ of each member `[E, ...]` for obs `[..., D]` and action `[..., H]`."""
        lead = obs.shape[:-1]
        x = self.inputs(obs, action).flatten(0, -2) if lead else self.inputs(obs, action)[None]
        return self.forward(x).unflatten(1, lead) if lead else self.forward(x)[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """Return r̂ of each member `[E, R]` for rows `[R, D + action size]` of `inputs`.

        Layers map `[E, inputs, R]` to `[E, outputs, R]`: with rows last, the first layer of all
        members is one product with the rows that they share.
        """
        hidden = self._features(x)
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = torch.baddbmm(bias, weight, hidden)
            if index < last:
                hidden = _ACTIVATE[self.config.activation](hidden)
        return self._bounded(hidden.squeeze(1))

    def absorbing(self) -> Tensor:
        """Return r̂ of the absorbing state after a termination, for each member `[E]`."""
        return self._bounded(self.absorbing_raw)

    def segment_returns(self, batch: SegmentBatch) -> Tensor:
        """Return the sum of r̂ over each segment `[E, M]`, the absorbed steps included."""
        rewards = self.member_rewards(batch.obs, batch.action)
        return self.returns_of(rewards, batch.mask, self.absorbed(batch))

    def absorbed(self, batch: SegmentBatch) -> Tensor:
        """Return the steps that each segment spends in the absorbing state `[M]` int64."""
        return batch.absorbed if self.config.absorbing else torch.zeros_like(batch.absorbed)

    def returns_of(self, rewards: Tensor, mask: Tensor, absorbed: Tensor) -> Tensor:
        """Sum step rewards `[E, M, L]` into returns `[E, M]`: the rule for unequal lengths.

        mask: which steps happened `[M, L]`; absorbed: steps spent absorbed `[M]`.
        """
        observed = (rewards * mask).sum(-1)
        return observed + self.absorbing()[:, None] * absorbed

    def preference(self, first: SegmentBatch, second: SegmentBatch) -> Tensor:
        """Return the logit of "the first is better" `[E, P]` of each member."""
        both = self.segment_returns(SegmentBatch.cat([first, second]))
        return both[:, : len(first)] - both[:, len(first) :]

    @torch.no_grad()
    def logits(self, first: SegmentBatch, second: SegmentBatch, *, chunk: int = 64) -> Tensor:
        """Return `preference` `[E, P]` without gradient, `chunk` pairs at a time."""
        parts = [
            self.preference(first.select(index), second.select(index))
            for index in torch.arange(len(first)).split(chunk)
        ]
        return torch.cat(parts, 1) if parts else self.zero.new_zeros(self.config.members, 0)

    def probability(self, first: SegmentBatch, second: SegmentBatch) -> Tensor:
        """Return the calibrated probability that the first is better `[P]`.

        It is σ(mean logit of the members / temperature), as `reward` too is the members' mean.
        """
        return torch.sigmoid(self.logits(first, second).mean(0) / self.temperature)

    @torch.no_grad()
    def reward(self, obs: Tensor, action: Tensor, *, pessimism: float = 0.0) -> Tensor:
        """Return the normalised reward `[...]` of obs `[..., D]` and action `[..., H]`.

        It is the members' mean minus `pessimism` times their standard deviation: a policy then
        keeps to what the data covers.  A negative value is optimism, which explores where the
        members disagree (Liang et al. 2022, "Reward uncertainty for exploration", RUNE).
        """
        lead = obs.shape[:-1]
        rows, actions = obs.reshape(-1, obs.shape[-1]), action.reshape(-1, action.shape[-1])
        result = rows.new_empty(len(rows))
        for start in range(0, len(rows), CHUNK):
            part = slice(start, start + CHUNK)
            rewards = self.member_rewards(rows[part], actions[part])
            result[part] = self._combined(rewards, pessimism)
        return result.view(lead)

    @torch.no_grad()
    def absorbing_reward(self, *, pessimism: float = 0.0) -> float:
        """Return the reward of each step spent absorbed, in the units of `reward`.

        It is 0 by the choice of zero: exactly, once it was learned, and before, as nothing is known
        of it, the mean.  Only a `fit_normaliser` that is older than the weights leaves a rest.
        """
        if not bool(self.terminates):
            return 0.0
        return float(self._combined(self.absorbing()[:, None], pessimism))

    @torch.no_grad()
    def fit_normaliser(self, batch: SegmentBatch) -> None:
        """Fix zero and unit of `reward` so that it has the configured deviation over `batch`.

        The deviation is that from zero.  Where zero is the absorbing state, the height of all steps
        above it counts, not only how they differ: where every step is worth the same, as on a
        cart-pole, that alone would be noise.  Steps that did not happen do not count.  ValueError
        if there are no steps.
        """
        rewards = self._observed_rewards(batch)
        centre = self.absorbing() if bool(self.terminates) else rewards.mean(1)
        self.zero.copy_(centre)
        deviation = (rewards - centre[:, None]).mean(0).square().mean().sqrt()
        self.unit.copy_((deviation / self.config.reward_std).clamp_min(1e-6))

    @torch.no_grad()
    def fit_obs_normaliser(self, batch: SegmentBatch) -> None:
        """Take mean and deviation of vector blocks from the steps of `batch` that happened.

        A column that does not vary is only shifted: the first change of it must not be a shock.
        """
        if not self.config.normalise_obs:
            return
        rows = batch.obs[batch.mask].double()
        if not len(rows):
            raise ValueError("the observation normaliser needs at least one step")
        deviation = rows.std(0, unbiased=False)
        varies = deviation > 1e-6 * (1.0 + rows.abs().mean(0))
        scale = torch.where(varies, 1.0 / deviation.clamp_min(1e-12), torch.ones_like(deviation))
        for part in self._scaled:
            self.obs_shift[part] = rows.mean(0)[part].float()
            self.obs_scale[part] = scale[part].float()

    def _observed_rewards(self, batch: SegmentBatch) -> Tensor:
        """Return r̂ `[E, steps]` of all steps that happened."""
        parts = []
        for index in torch.arange(len(batch)).split(max(1, CHUNK // batch.num_steps)):
            part = batch.select(index)
            parts.append(self.member_rewards(part.obs[part.mask], part.action[part.mask]))
        if not parts or not sum(part.shape[1] for part in parts):
            raise ValueError("the reward normaliser needs at least one step")
        return torch.cat(parts, 1)

    def _combined(self, rewards: Tensor, pessimism: float) -> Tensor:
        """Turn r̂ `[E, R]` into normalised rewards `[R]`."""
        scaled = (rewards - self.zero[:, None]) / self.unit
        mean = scaled.mean(0)
        return mean - pessimism * scaled.std(0, unbiased=False) if pessimism else mean

    def _features(self, x: Tensor) -> Tensor:
        """Return what the first layers read `[E, width, R]`."""
        if self.plain:
            return x.t().expand(self.config.members, -1, -1)
        obs, action = x[:, : self.layout.size], x[:, self.layout.size :]
        rows = torch.stack([torch.cat([net(obs)[0], action], -1) for net in self.encoders])
        return rows.transpose(1, 2)

    def _bounded(self, raw: Tensor) -> Tensor:
        return torch.tanh(raw) if self.config.output == "tanh" else raw


def _vector_slices(layout: Layout) -> list[slice]:
    """Return where vector blocks lie, neighbours as one."""
    found: list[slice] = []
    for block in layout.blocks:
        if block.kind == "vector":
            part = layout.slices[block.name]
            if found and found[-1].stop == part.start:
                part = slice(found.pop().start, part.stop)
            found.append(part)
    return found
