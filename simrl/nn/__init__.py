"""Networks and action distributions; built from specs, knowing no environment."""

from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.distributions import ClippedGaussian, Distribution, MaskedHeads
from simrl.nn.encoders import EncoderConfig, ObsEncoder
from simrl.nn.normaliser import RunningNormaliser
from simrl.nn.recurrent import Recurrent

__all__ = [
    "ActorCritic",
    "ActorCriticConfig",
    "ClippedGaussian",
    "Distribution",
    "EncoderConfig",
    "MaskedHeads",
    "ObsEncoder",
    "Recurrent",
    "RunningNormaliser",
]
