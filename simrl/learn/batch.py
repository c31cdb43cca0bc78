"""Cut a rollout buffer into minibatches: single samples, or with memory whole sequences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from simrl.learn.mirror import Mirror
from simrl.rollout.buffer import RolloutBuffer


@dataclass(frozen=True)
class Minibatch:
    """Hold what one gradient step sees: T steps of B sequences, R = T * B rows, time first."""

    obs: dict[str, Tensor]
    """Observation groups, each `[T, B, ...]`."""
    start_state: dict[str, Tensor]
    """Memory before step 0, each `[B, ...]`."""
    episode_start: Tensor
    """Where the memory was reset `[T, B]` bool."""
    action: Tensor
    """Actions `[R, ...]`."""
    log_prob: Tensor
    """Log-probabilities when acting `[R]`."""
    value: Tensor
    """Values when acting `[R, V]`."""
    advantage: Tensor
    """Advantages, summed over the groups `[R]`."""
    returns: Tensor
    """Targets of the values `[R, V]`."""
    reference: Tensor | None = None
    """Logits or means of the reference policy `[R, outputs]`, where there is one."""

    def share(self, index: int, count: int) -> Minibatch:
        """Return share `index` of `count`: whole sequences, as equal in number as possible."""
        num_steps, columns = self.episode_start.shape
        part = slice(columns * index // count, columns * (index + 1) // count)

        def rows(value: Tensor) -> Tensor:
            return value.unflatten(0, (num_steps, columns))[:, part].flatten(0, 1)

        return Minibatch(
            obs={name: value[:, part] for name, value in self.obs.items()},
            start_state={name: value[part] for name, value in self.start_state.items()},
            episode_start=self.episode_start[:, part],
            action=rows(self.action),
            log_prob=rows(self.log_prob),
            value=rows(self.value),
            advantage=rows(self.advantage),
            returns=rows(self.returns),
            reference=None if self.reference is None else rows(self.reference),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor by name, for saving."""
        result = {f"obs/{name}": value for name, value in self.obs.items()}
        result |= {f"start_state/{name}": value for name, value in self.start_state.items()}
        for name in ("episode_start", "action", "log_prob", "value", "advantage", "returns"):
            result[name] = getattr(self, name)
        if self.reference is not None:
            result["reference"] = self.reference
        return result


@dataclass(frozen=True)
class Batch:
    """Hold a buffer with its advantages and returns, ready to be cut into minibatches."""

    buffer: RolloutBuffer
    """What was collected."""
    advantage: Tensor
    """Advantages, summed over the groups `[T, L]`."""
    returns: Tensor
    """Targets of the values `[T, L, V]`."""
    recurrent: bool = False
    """Whether minibatches must be whole sequences."""
    reference: Tensor | None = None
    """Logits or means of the reference policy `[T, L, outputs]`, where there is one."""
    reference_kl: Tensor | None = None
    """KL divergence to the reference when acting `[T, L]` [nat], where there is one."""
    advantage_scale: float = 1.0
    """What the advantages were divided by; the penalty of the reference is divided by the same."""
    obs: Mapping[str, Tensor] | None = None
    """Observations `[T, L, ...]` that take the place of the buffer's: those joined with their past,
    so that samples may be shuffled."""
    mirror: Mirror | None = None
    """What doubles the samples by their mirror images, where given."""
    image_log_prob: Tensor | None = None
    """Log-probabilities of the images when acting `[T, L]`, where there are images."""
    _samples: dict[str, Tensor] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Lay the tensors out; for single samples time and lane become one axis, without a copy."""
        buffer = self.buffer
        obs = buffer.obs if self.obs is None else self.obs
        tensors = {f"obs/{name}": value for name, value in obs.items()}
        tensors |= {
            "episode_start": buffer.episode_start,
            "action": buffer.action,
            "log_prob": buffer.log_prob,
            "value": buffer.value,
            "advantage": self.advantage,
            "returns": self.returns,
        }
        if self.reference is not None:
            tensors["reference"] = self.reference
        if self.mirror is not None:
            tensors = {name: self._doubled(name, value) for name, value in tensors.items()}
        if not self.recurrent:
            tensors = {name: value.flatten(0, 1).unsqueeze(0) for name, value in tensors.items()}
        object.__setattr__(self, "_samples", tensors)

    def _doubled(self, name: str, value: Tensor) -> Tensor:
        """Append the images of `value` `[T, L, ...]` as more lanes; figures are those of both."""
        if name == "log_prob" and self.image_log_prob is not None:
            return torch.cat([value, self.image_log_prob], 1)
        key = name.removeprefix("obs/")
        if self.mirror is None or key not in self.mirror.groups:
            return torch.cat([value, value], 1)
        return torch.cat([value, self.mirror(key, value)], 1)

    def minibatches(self, size: int, generator: torch.Generator) -> Iterator[Minibatch]:
        """Yield minibatches of about `size` samples in random order, each sample once.

        The number of minibatches is rounded, then their sizes made as equal as possible, so there
        is no tiny last one.
        """
        num_steps, columns = self._samples["log_prob"].shape
        count = max(1, round(num_steps * columns / size))
        count = min(count, columns)
        order = torch.randperm(columns, generator=generator).to(self.advantage.device)
        if self.recurrent:
            for part in order.tensor_split(count):
                yield self._minibatch(
                    {name: value.index_select(1, part) for name, value in self._samples.items()},
                    part,
                )
            return
        # Single samples: shuffle everything once, then the minibatches are views.
        shuffled = {
            name: value.index_select(1, order).tensor_split(count, 1)
            for name, value in self._samples.items()
        }
        for index in range(count):
            yield self._minibatch({name: parts[index] for name, parts in shuffled.items()}, order)

    def _minibatch(self, taken: dict[str, Tensor], columns: Tensor) -> Minibatch:
        obs = {name[4:]: taken.pop(name) for name in list(taken) if name.startswith("obs/")}
        episode_start = taken.pop("episode_start")
        start = self.buffer.start_state if self.recurrent else {}
        return Minibatch(
            obs=obs,
            start_state={name: value.index_select(0, columns) for name, value in start.items()},
            episode_start=episode_start,
            **{name: value.flatten(0, 1) for name, value in taken.items()},
        )
