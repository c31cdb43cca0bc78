"""Measure how well legged MPC and whole-body control walk, and what they withstand.

    python scripts/bench/legged.py [--only trot speed push ...] [--seeds 3] [--json]

Everything goes through the ordinary environment `quadruped-velocity` and the ordinary engine, at
500 Hz (`trot` and `time`: 250 Hz) under torque control, physics at 2 ms, from random starts (joints off by up to 0.1 rad, facing anywhere).
Nothing of what a trial changes is told to the controller, but the delay (as its option `delay`).

| study | figures | protocol |
|---|---|---|
| `trot` | `trot_rmse_x`, `trot_rmse_y` | Go2, 0.5 m/s, 10 s, true state; from 1.5 s on; over all seeds |
| `time` | `real_time_factor` | the same, one robot: simulated over wall time of env, controller and engine; the best of 3 |
| `estimator` | `estimator_rmse` | at 500 Hz, the controller seeing through simulated sensors; the larger of x and y |
| `delay` | `delay_rmse_ratio` | at 500 Hz with torques 20 ms late, over the nominal error; the larger of x and y |
| `speed` | `max_speed`, `max_lateral`, `max_yaw` | the command ramps up, then is held for 20 s; kept if no row falls and the mean is within 10 %: mean speed of the fastest kept |
| `push` | `push_lateral`, `push_forward`, `push_backward` | 0.1 s at 0.5 m/s, begun at each of 8 phases of the gait; no fall in 3 s after: the largest impulse that it and all smaller ones of the list are survived in every phase [N s] |
| `payload` | `payload_share` | 10 s with a mass on the trunk; no fall, speed within 0.1 m/s: the largest share of the robot's mass |
| `friction` | `min_friction` | 10 s; no fall, speed within 0.1 m/s: the least coefficient |
| `robots` | `robots_ok` | 20 s at 0.5 m/s; how many others of the package keep the task's success (no fall, rms below 0.25 m/s) |
| `gaits` | `gaits_ok` | Go2, 20 s in each further gait, same criterion |
"""  # noqa: E501 (a table)

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from legged_walks import RESET, STEP, Walks, time_walk, walk
from report import add_json_flag, report

ROBOTS = ("go1", "aliengo", "mini_cheetah", "b2", "a2", "spot", "hyqreal")
GAITS = {"walk": 0.3, "pace": 0.5, "bound": 0.5, "gallop": 0.5, "pronk": 0.5}
"""Further gaits, and the speed at which each is tried [m/s]."""
PUSHES = {
    "lateral": (math.pi / 2, (15.0, 20.0, 25.0, 30.0)),
    "forward": (0.0, (25.0, 30.0, 35.0, 40.0)),
    "backward": (math.pi, (30.0, 35.0, 40.0, 45.0)),
}
"""Directions from the heading [rad], and impulses [N s]."""
SPEEDS = {
    "max_speed": (0, (1.5, 2.0, 2.2, 2.5, 3.0)),
    "max_lateral": (1, (0.5, 0.8, 1.0, 1.2)),
    "max_yaw": (2, (1.5, 2.0, 3.0, 4.0)),
}
"""Column of the command, and speeds [m/s or rad/s]."""
SHARES = (0.4, 0.5, 0.6, 0.7, 0.8)
FRICTIONS = (0.4, 0.3, 0.25, 0.2, 0.15)
GO2_MASS = 15.206
HELD = 20.0
TROT_STEP = 0.004
"""Time between two decisions where error and wall time are measured together [s]."""
PERIOD = 0.33
"""Length of a trotting Go2's cycle [s]."""
LOUD = {"verbose": False}


def say(text: str) -> None:
    """Tell what was found, if asked to."""
    if LOUD["verbose"]:
        print(text, flush=True)


def trot(seeds: int) -> dict[str, float]:
    """Measure the error of a trot."""
    error = _error(walk(rows=[{}] * seeds, step=TROT_STEP))
    return {"trot_rmse_x": error[0], "trot_rmse_y": error[1]}


def real_time(seeds: int) -> dict[str, float]:
    """Measure simulated over wall time of one robot."""
    return {"real_time_factor": max(time_walk(TROT_STEP) for _ in range(3))}


def estimator(seeds: int) -> dict[str, float]:
    """Measure the error of a trot by simulated sensors."""
    error = _error(walk(rows=[{}] * seeds, controller={"estimate": True}))
    return {"estimator_rmse": float(max(error[:2]))}


def delay(seeds: int) -> dict[str, float]:
    """Measure how much worse late torques make a trot."""
    nominal = _error(walk(rows=[{}] * seeds))
    late = _error(walk(rows=[{"latency": (0.02, 0.02)}] * seeds, controller={"delay": 0.02}))
    return {"delay_rmse_ratio": float(max(late[0] / nominal[0], late[1] / nominal[1]))}


def speed(seeds: int) -> dict[str, float]:
    """Measure the fastest speeds that are held."""
    return {
        name: _largest(name, values, lambda value, column=column: _held(column, value))
        for name, (column, values) in SPEEDS.items()
    }


def _held(column: int, value: float) -> float:
    """Return the speed that is held when `value` is commanded; NaN if it is not."""
    command = [0.0, 0.0, 0.0]
    command[column] = value
    ramp = 3.0
    done = walk(command, ramp + HELD, controller={"acceleration": (1.0, 1.0, 2.0)})
    mean = done.mean(ramp)[0, column] if done.stood.all() else math.nan
    return float(mean) if abs(mean - value) <= 0.1 * value else math.nan


