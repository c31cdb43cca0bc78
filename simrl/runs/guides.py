"""Let a trained run guide a controller that plans: `mppi:RUN`, `cem:RUN@best:horizon=8`.

The run's policy proposes plans and its critic values their ends, both through the observations that
the controller's own model tells, normalised as in training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from simrl.core.dynamics import ObservedDynamics
from simrl.core.guide import Guide
from simrl.core.plugins import controller_names, controller_plugin, make_dynamics
from simrl.core.policy import Policy
from simrl.core.spec import EnvSpec
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic
from simrl.runs.config import PREFERENCES_FILE, TrainConfig, is_run, run_config
from simrl.runs.fit import check_fits
from simrl.runs.policies import acting_policy, load_run_network


def guided_controller(
    kind: str, run: str, config: Any, spec: EnvSpec, env_options: Mapping[str, Any]
) -> Policy:
    """Build the controller called `kind`, guided by `run`: RUN, RUN@best, RUN@12000000.

    ValueError if the controller cannot be guided, `run` is none, or what it learned does not fit
    (see `load_guide`).
    """
    if not is_run(run.partition("@")[0]):
        raise ValueError(
            f"{kind}:{run}: an option is NAME=VALUE, got {run!r}, and no run's folder is called so"
        )
    build = controller_plugin(kind).guided
    if build is None:
        able = [name for name in controller_names() if controller_plugin(name).guided is not None]
        raise ValueError(f"{kind} cannot be guided by a run; {', '.join(able)} can")
    return build(spec, config, load_guide(run, spec, env_options))


def load_guide(run: str, spec: EnvSpec, env_options: Mapping[str, Any]) -> Guide:
    """Load policy and critic of a run as a guide in the environment of `spec`.

    ValueError if the run was trained in another task, on other observations, actions or rewards or
    at another rate, if its values are not of the task's reward, if it has a memory, or if the
    environment has no model that tells observations.
    """
    folder, _, which = run.partition("@")
    config = run_config(folder)
    trained = check_fits(folder, spec)
    for fact in ("step_seconds", "reward_terms", "reward_weights"):
        old, new = getattr(trained, fact), getattr(spec, fact)
        if old != new:
            raise ValueError(
                f"{folder} was trained with {fact} {old}, here it is {new}: its values do not fit"
            )
    _check_values(folder, config)
    dynamics = spec.dynamics() if spec.dynamics else make_dynamics(spec.id, **env_options)
    if not isinstance(dynamics, ObservedDynamics):
        raise ValueError(f"the dynamics of {spec.id} does not show what agents see")
    net = load_run_network(folder, which)
    if net.stateful:
        raise ValueError(
            f"{folder} has a memory, so no value follows from a state alone: it cannot guide plans"
        )
    policy = acting_policy(config, spec, NetworkPolicy(net, values=False), env_options)
    return Guide(run, dynamics, policy, critic_value(net, dynamics), config.ppo.gamma)


def critic_value(net: ActorCritic, dynamics: ObservedDynamics) -> Callable[[Tensor], Tensor]:
    """Return a function of states `[B, S]`: what the critic expects, in units of reward `[B]`."""
    reads = sorted(net.reads)

    def value(state: Tensor) -> Tensor:
        seen = dynamics.observe(state)
        with torch.inference_mode():
            values: Tensor = net.act_step({name: seen[name][:, 0] for name in reads}, {})[1]
        return values.sum(-1)

    return value


def _check_values(folder: str, config: TrainConfig) -> None:
    """Raise ValueError unless a run's critic values the task's own reward at one discount."""
    reasons = {
        "learned from a learned reward": (Path(folder) / PREFERENCES_FILE).is_file(),
        "commands a controller, several steps at a time": bool(config.base_command),
        "discounts groups of rewards differently": bool(config.ppo.group_gamma),
        "clips rewards": config.ppo.reward_clip is not None,
    }
    for reason, holds in reasons.items():
        if holds:
            raise ValueError(f"{folder} {reason}, so its values are not those of the task's reward")
