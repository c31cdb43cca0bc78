"""TAMER: model what a person's feedback will be, and do what the model likes best.

Knox and Stone 2009, "Interactively shaping agents via human reinforcement"; Warnell et al. 2018,
"Deep TAMER".  A person judges with a delay, so each judgement is credited to the steps that were on
the screen some time before it: step i, shown during [a_i, b_i], has the weight

    w_i = probability that t - delay lies in [a_i, b_i],   delay uniform over 0.28 to 4.0 s,

for a judgement h at time t, and the loss is the sum of w_i (H(s_i, a_i) - h)^2.  The agent is
myopic: feedback already looks ahead, so it is not discounted or added up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from simrl.core.actions import ContinuousActions, DiscreteActions
from simrl.core.policy import PolicyOutput
from simrl.core.seeding import child_seed, torch_generator
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState
from simrl.nn.encoders import EncoderConfig, ObsEncoder
from simrl.nn.layers import linear, mlp
from simrl.nn.normaliser import RunningNormaliser


@dataclass(frozen=True)
class TamerConfig:
    """Choose the model of feedback, its credit and its learning."""

    hidden: tuple[int, ...] = (64, 64)
    """Widths of the model's layers after the encoders."""
    activation: Literal["relu", "leaky_relu", "tanh"] = "tanh"
    """Activation of encoders and layers."""
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """How observation blocks are encoded."""
    normalise_obs: bool = True
    """Scale observations by the mean and deviation of what was seen so far."""
    delay: tuple[float, float] = (0.28, 4.0)
    """Least and greatest delay of a judgement, uniform between them [s]."""
    learning_rate: float = 5e-3
    """Step size of Adam."""
    replay: int = 10_000
    """Most credited steps that are kept to learn from again."""
    minibatch_size: int = 64
    """Credited steps in one minibatch of replay."""
    replays: int = 4
    """Minibatches of replay after each judgement."""
    min_weight: float = 1e-3
    """Credit below which a step is left out."""
    num_candidates: int = 128
    """Actions compared where they are continuous; spread evenly over their bounds."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 <= self.delay[0] < self.delay[1]:
            raise ValueError(f"delay must be a least and a greater number, got {self.delay}")
        for name in ("learning_rate", "replay", "minibatch_size", "num_candidates"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")


def credit_weights(begin: Tensor, end: Tensor, time: float, delay: tuple[float, float]) -> Tensor:
    """Return the credit `[K]` of steps shown during [begin, end] `[K]` for a judgement at `time`.

    It is the mass that a uniform `delay` [s] puts on the interval [time - end, time - begin].
    """
    low, high = delay
    late = (time - begin).clamp(low, high)
    soon = (time - end).clamp(low, high)
    return (late - soon) / (high - low)


class FeedbackModel(nn.Module):
    """Predict the feedback H(s, a) of any action in a situation.

    Discrete: H is the sum of one output for each head that counts, so the best action is found
    exactly.  Continuous: the action, scaled to ±1, is an input.
    """

    candidates: Tensor

    def __init__(self, spec: EnvSpec, config: TamerConfig, *, seed: int = 0) -> None:
        """Build for the "policy" observations and the actions of `spec`.

        Raises ValueError if continuous actions have no bounds.
        """
        super().__init__()
        self.actions = actions = spec.actions
        layout = spec.observations["policy"]
        self.normaliser = RunningNormaliser(layout) if config.normalise_obs else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(child_seed(seed, "tamer/weights") % 2**63)
            self.encoder = ObsEncoder(layout, config.encoder, config.activation)
            if isinstance(actions, DiscreteActions):
                self.sizes = [head.size for head in actions.heads]
                inputs, outputs = self.encoder.width, sum(self.sizes)
                self.register_buffer("candidates", torch.zeros(0))
            else:
                inputs, outputs = self.encoder.width + actions.size, 1
                self.register_buffer("candidates", _spread(actions, config.num_candidates))
            self.trunk = mlp(inputs, config.hidden, config.activation)
            width = config.hidden[-1] if config.hidden else inputs
            self.head = linear(width, outputs, 0.01)

    def forward(self, obs: Tensor, action: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return H `[R]` of obs `[R, D]` and actions `[R, heads or size]`; `mask` `[R, M]`."""
        if isinstance(self.actions, ContinuousActions):
            return self._continuous(self._features(obs), action)
        scores = self._scores(obs)
        mask = self._mask(mask, len(obs))
        used = self.actions.used(mask, action[:, 0])
        total = scores[0].gather(-1, action[:, :1]).squeeze(-1)
        for index in range(1, len(self.sizes)):
            value = scores[index].gather(-1, action[:, index, None]).squeeze(-1)
            total = total + torch.where(used[:, index], value, 0.0)
        return total

    def best(self, obs: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the legal actions `[R, heads or size]` with the greatest H, and that H `[R]`."""
        if isinstance(self.actions, DiscreteActions):
            return self._best_heads(self.actions, self._scores(obs), self._mask(mask, len(obs)))
        features, count = self._features(obs), len(self.candidates)
        rows = features.repeat_interleave(count, 0)
        values = self._continuous(rows, self.candidates.repeat(len(obs), 1))
        value, index = values.view(len(obs), count).max(-1)
        return self.candidates[index], value

    def _best_heads(
        self, actions: DiscreteActions, scores: list[Tensor], mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Compare, for every value of the first head, it and the best of the heads it needs."""
        rows = len(mask)
        best = torch.full((rows,), -math.inf)
        chosen = torch.zeros(rows, len(self.sizes), dtype=torch.int64)
        legal = actions.head_mask(mask, 0)
        for choice in range(self.sizes[0]):
            pick = torch.full((rows,), choice)
            used = actions.used(mask, pick)
            total, action = scores[0][:, choice], torch.zeros_like(chosen)
            action[:, 0] = choice
            for index in range(1, len(self.sizes)):
                allowed = actions.head_mask(mask, index, pick)
                value, at = scores[index].masked_fill(~allowed, -math.inf).max(-1)
                total = total + torch.where(used[:, index], value, 0.0)
                action[:, index] = torch.where(used[:, index], at, 0)
            better = legal[:, choice] & (total > best)
            best = torch.where(better, total, best)
            chosen = torch.where(better[:, None], action, chosen)
        return chosen, best

    def _features(self, obs: Tensor) -> Tensor:
        if self.normaliser is not None:
            obs = self.normaliser(obs)
        features: Tensor = self.encoder(obs)[0]
        return features

    def _scores(self, obs: Tensor) -> list[Tensor]:
        outputs = self.head(self.trunk(self._features(obs)))
        return list(outputs.split(self.sizes, -1))

    def _continuous(self, features: Tensor, action: Tensor) -> Tensor:
        assert isinstance(self.actions, ContinuousActions)
        low, high = action.new_tensor(self.actions.low), action.new_tensor(self.actions.high)
        scaled = (2 * action - low - high) / (high - low)
        value: Tensor = self.head(self.trunk(torch.cat([features, scaled], -1)))
        return value.squeeze(-1)

    def _mask(self, mask: Tensor | None, rows: int) -> Tensor:
        assert isinstance(self.actions, DiscreteActions)
        if mask is not None:
            return mask
        return torch.ones(rows, self.actions.mask_size, dtype=torch.bool)


class TamerPolicy:
    """Do what the model expects to please most; the extra "predicted" `[rows]` says how much."""

    def __init__(self, model: FeedbackModel) -> None:
        """Act by `model` as it stands; what it learns later is seen."""
        self.model = model
        discrete = isinstance(model.actions, DiscreteActions)
        self.reads = frozenset({"policy", "action_mask"} if discrete else {"policy"})

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Choose the best action of each row; there is no chance in it."""
        with torch.no_grad():
            action, value = self.model.best(obs["policy"], obs.get("action_mask"))
        return PolicyOutput(action, {}, {"predicted": value})


@dataclass
class _Step:
    """Hold one step that may still be judged."""

    begin: float
    end: float
    obs: dict[str, Tensor]
    action: Tensor


class TamerLearner:
    """Learn a `FeedbackModel` from judgements that come while the agent plays.

    `observe` every step as it is shown, `feedback` at every judgement, both in the same clock.
    """

    kind = "tamer"

    def __init__(self, spec: EnvSpec, config: TamerConfig | None = None, *, seed: int = 0) -> None:
        """Start with a model that expects nothing; `seed` draws weights and minibatches."""
        self.config = config or TamerConfig()
        self.model = FeedbackModel(spec, self.config, seed=seed)
        self.count = 0
        self._policy = TamerPolicy(self.model)
        self._generator = torch_generator(seed, "tamer/replay")
        self._optimiser = torch.optim.Adam(self.model.parameters(), lr=self.config.learning_rate)
        self._recent: deque[_Step] = deque()
        self._replay: deque[tuple[dict[str, Tensor], Tensor, float, float]] = deque(
            maxlen=self.config.replay
        )

    @property
    def policy(self) -> TamerPolicy:
        """What acts; it sees what is learned at once."""
        return self._policy

    def observe(self, time: float, obs: Mapping[str, Tensor], action: Tensor, done: bool) -> None:
        """Take in a step: what was seen `[1, ...]` and done `[1, ...]`, shown from `time` [s] on.

        Each step is on the screen until the next one.  `done` changes nothing: the last steps
        before an episode's end are what people judge most.
        """
        if self._recent:
            self._recent[-1].end = time
        seen = {name: obs[name].clone() for name in self._policy.reads}
        if self.model.normaliser is not None:
            self.model.normaliser.update(seen["policy"])
        self._recent.append(_Step(time, math.inf, seen, action.clone()))
        while self._recent[0].end < time - self.config.delay[1] - 1.0:
            self._recent.popleft()

    def feedback(self, time: float, value: float) -> dict[str, float]:
        """Learn from judgement `value` given at `time` [s], and again from earlier ones.

        Returns `loss` (of this judgement, before learning), `predicted` (its mean H), `credited`
        (steps that share it) and `count`.
        """
        credited = self._credit(time)
        figures = {"credited": float(len(credited))}
        if credited:
            new = [(step.obs, step.action, weight, value) for step, weight in credited]
            loss, predicted = self._train(new)
            self._replay.extend(new)
            for _ in range(self.config.replays):
                order = torch.randint(
                    len(self._replay), (self.config.minibatch_size,), generator=self._generator
                )
                self._train([self._replay[index] for index in order.tolist()])
            figures |= {"loss": loss, "predicted": predicted}
        self.count += 1
        return figures | {"count": float(self.count)}

    def state_dict(self) -> dict[str, Any]:
        """Return everything that learning depends on but the steps not yet judged."""
        return {
            "model": dict(self.model.state_dict()),
            "optimiser": self._optimiser.state_dict(),
            "generator": self._generator.get_state(),
            "count": self.count,
            "replay": [list(entry) for entry in self._replay],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._generator.set_state(state["generator"].cpu())
        self.count = int(state["count"])
        self._recent.clear()
        self._replay.clear()
        self._replay.extend((obs, action, w, h) for obs, action, w, h in state["replay"])

    def _credit(self, time: float) -> list[tuple[_Step, float]]:
        if not self._recent:
            return []
        begin = torch.tensor([step.begin for step in self._recent], dtype=torch.float64)
        end = torch.tensor([step.end for step in self._recent], dtype=torch.float64)
        weights = credit_weights(begin, end, time, self.config.delay).tolist()
        pairs = zip(self._recent, weights, strict=True)
        return [(step, weight) for step, weight in pairs if weight >= self.config.min_weight]

    def _train(
        self, batch: list[tuple[dict[str, Tensor], Tensor, float, float]]
    ) -> tuple[float, float]:
        """Take one step on credited steps; return loss and mean H, both before it."""
        obs = torch.cat([entry[0]["policy"] for entry in batch])
        masks = [entry[0]["action_mask"] for entry in batch if "action_mask" in entry[0]]
        action = torch.cat([entry[1] for entry in batch])
        weight = torch.tensor([entry[2] for entry in batch])
        target = torch.tensor([entry[3] for entry in batch])
        predicted = self.model(obs, action, torch.cat(masks) if masks else None)
        # Weights are divided by their sum, so the step size means the same at any frame rate.
        loss = tamer_loss(predicted, target, weight) / weight.sum()
        self._optimiser.zero_grad()
        loss.backward()
        self._optimiser.step()
        return float(loss.detach()), float(predicted.detach().mean())


def tamer_loss(predicted: Tensor, feedback: Tensor, weight: Tensor) -> Tensor:
    """Return the sum of weight * (H - h)^2, a scalar; all `[R]`."""
    return (weight * (predicted - feedback).square()).sum()


def _spread(actions: ContinuousActions, count: int) -> Tensor:
    """Return `count` actions `[count, size]` spread evenly (Sobol), and the corners' middle."""
    low, high = torch.tensor(actions.low), torch.tensor(actions.high)
    if not bool(torch.isfinite(high - low).all()):
        raise ValueError("TAMER compares actions within bounds, but these have none")
    if actions.size == 1:
        points = torch.linspace(0.0, 1.0, count)[:, None]
    else:
        points = torch.quasirandom.SobolEngine(actions.size, scramble=False).draw(count)
    return low + points * (high - low)
