"""Let a trained run guide a sampling controller: its policy begins plans, its critic ends them.

The policy's rollouts begin each search and are among its samples, as in "Temporal Difference
Learning for Model Predictive Control" (Hansen et al. 2022), and the cheaper of them and the last
plan is improved, as in "AC4MPC: Actor-Critic Reinforcement Learning for Nonlinear Model Predictive
Control" (Reiter et al. 2024).  With the critic at the end of the horizon, planning is one step of
policy improvement on the run's policy (Bertsekas 2022, "Lessons from AlphaZero").
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simrl.core import EnvSpec, Guide
from simrl_controllers.sampling.plan import SamplingConfig
from simrl_controllers.sampling.planner import SamplingPolicy
from simrl_controllers.sampling.proposal import PolicyProposal, observe_alone


def guided(make: Callable[..., SamplingPolicy]) -> Callable[[EnvSpec, Any, Guide], SamplingPolicy]:
    """Return `build(spec, config, guide)`, which makes the controller of `make` under a guide."""

    def build(spec: EnvSpec, config: Any, guide: Guide) -> SamplingPolicy:
        proposal = None
        if config.guide_plans:
            observe = observe_alone(guide.dynamics)
            proposal = PolicyProposal(
                guide.policy, guide.dynamics, plans=config.guide_plans, observe=observe
            )
        return make(
            spec,
            guided_config(config, guide),
            dynamics=guide.dynamics,
            terminal_value=guide.value if config.guide_value else None,
            proposal=proposal,
        )

    return build


def guided_config(config: SamplingConfig, guide: Guide) -> SamplingConfig:
    """Fill what `config` leaves open as suits the guide.

    ValueError for a discount other than the guide's: its values would not fit the plans' rewards.
    """
    if config.gamma not in (None, guide.gamma):
        raise ValueError(
            f"{guide.name} learned its values at gamma {guide.gamma}, they do not fit plans at "
            f"{config.gamma}: leave gamma out"
        )
    end_cost = 0.0 if config.guide_value and config.end_cost is None else config.end_cost
    return replace(config, gamma=guide.gamma, end_cost=end_cost)
