"""Compile the kernels once, so that nobody waits for it later; `make setup` ends with this.

Numba keeps the compiled kernels beside their files, and compiles them anew only when a source
changes.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from simrl.core.plugins import (
    controller_plugin,
    env_names,
    env_plugin,
    make_env,
    make_scripted,
)
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.random import RandomPolicy
from simrl.rollout.seating import Seating
from simrl.runs.presets import preset
from simrl.runs.training import build_run

CONTROLLERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("nmpc", "double-integrator", {}),
    ("mpc-wbc", "quadruped-velocity", {"control": "torque", "control_step": 0.004}),
    ("pick-place", "amr-pick", {}),
)
"""Controllers with kernels of their own, and a task for each."""


def main() -> None:
    """Step every environment with every scripted policy, plan once, learn from one small batch."""
    started = time.monotonic()
    for name in env_names():
        env = make_env(name, 2)
        policies = [RandomPolicy(env.spec)]
        policies += [make_scripted(name, policy) for policy in env_plugin(name).policies]
        for policy in policies:
            engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=0)
            for _ in range(2):
                engine.step()
    for controller, task, options in CONTROLLERS:
        env, plugin = make_env(task, 1, **options), controller_plugin(controller)
        planner = plugin.make(env.spec, plugin.config())
        RolloutEngine(env, Seating.self_play(env, planner, train=False), seed=0).step()
    build_run(dataclasses.replace(preset("moba-1v1"), num_envs=16)).loop.update()
    print(f"setup: kernels compiled in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
