"""Search of games in which all agents move at once."""

from simrl.search.simultaneous.config import (
    RegretConfig,
    SimultaneousConfig,
    SmoothConfig,
    UctConstants,
)
from simrl.search.simultaneous.evaluators import (
    JointEvaluation,
    JointEvaluator,
    NetworkJointEvaluator,
    RandomJointEvaluator,
    UniformJointEvaluator,
)
from simrl.search.simultaneous.policy import SimultaneousSearchPolicy
from simrl.search.simultaneous.search import SimultaneousResult, search_simultaneous

__all__ = [
    "JointEvaluation",
    "JointEvaluator",
    "NetworkJointEvaluator",
    "RandomJointEvaluator",
    "RegretConfig",
    "SimultaneousConfig",
    "SimultaneousResult",
    "SimultaneousSearchPolicy",
    "SmoothConfig",
    "UctConstants",
    "UniformJointEvaluator",
    "search_simultaneous",
]
