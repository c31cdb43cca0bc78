"""Learn from every sample and from its mirror image: robots are alike on both sides.

Mittal et al. 2024, "Symmetry Considerations for Learning Task Symmetric Robot Policies": PPO's
batches are doubled by images, which have the same advantage and return.  Gaits grow even, and a
step teaches about both sides.  Unlike there, an image's old probability is what the policy gave it,
not that of the original: else an uneven policy seems to have moved far before it learned anything,
and whatever watches how far it moves (the clip, `PPOConfig.adapt_kl`) brings learning to a halt.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from simrl.core.spec import EnvSpec


class Mirror:
    """Turn observations and actions into their mirror images, as `spec.physics["mirror"]` says.

    Column i of an image is column index[i] of the original times sign[i]; twice is the identity.
    """

    def __init__(self, images: Mapping[str, tuple[list[int], list[float]]]) -> None:
        """Take the image of each observation group, and of "action"; ValueError if one is none."""
        self._images: dict[str, tuple[Tensor, Tensor]] = {}
        for name, (index, sign) in images.items():
            columns, signs = torch.tensor(index), torch.tensor(sign)
            back = columns[columns] if len(columns) else columns
            even = torch.equal(back, torch.arange(len(index)))
            if not even or not torch.equal(signs * signs[columns], torch.ones(len(sign))):
                raise ValueError(f"the mirror image of {name!r}, taken twice, is another")
            self._images[name] = (columns, signs)

    @staticmethod
    def of(spec: EnvSpec) -> Mirror:
        """Return the mirror of an environment; ValueError if it says of none."""
        images = spec.physics.get("mirror")
        if not images:
            raise ValueError(
                f"{spec.id} tells no mirror image: only legged robots with two equal sides have one"
            )
        return Mirror(images)

    def __call__(self, name: str, values: Tensor) -> Tensor:
        """Return the image of `values` `[..., D]` of the group `name`, or of "action".

        A group that was joined with its past, `[..., n * D]`, is turned part by part.
        """
        columns, signs = self._images[name]
        size = len(columns)
        if values.shape[-1] == size:
            return values[..., columns] * signs
        parts = values.unflatten(-1, (-1, size))
        return (parts[..., columns] * signs).flatten(-2)

    @property
    def groups(self) -> frozenset[str]:
        """Names that have an image."""
        return frozenset(self._images)