def push(seeds: int) -> dict[str, float]:
    """Measure the pushes that are survived at every phase."""
    return {
        f"push_{name}": _largest(
            name, impulses, lambda value, angle=angle: _survived(angle, value, seeds)
        )
        for name, (angle, impulses) in PUSHES.items()
    }


def _survived(angle: float, impulse: float, seeds: int) -> float:
    """Return the impulse if it is survived at 8 phases from every seed, else NaN."""
    times = [2.0 + PERIOD * phase / 8 for phase in range(8)]
    rows = [
        {
            "push": (impulse, impulse),
            "push_angle": (angle, angle),
            "push_start": round(start / STEP) * STEP,
            "push_interval": 60.0,
        }
        for start in times
    ]
    for seed in range(seeds):
        done = walk(seconds=times[-1] + 3.1, rows=rows, push_frame="heading", seed=seed)
        if not done.stood.all():
            say(f"    {impulse:g} N s, seed {seed}: fell in {int((~done.stood).sum())} of 8 phases")
            return math.nan
    return impulse


def payload(seeds: int) -> dict[str, float]:
    """Measure the heaviest load."""
    return {"payload_share": _largest("payload", SHARES, lambda share: _carried(share, seeds))}


def _carried(share: float, seeds: int) -> float:
    rows = [{"payload": (share * GO2_MASS,) * 2}] * seeds
    return share if _walked(walk(rows=rows)) else math.nan


def friction(seeds: int) -> dict[str, float]:
    """Measure the most slippery ground."""

    def slid(value: float) -> float:
        return value if _walked(walk(rows=[{"friction": (value, value)}] * seeds)) else math.nan

    return {"min_friction": _largest("friction", FRICTIONS, slid)}


def robots(seeds: int) -> dict[str, float]:
    """Count the robots that trot."""
    return {"robots_ok": float(sum(_ok(name, walk(seconds=20.0, robot=name)) for name in ROBOTS))}


def gaits(seeds: int) -> dict[str, float]:
    """Count the gaits in which a Go2 walks."""
    found = [
        _ok(name, walk((pace, 0.0, 0.0), 20.0, controller={"gait": name}))
        for name, pace in GAITS.items()
    ]
    return {"gaits_ok": float(sum(found))}


def _ok(name: str, done: Walks) -> bool:
    """Tell whether the task would call it a success."""
    error = done.velocity[round(1.0 / STEP) :, :, :2] - done.command[:2]
    rms = float(np.sqrt((error**2).sum(axis=2).mean())) if len(error) else math.nan
    say(f"  {name}: fell {done.fell.min():.2f}, rms {rms:.3f} m/s")
    return bool(done.stood.all()) and rms < 0.25


def _walked(done: Walks) -> bool:
    return bool(done.stood.all() and (np.abs(done.mean(RESET)[:, 0] - done.command[0]) < 0.1).all())


def _error(done: Walks) -> np.ndarray:
    """Return the error over all rows `[3]`; infinite if one fell."""
    if not done.stood.all():
        return np.full(3, np.inf)
    return np.sqrt((done.rmse() ** 2).mean(axis=0))


def _largest(name: str, values: Iterable[float], trial: Callable[[float], float]) -> float:
    """Return what the last trial gave before the first that failed (0 if that is the first)."""
    best = 0.0
    for value in values:
        found = trial(value)
        say(f"  {name} {value:g}: {found:.3g}")
        if math.isnan(found):
            break
        best = found
    return best


STUDIES: dict[str, Callable[[int], dict[str, float]]] = {
    "trot": trot,
    "time": real_time,
    "estimator": estimator,
    "delay": delay,
    "speed": speed,
    "push": push,
    "payload": payload,
    "friction": friction,
    "robots": robots,
    "gaits": gaits,
}
BARS = {
    "trot_rmse_x": "bar 0.02 m/s",
    "trot_rmse_y": "bar 0.03 m/s",
    "real_time_factor": "bar 5",
    "estimator_rmse": "bar 0.05 m/s",
    "delay_rmse_ratio": "bar 1.5",
    "max_speed": "bar 2 m/s",
    "max_lateral": "bar 0.5 m/s",
    "max_yaw": "bar 1.5 rad/s",
    "push_lateral": "bar 25 N s",
    "push_forward": "bar 35 N s",
    "push_backward": "bar 40 N s",
    "payload_share": "bar 0.6",
    "min_friction": "bar 0.2",
    "robots_ok": "bar 6",
    "gaits_ok": "bar 5",
}


def legged_figures(studies: Iterable[str] = tuple(STUDIES), seeds: int = 3) -> dict[str, float]:
    """Return the figures of some studies."""
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    for name in studies:
        say(name)
        figures |= STUDIES[name](seeds)
    return figures


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--seeds", type=int, default=3, help="starts of each trial")
    add_json_flag(parser)
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error("at least one seed is needed")
    LOUD["verbose"] = not options.json
    figures = legged_figures(options.only, options.seeds)
    report(
        figures,
        json_flag=options.json,
        title="Legged MPC and whole-body control",
        notes={name: BARS[name] for name in figures},
        packages=("mujoco", "daqp"),
    )


if __name__ == "__main__":
    main()
