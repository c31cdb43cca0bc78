"""The base of a mobile manipulator, on two wheels or moving in all directions, among obstacles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import casadi as ca
import numpy as np

from simrl.core import ContinuousActions, EnvSpec
from simrl_controllers.nonlinear.model import (
    Model,
    fact,
    part_columns,
    weighted,
    weights_of,
)
from simrl_controllers.nonlinear.models.base_ways import Base, drive_ways, lay_targets

WEIGHTS = {
    "place": 1.0,
    "heading": 0.3,
    "speed": 0.05,
    "spin": 0.05,
    "change": 0.05,
}
"""Weights of the squared residuals; change is how far an input is from the speed at hand."""
CLEARANCE = 0.05
"""Room that is left between base and obstacles [m]."""
CLOSE = 0.1
"""Distance within which the goal's heading counts for a base on wheels [m]."""
MOST_ACCELERATION, BRAKE = (1.5, 1.5, 3.0), 0.8
"""Fastest changes of speed that are planned [m/s^2, m/s^2, rad/s^2], and the share of what the
drives can do that is used."""
DT, PACE = 0.1, 1.2
"""Length of a stage that suits the base [s], and the share of its speed at which targets go on."""
LEAST_LAG = 0.1
"""Least time constant of the speeds in a plan [s]: it also keeps the base from jerking."""
DISCS = 3
"""Discs that cover the base."""
MOST_SPEED = (1.0, 1.0, 1.6)
"""Fastest speeds that are planned [m/s, m/s, rad/s]."""
FAR = 1.5
"""Distance from which on a goal pulls no stronger [m]: far goals do not outweigh obstacles."""


