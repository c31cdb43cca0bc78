"""Linear model-predictive control: tracking under limits, offset-free, through delay, robust."""

from simrl.core.plugins import ControllerPlugin
from simrl_controllers.linear.condensed import CondensedMpc, condense_cost, predict_matrices
from simrl_controllers.linear.config import LinearMpcConfig
from simrl_controllers.linear.delay import Compensation, augment, predict_through, push
from simrl_controllers.linear.invariant import DisturbanceTube, admissible_set
from simrl_controllers.linear.mpc import Form, LinearMpc, MpcSolution
from simrl_controllers.linear.offset import Offset
from simrl_controllers.linear.policy import LinearMpcPolicy, make_linear_mpc
from simrl_controllers.linear.problem import FinalCost, MpcInstance, MpcProblem
from simrl_controllers.linear.sparse import SparseMpc
from simrl_controllers.linear.tube import TubeMpcConfig, TubeMpcPolicy, make_tube_mpc

linear_mpc = ControllerPlugin(
    "linear MPC: limits on state, action and rate, soft limits, offset-free, through delay",
    LinearMpcConfig,
    make_linear_mpc,
)
tube_mpc = ControllerPlugin(
    "robust linear MPC: limits hold under every disturbance of known size",
    TubeMpcConfig,
    make_tube_mpc,
)

__all__ = [
    "Compensation",
    "CondensedMpc",
    "DisturbanceTube",
    "FinalCost",
    "Form",
    "LinearMpc",
    "LinearMpcConfig",
    "LinearMpcPolicy",
    "MpcInstance",
    "MpcProblem",
    "MpcSolution",
    "Offset",
    "SparseMpc",
    "TubeMpcConfig",
    "TubeMpcPolicy",
    "admissible_set",
    "augment",
    "condense_cost",
    "linear_mpc",
    "make_linear_mpc",
    "make_tube_mpc",
    "predict_matrices",
    "predict_through",
    "push",
    "tube_mpc",
]
