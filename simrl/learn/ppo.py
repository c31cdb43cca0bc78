"""Proximal policy optimisation over one batch of rollouts after another."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from simrl.core.seeding import torch_generator
from simrl.learn import losses
from simrl.learn.batch import Batch, Minibatch
from simrl.learn.explicit import ExplicitGradient
from simrl.learn.mirror import Mirror
from simrl.learn.reference import Reference
from simrl.learn.returns import advantages, grouped_rewards
from simrl.learn.schedules import ScheduleKind, scheduled
from simrl.learn.shards import ShardedGradient
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.plain import PlainNet
from simrl.rollout.buffer import RolloutBuffer
from simrl.rollout.threads import torch_threads, usable_cores


@dataclass(frozen=True)
class PPOConfig:
    """Choose how to learn from a batch."""

    learning_rate: float = 3e-4
    """Step size of Adam."""
    learning_rate_schedule: ScheduleKind = "constant"
    """How the step size changes over the run: "constant" or "linear"."""
    learning_rate_end: float = 0.0
    """Step size at the end of a linear schedule."""
    epochs: int = 4
    """Passes over each batch."""
    minibatch_size: int = 4096
    """Samples in a minibatch; with memory, whole sequences that hold about as many."""
    gamma: float = 0.99
    """Discount of a reward one step later."""
    group_gamma: Mapping[str, float] = field(default_factory=dict)
    """Discounts of single reward groups; `gamma` for those not named."""
    gae_lambda: float = 0.95
    """Weight of longer returns in the advantage; 1 is Monte Carlo, 0 one step."""
    clip: float = 0.2
    """How far the probability ratio may move from 1 before it stops counting."""
    dual_clip: float | None = 3.0
    """Bound on the ratio of samples with negative advantage; None switches it off."""
    value_clip: float | None = None
    """How far a value may move from the old one before it stops counting; None: no bound."""
    value_coef: float = 0.5
    """Weight of the value loss."""
    value_group_weights: Mapping[str, float] = field(default_factory=dict)
    """Weight of single reward groups in the value loss; 1 for those not named."""
    entropy_coef: float = 0.01
    """Weight of the entropy bonus."""
    entropy_schedule: ScheduleKind = "constant"
    """How the entropy bonus changes over the run: "constant" or "linear"."""
    entropy_coef_end: float = 0.0
    """Weight of the entropy bonus at the end of a linear schedule."""
    max_grad_norm: float | None = 0.5
    """Norm to which gradients are scaled down; None switches it off."""
    target_kl: float | None = None
    """Stop the passes over a batch once the policy has moved 1.5 times as far [nat]."""
    adapt_kl: float | None = None
    """How far the policy is to move in an update [nat]: after one whose last pass moved it more
    than twice as far, the step size is divided by 1.5, and after one that moved it less than half
    as far multiplied (as in Rudin et al. 2022).  The schedule's step size is scaled, from 0.01 to
    10 times; None leaves it as scheduled."""
    reward_clip: float | None = None
    """Bound on the size of each group's reward in a step; None: no bound."""
    mirror: bool = False
    """Double every batch by the mirror images of its samples: robots whose two sides are alike
    learn even gaits.  Only for networks without recurrence.  `adapt_kl` takes images of an uneven
    policy, which it would seldom choose, for movement, and makes small steps."""
    reference_coef: float = 0.1
    """Weight of the KL divergence to a reference policy [reward / nat], taken from the first reward
    group; it counts only where the learner is given a reference."""
    normalise_advantage: bool = True
    """Scale the advantages of a batch to mean 0 and deviation 1."""
    normalise_value: bool = False
    """Learn values in units of each group's running deviation of returns (PopArt)."""
    adam_epsilon: float = 1e-5
    """Term that keeps Adam's division finite."""
    threads: int | None = None
    """Threads that share each minibatch; None takes the machine's cores where the work is worth it.
    The same seed gives the same bits on the same number of threads."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("learning_rate", "epochs", "minibatch_size", "clip"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        for name in ("gamma", "gae_lambda"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be within 0 and 1, got {getattr(self, name)}")
        for name, value in self.group_gamma.items():
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"group_gamma of {name} must be within 0 and 1, got {value}")
        if self.reward_clip is not None and self.reward_clip <= 0:
            raise ValueError(f"reward_clip must be positive, got {self.reward_clip}")
        if self.reference_coef < 0:
            raise ValueError(f"reference_coef must not be negative, got {self.reference_coef}")
        if self.adapt_kl is not None and self.adapt_kl <= 0:
            raise ValueError(f"adapt_kl must be positive, got {self.adapt_kl}")
        if self.dual_clip is not None and self.dual_clip <= 1.0:
            raise ValueError(f"dual_clip must be above 1, got {self.dual_clip}")


WORK_FOR_THREADS = 50_000_000
"""Samples x weights of a minibatch from which a second thread pays."""
SCALE_STEP = 1.5
"""Factor by which `adapt_kl` changes the step size after an update."""
LEAST_SCALE, MOST_SCALE = 0.01, 10.0
"""Bounds of what the scheduled step size is multiplied by."""


class NonFiniteLossError(ArithmeticError):
    """Say that a loss is not a number, and which."""


class PPOLearner:
    """Own the network's optimiser and change its weights, one `update` for each batch."""

    def __init__(
        self,
        net: ActorCritic,
        config: PPOConfig | None = None,
        *,
        seed: int = 0,
        reference: ActorCritic | None = None,
        on_bad_batch: Callable[[dict[str, Tensor]], None] | None = None,
    ) -> None:
        """Learn the weights of `net`.

        `seed` orders the minibatches.  `reference` is a policy to stay near to (see
        `simrl.learn.reference`); it is frozen.  `on_bad_batch` is handed the minibatch whose loss
        is not finite, just before NonFiniteLossError is raised, so that it can be saved.
        """
        self.net = net
        self.config = config or PPOConfig()
        self.on_bad_batch = on_bad_batch
        self.updates = 0
        self.rate_scale = 1.0
        """What the scheduled step size is multiplied by; `adapt_kl` moves it."""
        self.device = next(net.parameters()).device
        self.generator = torch_generator(seed, "learner")
        self.reference = None if reference is None else Reference(reference)
        # The gradient by hand knows no reference.
        plain = PlainNet.fits(net) and reference is None
        self.explicit = ExplicitGradient(net) if plain else None
        self.optimiser = torch.optim.Adam(
            net.parameters() if self.explicit is None else [self.explicit.weights],
            lr=self.config.learning_rate,
            eps=self.config.adam_epsilon,
            fused=True,
        )
        self.mirror = Mirror.of(net.spec) if self.config.mirror else None
        if self.mirror is not None and net.memory is not None:
            raise ValueError("a recurrent memory has no mirror image: switch ppo.mirror off")
        if self.mirror is not None and self.reference is not None:
            raise ValueError(
                "a reference policy is not compared with images: switch ppo.mirror off"
            )
        self.sharded = ShardedGradient(net, self._num_threads())
        groups = net.spec.value_groups
        for name in (*self.config.value_group_weights, *self.config.group_gamma):
            if name not in groups:
                raise ValueError(
                    f"unknown reward group {name!r}; the groups are {', '.join(groups)}"
                )
        self.gamma = torch.tensor(
            [self.config.group_gamma.get(name, self.config.gamma) for name in groups]
        )
        self.value_weights = torch.tensor(
            [self.config.value_group_weights.get(name, 1.0) for name in groups], device=self.device
        )

    def update(self, buffer: RolloutBuffer, progress: float = 0.0) -> dict[str, float]:
        """Learn from `buffer` and return metrics; `progress` (0 to 1) drives the schedules.

        Raises NonFiniteLossError naming the tensor at the first loss that is not finite.
        """
        config = self.config
        rate = scheduled(
            config.learning_rate_schedule, config.learning_rate, config.learning_rate_end, progress
        )
        entropy_coef = scheduled(
            config.entropy_schedule, config.entropy_coef, config.entropy_coef_end, progress
        )
        rate *= self.rate_scale
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch_threads(1):
            batch = self.prepare(buffer)
            figures = self._passes(batch, entropy_coef)
            self._adapt(figures)
            self.net.update_normaliser(buffer.obs)
        self.updates += 1
        return self._metrics(figures, batch, rate, entropy_coef)

    def prepare(self, buffer: RolloutBuffer) -> Batch:
        """Compute returns and advantages of `buffer` and lay it out for minibatches."""
        config = self.config
        reward = grouped_rewards(self.net.spec, buffer)
        if config.reward_clip is not None:
            reward = reward.clamp(-config.reward_clip, config.reward_clip)
        outputs = kl = None
        if self.reference is not None:
            outputs = self.reference.outputs(buffer)
            kl = self._distance(buffer, outputs)
            reward = reward.clone()
            reward[..., 0] -= config.reference_coef * kl
        advantage = advantages(self.net, buffer, reward, self.gamma, config.gae_lambda)
        returns = advantage + buffer.value
        if config.normalise_value:
            self.net.update_value_scale(returns)
        total, scale = advantage.sum(-1), 1.0
        if config.normalise_advantage:
            scale = float(total.std(unbiased=False)) if self.reference is not None else 1.0
            total = losses.normalised(total)
        obs = self._seen(buffer)
        return Batch(
            buffer,
            total,
            returns,
            recurrent=self.net.memory is not None,
            reference=outputs,
            reference_kl=kl,
            advantage_scale=max(scale, 1e-8),
            obs=obs,
            mirror=self.mirror,
            image_log_prob=self._image_log_prob(buffer, obs),
        )

    def _seen(self, buffer: RolloutBuffer) -> dict[str, Tensor]:
        """Return what the network reads of a buffer, joined with its past where it has a history.

        A policy that is built around the network may read more.
        """
        obs = self.net.remember_sequence(buffer.obs, buffer.start_state, buffer.episode_start)
        return {name: obs[name] for name in sorted(self.net.reads)}

    @torch.no_grad()
    def _image_log_prob(self, buffer: RolloutBuffer, obs: Mapping[str, Tensor]) -> Tensor | None:
        """Return the log-probabilities `[T, L]` of the mirror images of what was done."""
        if self.mirror is None:
            return None
        seen = {
            name: self.mirror(name, value) if name in self.mirror.groups else value
            for name, value in obs.items()
        }
        dist, _ = self.net.sequence(seen, buffer.start_state, buffer.episode_start)
        image = self.mirror("action", buffer.action).flatten(0, 1)
        return dist.log_prob(image).unflatten(0, tuple(buffer.action.shape[:2]))

    def loss(
        self, batch: Minibatch, entropy_coef: float, reference_coef: float = 0.0
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a minibatch and its parts, all scalars."""
        config = self.config
        dist, value = self.net.sequence(batch.obs, batch.start_state, batch.episode_start)
        value = value.flatten(0, 1)
        log_prob, entropy = dist.evaluate(batch.action)
        policy = losses.policy_loss(
            log_prob, batch.log_prob, batch.advantage, config.clip, config.dual_clip
        ).mean()
        scale = self.net.value_scale
        value_each = losses.value_loss(
            value / scale, batch.value / scale, batch.returns / scale, config.value_clip
        )
        value_mean = (value_each.mean(0) * self.value_weights).sum()
        entropy_mean = entropy.mean()
        loss = policy + config.value_coef * value_mean - entropy_coef * entropy_mean
        reference_kl = None
        if self.reference is not None and batch.reference is not None:
            reference_kl = self.reference.kl(dist, batch.reference).mean()
            loss = loss + reference_coef * reference_kl
        with torch.no_grad():
            old = batch.log_prob
            parts = {
                "policy": policy.detach(),
                "value": value_mean.detach(),
                "entropy": entropy_mean.detach(),
                "approx_kl": losses.approx_kl(log_prob, old),
                "clip_fraction": losses.clip_fraction(log_prob, old, config.clip),
            }
            if reference_kl is not None:
                parts["reference_kl"] = reference_kl.detach()
        return loss, parts

    def state_dict(self) -> dict[str, Any]:
        """Return everything that learning depends on: weights, optimiser, generator, counters."""
        state: dict[str, Any] = {
            "net": dict(self.net.state_dict()),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "updates": self.updates,
            "rate_scale": self.rate_scale,
        }
        if self.reference is not None:
            state["reference"] = self.reference.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned; learning goes on bit for bit."""
        self.net.load_state_dict(state["net"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"].cpu())
        self.updates = int(state["updates"])
        self.rate_scale = float(state.get("rate_scale", 1.0))
        if self.reference is not None:
            self.reference.load_state_dict(state["reference"])

    @torch.no_grad()
    def _distance(self, buffer: RolloutBuffer, outputs: Tensor) -> Tensor:
        """Return the exact KL to the reference at every step `[T, L]`, before learning."""
        assert self.reference is not None
        dist, _ = self.net.sequence(buffer.obs, buffer.start_state, buffer.episode_start)
        return self.reference.kl(dist, outputs.flatten(0, 1)).unflatten(0, outputs.shape[:2])

    def _num_threads(self) -> int:
        """Return 1 where there is little to share, or a GPU does the work."""
        if self.device.type != "cpu":
            return 1
        if self.config.threads is not None:
            return self.config.threads
        work = self.config.minibatch_size * sum(p.numel() for p in self.net.parameters())
        return usable_cores() if work >= WORK_FOR_THREADS else 1

    def _passes(self, batch: Batch, entropy_coef: float) -> list[Mapping[str, Tensor | float]]:
        """Go over the batch `epochs` times; return the figures of each minibatch."""
        config = self.config
        limit = math.inf if config.target_kl is None else 1.5 * config.target_kl
        # The advantages were scaled; the other half of the same gradient is scaled alike.
        reference_coef = config.reference_coef / batch.advantage_scale
        figures: list[Mapping[str, Tensor | float]] = []
        for _ in range(config.epochs):
            for minibatch in batch.minibatches(config.minibatch_size, self.generator):
                parts = self._gradient(minibatch, entropy_coef, reference_coef)
                figures.append(parts)
                if config.target_kl is not None and float(parts["approx_kl"]) > limit:
                    return figures
                self.optimiser.step()
        return figures

    def _adapt(self, figures: Sequence[Mapping[str, Tensor | float]]) -> None:
        """Scale the next update's step size by how far the last pass was from the old policy."""
        aim = self.config.adapt_kl
        if aim is None:
            return
        last = figures[-max(1, len(figures) // self.config.epochs) :]
        moved = sum(float(parts["approx_kl"]) for parts in last) / len(last)
        if moved > 2.0 * aim:
            self.rate_scale = max(LEAST_SCALE, self.rate_scale / SCALE_STEP)
        elif moved < 0.5 * aim:
            self.rate_scale = min(MOST_SCALE, self.rate_scale * SCALE_STEP)

    def _gradient(
        self, minibatch: Minibatch, entropy_coef: float, reference_coef: float = 0.0
    ) -> dict[str, Tensor | float]:
        """Set the clipped gradients of a minibatch's loss; return its parts and their norm."""
        config = self.config
        limit = math.inf if config.max_grad_norm is None else config.max_grad_norm
        parts: dict[str, Tensor | float] = {}
        if self.explicit is not None:
            parts |= self.explicit.fill(
                minibatch,
                self.value_weights,
                clip=config.clip,
                dual_clip=config.dual_clip,
                value_clip=config.value_clip,
                value_coef=config.value_coef,
                entropy_coef=entropy_coef,
            )
            parts["grad_norm"] = self.explicit.clip_norm(limit)
        else:
            parts |= self.sharded.fill(
                minibatch, lambda part: self.loss(part, entropy_coef, reference_coef)
            )
            norm = nn.utils.clip_grad_norm_(self.net.parameters(), limit)
            parts["grad_norm"] = norm.detach()
        # A loss that is not finite has a gradient that is not; one look covers both.
        if not math.isfinite(float(parts["grad_norm"])):
            self._raise(parts, minibatch)
        return parts

    def _raise(self, parts: Mapping[str, Tensor | float], minibatch: Minibatch) -> NoReturn:
        inputs = minibatch.tensors()
        if self.on_bad_batch is not None:
            self.on_bad_batch(inputs)
        bad = [name for name, value in inputs.items() if not bool(torch.isfinite(value).all())]
        bad += [f"loss/{name}" for name, value in parts.items() if not math.isfinite(float(value))]
        raise NonFiniteLossError(
            f"update {self.updates}: the loss is not finite; not finite are {', '.join(bad)}"
        )

    def _metrics(
        self,
        figures: list[Mapping[str, Tensor | float]],
        batch: Batch,
        rate: float,
        entropy_coef: float,
    ) -> dict[str, float]:
        metrics = {
            f"loss/{name}": sum(float(parts[name]) for parts in figures) / len(figures)
            for name in figures[0]
        }
        for index, name in enumerate(self.net.spec.value_groups):
            explained = losses.explained_variance(
                batch.buffer.value[..., index], batch.returns[..., index]
            )
            metrics[f"loss/explained_variance/{name}"] = float(explained)
        metrics["loss/explained_variance"] = float(
            losses.explained_variance(batch.buffer.value.sum(-1), batch.returns.sum(-1))
        )
        if batch.reference_kl is not None:
            metrics["rollout/reference_kl"] = float(batch.reference_kl.mean())
        metrics["loss/learning_rate"] = rate
        metrics["loss/entropy_coef"] = entropy_coef
        metrics["loss/minibatches"] = float(len(figures))
        return metrics
