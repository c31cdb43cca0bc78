"""The contracts that every part of simrl shares; this package imports nothing else of ours."""

from simrl.core.actions import ActionSpec, ContinuousActions, DiscreteActions, Head
from simrl.core.dynamics import (
    Dynamics,
    ObservedDynamics,
    RolloutDynamics,
    TurnDynamics,
    unroll,
)
from simrl.core.env import VecEnv
from simrl.core.guide import Guide
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.replay import Replay, load_replay
from simrl.core.spec import Block, Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs, PolicyState, TimeStep

__all__ = [
    "ActionSpec",
    "Block",
    "Column",
    "ContinuousActions",
    "DiscreteActions",
    "Dynamics",
    "EnvSpec",
    "Guide",
    "Head",
    "Layout",
    "Obs",
    "ObservedDynamics",
    "Policy",
    "PolicyOutput",
    "PolicyState",
    "Replay",
    "RolloutDynamics",
    "TimeStep",
    "TurnDynamics",
    "VecEnv",
    "load_replay",
    "unroll",
    "vector",
]
