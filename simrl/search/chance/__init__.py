"""Search with chance nodes: models that tell their chances, and models that only draw."""

from simrl.search.chance.config import ChanceConfig
from simrl.search.chance.model import Afterstate, SampledOutcomes, StochasticModel
from simrl.search.chance.search import search_chance, search_sampled_chance

__all__ = [
    "Afterstate",
    "ChanceConfig",
    "SampledOutcomes",
    "StochasticModel",
    "search_chance",
    "search_sampled_chance",
]
