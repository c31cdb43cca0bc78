"""Tree search: batched MCTS over any model and evaluator, and agents that are guided by it."""

from simrl.search.config import (
    GumbelConfig,
    PuctConfig,
    SearchConfig,
    UctConfig,
    WideningConfig,
)
from simrl.search.evaluators import MixedEvaluator, NetworkEvaluator, UniformEvaluator
from simrl.search.model import Evaluation, Evaluator, Model, Transition
from simrl.search.plain_net import flat_spec
from simrl.search.policy import SearchPolicy, SearchPolicyConfig
from simrl.search.random_rollouts import RolloutConfig, RolloutEvaluator
from simrl.search.result import SearchResult
from simrl.search.search import search
from simrl.search.tree import Tree
from simrl.search.turn_model import TurnModel

__all__ = [
    "Evaluation",
    "Evaluator",
    "GumbelConfig",
    "MixedEvaluator",
    "Model",
    "NetworkEvaluator",
    "PuctConfig",
    "RolloutConfig",
    "RolloutEvaluator",
    "SearchConfig",
    "SearchPolicy",
    "SearchPolicyConfig",
    "SearchResult",
    "Transition",
    "Tree",
    "TurnModel",
    "UctConfig",
    "UniformEvaluator",
    "WideningConfig",
    "flat_spec",
    "search",
]
