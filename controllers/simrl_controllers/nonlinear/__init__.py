"""Nonlinear MPC: symbolic models, multiple shooting, ipopt, fatrop and a real-time iteration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simrl.core import EnvSpec, Policy
from simrl.core.plugins import ControllerPlugin
from simrl_controllers.nonlinear.config import NmpcConfig

if TYPE_CHECKING:
    from simrl_controllers.nonlinear.policy import NmpcPolicy
    from simrl_controllers.terminal_value import TerminalValue


def make_nmpc(
    spec: EnvSpec, config: NmpcConfig, *, terminal_value: TerminalValue | None = None
) -> Policy:
    """Build nonlinear MPC for an environment; ImportError says what to install."""
    try:
        import casadi  # noqa: F401
    except ImportError as error:
        raise ImportError("nmpc builds its models with CasADi: pip install 'simrl[robots]'") from (
            error
        )
    from simrl_controllers.nonlinear.policy import NmpcPolicy

    return NmpcPolicy(spec, config, terminal_value=terminal_value)


nmpc = ControllerPlugin(
    "plan with a nonlinear model: real-time iteration, ipopt or fatrop", NmpcConfig, make_nmpc
)

__all__ = ["NmpcConfig", "NmpcPolicy", "make_nmpc", "nmpc"]


def __getattr__(name: str) -> type[NmpcPolicy]:
    """Import the policy, and CasADi with it, when it is first asked for."""
    if name == "NmpcPolicy":
        from simrl_controllers.nonlinear.policy import NmpcPolicy

        return NmpcPolicy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
