"""Fit a network to a log of motors, and write the file that robot tasks take as `actuator`.

    python scripts/train_actuator.py LOG.npz --out motor.npz
    python scripts/train_actuator.py --record quadruped-recover --option 'latency=[0.01, 0.01]'
    simrl train quadruped-velocity --option actuator=motor.npz --out runs/walk

A log holds `error`, `velocity` and `torque` `[T, J]`, `step_seconds`, and where motors differ in
strength their `limit` `[J]`.  Without a real robot, `--record` takes one from a simulated robot
that is shaken by random targets: with a delay, say, which the network then has to learn.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from simrl.core.plugins import make_env
from simrl.learn.actuator import ActuatorConfig, ActuatorLog, fit_actuator, save_actuator
from simrl.runs.options import parse_options

STEP = 0.005
"""Time between two samples of a recorded log [s]; lags are whole numbers of it."""


@dataclass(frozen=True)
class Arguments:
    """Fit an actuator network and print how good it is."""

    log: tyro.conf.Positional[Path | None] = None
    """Log to fit; or give --record."""
    record: str | None = None
    """Robot task in whose simulation a log is recorded first."""
    option: tuple[str, ...] = ()
    """Options of that task, each NAME=VALUE with the value in YAML."""
    seconds: float = 60.0
    """Length of the recorded log [s]."""
    out: Path = Path("motor.npz")
    """File of the network; a recorded log is written beside it as NAME-log.npz."""
    seed: int = 0
    """Seed of everything."""
    fit: ActuatorConfig = field(default_factory=ActuatorConfig)
    """The network, and how it is fitted."""


def record_log(task: str, options: dict[str, Any], seconds: float, seed: int) -> ActuatorLog:
    """Shake a simulated robot by random targets and record its motors at every physics step.

    Targets move along random lines: each joint heads for a new one every 0.1 s to 0.5 s.
    """
    own = {"control": "position", "control_step": STEP, "physics_step": STEP}
    env: Any = make_env(task, 1, **{**options, **own, "seconds": seconds + STEP})
    env.request(["policy"])
    env.reset(seed)
    simulation, facts = env.simulation, env.spec.physics
    force = simulation.batch.bind("actuator_force")
    low, high = np.array(env.spec.actions.low), np.array(env.spec.actions.high)
    place = np.asarray(facts["qpos_index"])
    speed = np.asarray(facts["qvel_index"])
    rng = np.random.default_rng(seed)
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    target = goal = 0.5 * (low + high)
    rate, due = np.zeros_like(target), np.zeros_like(target)
    for step in range(round(seconds / STEP)):
        new = due <= step
        span = np.rint(rng.uniform(0.1, 0.5, len(low)) / STEP)
        goal = np.where(new, rng.uniform(low, high), goal)
        rate = np.where(new, (goal - target) / span, rate)
        due = np.where(new, step + span, due)
        target = target + rate
        before = simulation.view.qpos[0, place].copy(), simulation.view.qvel[0, speed].copy()
        if bool(env.step(torch.from_numpy(target[None, None]).float()).done[0]):
            raise ValueError(f"{task} ends by its own rules: record in one that does not")
        # MuJoCo leaves the force that it used during the step, from the state before it.
        rows.append((target - before[0], before[1], force[0].copy()))
    error, velocity, torque = (np.stack(part) for part in zip(*rows, strict=True))
    alike = len(set(facts["stiffness"])) == 1
    limit = None if alike else np.asarray(facts["torque_limit"])
    return ActuatorLog(error, velocity, torque, STEP, limit)


def main(args: Arguments) -> None:
    """Record if asked, fit, save, and say how good the network is."""
    if (args.log is None) == (args.record is None):
        raise ValueError("give either a log or --record TASK")
    if args.record is not None:
        log = record_log(args.record, parse_options(args.option), args.seconds, args.seed)
        log.save(args.out.with_name(f"{args.out.stem}-log.npz"))
    else:
        log = ActuatorLog.load(str(args.log))
    fitted = fit_actuator(log, args.fit, seed=args.seed)
    save_actuator(fitted, args.out)
    unit = "of the limit" if fitted.relative else "N m"
    sys.stdout.write(
        f"{args.out}: explains {fitted.share:.2%} of the held-out torque's variance, "
        f"rms error {fitted.rmse:.4g} {unit}\n"
    )


if __name__ == "__main__":
    main(tyro.cli(Arguments))
