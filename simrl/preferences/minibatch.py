"""Lay labelled pairs out so that a minibatch is a gather."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from simrl.core.seeding import child_seed
from simrl.preferences.dataset import PreferenceData, hashed_uniform
from simrl.preferences.reward_model import RewardEnsemble
from simrl.preferences.segment import SegmentBatch

PREPARED_BYTES = 512 * 2**20
"""Inputs of all pairs are worked out once per fit where they take at most this much memory [B]."""


@dataclass
class Minibatch:
    """Hold B pairs, laid out as 2 B segments: all firsts, then all seconds."""

    x: Tensor
    """What the members read `[2 B L, D + action size]`."""
    mask: Tensor | None
    """Which steps happened `[2 B, L]` float32; None if all did."""
    absorbed: Tensor | None
    """Steps spent absorbed `[2 B]` float32; None if there are none."""
    label: Tensor
    """Probability that the first is better `[B]`."""
    weight: Tensor
    """Weight of each pair for each member `[E, B]`; sums to about 1 over the pairs."""


class Pairs:
    """Hold the pairs of one fit, ready to be gathered."""

    def __init__(
        self, ensemble: RewardEnsemble, data: PreferenceData, both: SegmentBatch, seed: int | None
    ) -> None:
        """Lay out `data`, whose segments `both` `[2 P]` are on the ensemble's device.

        `seed` resamples the pairs for each member; with None all members see the same.
        """
        self.ensemble = ensemble
        self.size = len(data)
        self.both = both
        device, members = both.obs.device, ensemble.config.members
        self.label = data.label.to(device)
        self.weight = data.weight.to(device).expand(members, -1)
        if seed is not None:
            counts = bootstrap_weights(data.serial, members, seed)
            self.weight = self.weight * counts.to(device)
        self.mask = None if bool(both.mask.all()) else both.mask.float()
        absorbed = ensemble.absorbed(both)
        self.absorbed = absorbed.float() if bool(absorbed.any()) else None
        self.x: Tensor | None = None
        encoder = self.ensemble.action_encoder
        width = both.obs.shape[-1] + (0 if encoder is None else encoder.width)
        if 4 * len(both) * both.num_steps * width <= PREPARED_BYTES:
            self.x = self.ensemble.inputs(both.obs, both.action)

    def minibatch(self, index: Tensor) -> Minibatch:
        """Gather the pairs `index` `[B]`."""
        index = index.to(self.label.device)
        rows = torch.cat([index, index + self.size])
        if self.x is None:
            x = self.ensemble.inputs(self.both.obs[rows], self.both.action[rows])
        else:
            x = self.x[rows]
        return Minibatch(
            x=x.flatten(0, 1),
            mask=None if self.mask is None else self.mask[rows],
            absorbed=None if self.absorbed is None else self.absorbed[rows],
            label=self.label[index],
            weight=self.weight[:, index] / len(index),
        )


def bootstrap_weights(serial: Tensor, members: int, seed: int) -> Tensor:
    """Say how often each member sees each pair `[E, P]` float32: Poisson(1) counts.

    That is the bootstrap of data that grows (Oza and Russell 2001, "Online bagging and boosting"):
    a pair's counts depend on its serial number alone, so they never change while pairs are added.
    """
    serials = serial.cpu().numpy()
    uniform = np.stack(
        [hashed_uniform(serials, child_seed(seed, f"member {index}")) for index in range(members)]
    )
    chances = np.exp(-1.0) / np.cumprod([1.0, *range(1, 16)])
    counts = np.searchsorted(np.cumsum(chances), uniform, side="right")
    return torch.from_numpy(counts.astype(np.float32))
