"""Tree search: batched MCTS over any model and evaluator, and agents that are guided by it."""

from simrl.search.agent_evaluators import AgentEvaluator, TruncatedRollouts
from simrl.search.agent_model import AgentModel, Situation
from simrl.search.agent_policy import (
    AgentSearchConfig,
    AgentSearchPolicy,
    LookaheadPlanner,
    TreePlanner,
)
from simrl.search.config import (
    GumbelConfig,
    PuctConfig,
    SearchConfig,
    UctConfig,
    WideningConfig,
)
from simrl.search.evaluators import MixedEvaluator, NetworkEvaluator, UniformEvaluator
from simrl.search.lookahead import LookaheadConfig, LookaheadResult
from simrl.search.model import Evaluation, Evaluator, Model, Transition
from simrl.search.open_loop import OpenLoopConfig, search_open_loop
from simrl.search.plain_net import flat_spec
from simrl.search.planner_evaluators import BoxEvaluator, ListEvaluator, RolloutValue
from simrl.search.planner_model import DynamicsModel
from simrl.search.planner_policy import PlannerPolicy
from simrl.search.policy import SearchPolicy, SearchPolicyConfig
from simrl.search.random_rollouts import RolloutConfig, RolloutEvaluator
from simrl.search.result import SearchResult
from simrl.search.sampled import SampledEvaluator
from simrl.search.search import search
from simrl.search.tree import Tree
from simrl.search.turn_model import TurnModel

__all__ = [
    "AgentEvaluator",
    "AgentModel",
    "AgentSearchConfig",
    "AgentSearchPolicy",
    "BoxEvaluator",
    "DynamicsModel",
    "Evaluation",
    "Evaluator",
    "GumbelConfig",
    "ListEvaluator",
    "LookaheadConfig",
    "LookaheadPlanner",
    "LookaheadResult",
    "MixedEvaluator",
    "Model",
    "NetworkEvaluator",
    "OpenLoopConfig",
    "PlannerPolicy",
    "PuctConfig",
    "RolloutConfig",
    "RolloutEvaluator",
    "RolloutValue",
    "SampledEvaluator",
    "SearchConfig",
    "SearchPolicy",
    "SearchPolicyConfig",
    "SearchResult",
    "Situation",
    "Transition",
    "Tree",
    "TreePlanner",
    "TruncatedRollouts",
    "TurnModel",
    "UctConfig",
    "UniformEvaluator",
    "WideningConfig",
    "flat_spec",
    "search",
    "search_open_loop",
]