def build_mobile_base(spec: EnvSpec, weights: Mapping[str, float]) -> Model:
    """Build the model of the base; the arm holds its nominal pose meanwhile.

    States are the base's pose and its velocity in the world; inputs are its speeds in its own
    frame: ahead, to the left if it can, and turning.  Speeds follow with the servos' lag.
    """
    w = weights_of("amr", WEIGHTS, weights)
    holonomic = fact(spec, "drive") == "holonomic"
    most = np.minimum(np.asarray(fact(spec, "velocity_limit"), np.float64), np.array(MOST_SPEED))
    lag = _lag(spec, holonomic)
    pushed = BRAKE * np.asarray(fact(spec, "acceleration_limit"), np.float64)
    pushed = np.minimum(pushed, np.array(MOST_ACCELERATION))
    half_length, half_width = (float(value) for value in fact(spec, "footprint"))
    reach = half_length / DISCS
    room = float(np.hypot(reach, half_width)) + CLEARANCE
    centres = [reach * (2 * i + 1 - DISCS) for i in range(DISCS)]
    boxes = _boxes(spec)
    wall = [float(value) for value in fact(spec, "room")]
    num_obstacles = int(spec.physics.get("num_obstacles", 0))
    used = [0, 1, 2] if holonomic else [0, 2]
    wide = float(np.hypot(half_length, half_width)) + CLEARANCE
    lags = np.array([lag[k // 2] for k in used])
    base = Base(room, wide, holonomic, lags, pushed[used])

    def rates(x: ca.SX, u: ca.SX) -> ca.SX:
        cos, sin = ca.cos(x[2]), ca.sin(x[2])
        ahead, aside = cos * x[3] + sin * x[4], -sin * x[3] + cos * x[4]
        left = u[1] if holonomic else 0.0
        forward, sideways = (u[0] - ahead) / lag[0], (left - aside) / lag[0]
        if not holonomic:
            # Wheels carry the velocity along with the heading; servos in all directions do not.
            forward, sideways = forward - x[5] * aside, sideways + x[5] * ahead
        return ca.vertcat(
            x[3:6],
            cos * forward - sin * sideways,
            sin * forward + cos * sideways,
            (u[len(used) - 1] - x[5]) / lag[1],
        )

    def residual(x: ca.SX, target: ca.SX) -> ca.SX:
        dx, dy = x[0] - target[0], x[1] - target[1]
        # Quadratic near the goal, linear far from it.
        scale = 1.0 / ca.sqrt(ca.sqrt(1.0 + (dx**2 + dy**2) / FAR**2))
        # A base on wheels has to turn away from the goal's heading to get to it.
        near = 1.0 / ca.sqrt(1.0 + (dx**2 + dy**2) / (FAR if holonomic else CLOSE) ** 2)
        turn = x[2] - target[2]
        values = [dx * scale, dy * scale, near * ca.sin(turn), near * (1.0 - ca.cos(turn))]
        values += [x[3], x[4], x[5]]
        pull = [w["place"]] * 2 + [w["heading"]] * 2 + [w["speed"]] * 2 + [w["spin"]]
        return weighted(values, pull)

    def soft(x: ca.SX, u: ca.SX, target: ca.SX, discs: ca.SX) -> ca.SX:
        cos, sin = ca.cos(x[2]), ca.sin(x[2])
        speed = [cos * x[3] + sin * x[4], -sin * x[3] + cos * x[4], x[5]]
        values = []
        for i, k in enumerate(used):
            change = (u[i] - speed[k]) / lag[k // 2]
            values += [change - pushed[k], -pushed[k] - change]
        for at in centres:
            px, py = x[0] + at * ca.cos(x[2]), x[1] + at * ca.sin(x[2])
            for bx, by, hx, hy in boxes:
                values.append(room - _box_distance(px - bx, py - by, hx, hy))
            values += [px + room - wall[0], room - wall[0] - px]
            values += [py + room - wall[1], room - wall[1] - py]
            for k in range(num_obstacles):
                dx, dy = px - discs[k, 0], py - discs[k, 1]
                values.append(room + discs[k, 2] - ca.sqrt(dx**2 + dy**2 + 1e-4))
        return ca.vertcat(*values)

    return Model(
        name="amr",
        states=("x", "y", "yaw", "vx", "vy", "yaw_rate"),
        columns=_columns(spec),
        rates=rates,
        residual=residual,
        effort=lambda u, target: weighted(
            [u[i] for i in range(len(used))], [w["change"]] * len(used)
        ),
        low=-most[used],
        high=most[used],
        nominal=np.zeros(len(used)),
        goal=np.zeros(3),
        guess=_guess,
        rest=lambda target: ca.vertcat(target[:3], 0, 0, 0),
        soft=soft,
        aim=partial(lay_targets, base, _with_walls(boxes, wall), PACE * DT * float(most[0])),
        ways=partial(drive_ways, base, -most[used], most[used]),
        num_obstacles=num_obstacles,
        terminal_scale=10.0,
        soft_linear=200.0,
        soft_quadratic=1000.0,
        horizon=30,
        dt=DT,
        embed=_embed(spec, holonomic),
    )


def _box_distance(dx: ca.SX, dy: ca.SX, half_x: float, half_y: float) -> ca.SX:
    """Return the distance of a point from a box about the origin; negative inside."""
    over_x, over_y = ca.fabs(dx) - half_x, ca.fabs(dy) - half_y
    out_x, out_y = ca.fmax(over_x, 0.0), ca.fmax(over_y, 0.0)
    inside = ca.fmin(ca.fmax(over_x, over_y), 0.0)
    return ca.sqrt(out_x**2 + out_y**2 + 1e-8) + inside


def _boxes(spec: EnvSpec) -> list[tuple[float, float, float, float]]:
    """List middle and half sizes of the furniture [m]."""
    return [
        (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
        for box in dict(fact(spec, "boxes")).values()
    ]


def _with_walls(boxes: list[tuple[float, float, float, float]], wall: list[float]) -> np.ndarray:
    """Return furniture and walls `[B, 4]`."""
    x, y, thick = wall[0], wall[1], 0.1
    walls = [(x + thick, 0.0, thick, y), (-x - thick, 0.0, thick, y)]
    walls += [(0.0, y + thick, x, thick), (0.0, -y - thick, x, thick)]
    return np.array([*boxes, *walls], np.float64)


def _lag(spec: EnvSpec, holonomic: bool) -> tuple[float, float]:
    """Return the time constants of linear and angular speed under the drives' gains [s]."""
    gain = np.asarray(fact(spec, "drive_gain"), np.float64)
    mass, inertia = float(fact(spec, "mass")), float(fact(spec, "yaw_inertia"))
    if holonomic:
        linear, angular = float(gain[0]), float(gain[2])
    else:
        half = 0.5 * float(fact(spec, "track"))
        linear, angular = 2.0 * float(gain[0]), 2.0 * half * half * float(gain[0])
    # Plans step over what is quicker than their own integration can follow.
    return max(mass / linear, LEAST_LAG), max(inertia / angular, LEAST_LAG)


def _columns(spec: EnvSpec) -> np.ndarray:
    place = part_columns(spec, "qpos")[np.asarray(fact(spec, "base_qpos"), np.int64)]
    speed = part_columns(spec, "qvel")[np.asarray(fact(spec, "base_qvel"), np.int64)]
    return np.concatenate([place, speed])


def _embed(spec: EnvSpec, holonomic: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return what makes the environment's actions of the base's speeds `[B, nu]`."""
    actions = spec.actions
    if not isinstance(actions, ContinuousActions):
        raise ValueError(f"{spec.id}: nmpc needs continuous actions, got {actions}")
    if fact(spec, "control") != "position":
        raise ValueError(
            f"{spec.id}: nmpc drives the base and leaves the arm to its servos: it needs "
            f"control=position, and control is {fact(spec, 'control')}"
        )
    wheels, pose = (3 if holonomic else 2), np.asarray(fact(spec, "pose"), np.float32)
    hold = np.zeros(actions.size, np.float32)
    hold[wheels : wheels + len(pose)] = pose
    half_track = 0.0 if holonomic else 0.5 * float(fact(spec, "track"))
    low = np.asarray(actions.low[:wheels], np.float32)
    high = np.asarray(actions.high[:wheels], np.float32)

    def embed(inputs: np.ndarray) -> np.ndarray:
        action = np.repeat(hold[None], len(inputs), axis=0)
        base = inputs
        if not holonomic:
            turn = half_track * inputs[:, 1]
            base = np.stack([inputs[:, 0] - turn, inputs[:, 0] + turn], axis=1)
        action[:, :wheels] = np.clip(base, low, high)
        return action

    return embed


def _guess(first: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Stand still: the ways around obstacles are tried beside it."""
    return np.tile(first, (len(targets), 1))
