"""Encode the blocks of an observation for stable-baselines3: convolutions over pictures."""

from __future__ import annotations

import torch
from gymnasium import spaces
from torch import Tensor, nn

from simrl.core.spec import Block, Column
from simrl.nn.encoders import MapEncoder

try:
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("stable-baselines3 is missing: pip install 'simrl[sb3]'") from error


class PartsExtractor(BaseFeaturesExtractor):
    """Turn the blocks of `SB3VecEnv(env, parts=True)` into features `[rows, features_dim]`.

    Each picture goes through 3x3 convolutions of stride 2 and one layer; everything else is scaled
    from its documented range to -1..1 and handed on as it is.

        DDPG("MultiInputPolicy", env, policy_kwargs={"features_extractor_class": PartsExtractor})
    """

    def __init__(
        self,
        observation_space: spaces.Dict,
        channels: tuple[int, ...] = (16, 16, 16, 16),
        picture_width: int = 32,
    ) -> None:
        """Build the encoders; `picture_width` features come of each picture."""
        pictures = {
            name: box for name, box in observation_space.spaces.items() if len(box.shape or ()) == 3
        }
        others = [name for name in observation_space.spaces if name not in pictures]
        sizes = [spaces.flatdim(observation_space[name]) for name in others]
        super().__init__(observation_space, picture_width * len(pictures) + sum(sizes))
        self.others = others
        self.pictures = nn.ModuleDict()
        for name, box in pictures.items():
            shape = tuple(box.shape or ())
            block = Block(name, shape, (Column("level"),) * shape[0], kind="map")
            encoder = MapEncoder(block, tuple(channels), "relu")
            self.pictures[name] = nn.Sequential(
                encoder,
                nn.Linear(encoder.width, picture_width),
                nn.LayerNorm(picture_width),
                nn.Tanh(),
            )
        for name in others:
            box = observation_space[name]
            if not isinstance(box, spaces.Box):
                raise ValueError(f"block {name!r}: expected a box, got {box}")
            self.register_buffer(f"low_{name}", torch.as_tensor(box.low))
            self.register_buffer(f"span_{name}", torch.as_tensor(box.high - box.low))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Encode `{block: [rows, ...]}`; stable-baselines3 has scaled pictures to 0..1."""
        parts = [encoder(observations[name]) for name, encoder in self.pictures.items()]
        for name in self.others:
            low, span = self.get_buffer(f"low_{name}"), self.get_buffer(f"span_{name}")
            parts.append((2.0 * (observations[name] - low) / span - 1.0).flatten(1))
        return torch.cat(parts, dim=1)
