"""Solve quadratic programs with any of five solvers behind one checked function.

    minimise 1/2 x H x + g x   subject to   l <= A x <= u,   lb <= x <= ub

`solve_qp` solves one problem; `QPWorkspace` keeps a solver's set-up and its last solution for a
sequence of similar problems.  Whatever the solver claims, the result is held to the optimality
conditions: one whose KKT residual is above the tolerance is a failure.
"""

from simrl_controllers.qp.problem import INFINITY, Matrix, QPProblem, Warm
from simrl_controllers.qp.residual import KKTResidual, kkt_residual
from simrl_controllers.qp.result import STATUS_CODES, QPResult, QPStatus
from simrl_controllers.qp.workspace import SOLVERS, QPSettings, QPWorkspace, solve_qp

__all__ = [
    "INFINITY",
    "SOLVERS",
    "STATUS_CODES",
    "KKTResidual",
    "Matrix",
    "QPProblem",
    "QPResult",
    "QPSettings",
    "QPStatus",
    "QPWorkspace",
    "Warm",
    "kkt_residual",
    "solve_qp",
]
