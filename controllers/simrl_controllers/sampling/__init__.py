"""Model-predictive control by sampling: predictive sampling, MPPI and the cross-entropy method."""

from __future__ import annotations

from simrl.core import Dynamics, EnvSpec
from simrl.core.plugins import ControllerPlugin
from simrl_controllers.sampling.cem import CemConfig, CemUpdate
from simrl_controllers.sampling.guided import guided
from simrl_controllers.sampling.mppi import MppiConfig, MppiUpdate
from simrl_controllers.sampling.plan import SUITED, Effort, PlanDistribution, SamplingConfig, Update
from simrl_controllers.sampling.planner import Proposal, SamplingPolicy, TerminalValue
from simrl_controllers.sampling.predictive import PredictiveConfig, PredictiveUpdate
from simrl_controllers.sampling.proposal import (
    Observe,
    PolicyProposal,
    observe_alone,
    observe_state,
)
from simrl_controllers.sampling.spline import Spline, SplineKind


def make_predictive(
    spec: EnvSpec,
    config: PredictiveConfig,
    *,
    dynamics: Dynamics | None = None,
    terminal_value: TerminalValue | None = None,
    proposal: Proposal | None = None,
) -> SamplingPolicy:
    """Build predictive sampling; the arguments are those of `SamplingPolicy`."""
    return SamplingPolicy(
        spec,
        config,
        lambda middle, scale: PredictiveUpdate(),
        dynamics=dynamics,
        terminal_value=terminal_value,
        proposal=proposal,
    )


def make_mppi(
    spec: EnvSpec,
    config: MppiConfig,
    *,
    dynamics: Dynamics | None = None,
    terminal_value: TerminalValue | None = None,
    proposal: Proposal | None = None,
) -> SamplingPolicy:
    """Build MPPI; the arguments are those of `SamplingPolicy`."""
    return SamplingPolicy(
        spec,
        config,
        lambda middle, scale: MppiUpdate(config, middle),
        dynamics=dynamics,
        terminal_value=terminal_value,
        proposal=proposal,
    )


def make_cem(
    spec: EnvSpec,
    config: CemConfig,
    *,
    dynamics: Dynamics | None = None,
    terminal_value: TerminalValue | None = None,
    proposal: Proposal | None = None,
) -> SamplingPolicy:
    """Build the cross-entropy method; the arguments are those of `SamplingPolicy`."""
    return SamplingPolicy(
        spec,
        config,
        lambda middle, scale: CemUpdate(config, scale),
        dynamics=dynamics,
        terminal_value=terminal_value,
        proposal=proposal,
    )


predictive_sampling = ControllerPlugin(
    "keep the best of a few noisy plans, rolled out in the task's model",
    PredictiveConfig,
    make_predictive,
    guided(make_predictive),
)
mppi = ControllerPlugin(
    "average noisy plans by the exponent of their cost (path integral control)",
    MppiConfig,
    make_mppi,
    guided(make_mppi),
)
cem = ControllerPlugin(
    "fit plans to the cheapest samples over a few iterations (cross-entropy method)",
    CemConfig,
    make_cem,
    guided(make_cem),
)

__all__ = [
    "SUITED",
    "CemConfig",
    "CemUpdate",
    "Effort",
    "MppiConfig",
    "MppiUpdate",
    "Observe",
    "PlanDistribution",
    "PolicyProposal",
    "PredictiveConfig",
    "PredictiveUpdate",
    "Proposal",
    "SamplingConfig",
    "SamplingPolicy",
    "Spline",
    "SplineKind",
    "TerminalValue",
    "Update",
    "cem",
    "guided",
    "make_cem",
    "make_mppi",
    "make_predictive",
    "mppi",
    "observe_alone",
    "observe_state",
    "predictive_sampling",
]
