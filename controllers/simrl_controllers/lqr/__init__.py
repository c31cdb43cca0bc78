"""Linear-quadratic control: Riccati solvers, linearisation, LQR and iterative LQR policies."""

from simrl.core.plugins import ControllerPlugin
from simrl_controllers.lqr.ilqr import Ilqr, IlqrCost, IlqrOptions, IlqrPlan
from simrl_controllers.lqr.ilqr_policy import IlqrConfig, IlqrPolicy, make_ilqr
from simrl_controllers.lqr.linearise import (
    Linearisation,
    LinearModel,
    linearise,
    linearise_casadi,
    linearise_step,
    trim,
)
from simrl_controllers.lqr.plant import Plant
from simrl_controllers.lqr.policy import LqrConfig, LqrPolicy, make_lqr
from simrl_controllers.lqr.riccati import (
    LqrSolution,
    TimeVaryingSolution,
    solve_finite,
    solve_lqr,
    solve_time_varying,
)

lqr = ControllerPlugin(
    "linear-quadratic regulator about an operating point, with preview of a reference",
    LqrConfig,
    make_lqr,
)
ilqr = ControllerPlugin(
    "iterative LQR in the task's own model, over a receding horizon with action limits",
    IlqrConfig,
    make_ilqr,
)

__all__ = [
    "Ilqr",
    "IlqrConfig",
    "IlqrCost",
    "IlqrOptions",
    "IlqrPlan",
    "IlqrPolicy",
    "LinearModel",
    "Linearisation",
    "LqrConfig",
    "LqrPolicy",
    "LqrSolution",
    "Plant",
    "TimeVaryingSolution",
    "ilqr",
    "linearise",
    "linearise_casadi",
    "linearise_step",
    "lqr",
    "make_ilqr",
    "make_lqr",
    "solve_finite",
    "solve_lqr",
    "solve_time_varying",
    "trim",
]
