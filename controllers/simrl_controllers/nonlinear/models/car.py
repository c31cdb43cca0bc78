"""The car: a single-track model, kinematic or with tyre forces, on a road with obstacles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import casadi as ca
import numpy as np

from simrl.core import EnvSpec
from simrl_controllers.nonlinear.model import (
    Model,
    fact,
    input_limits,
    part_columns,
    weighted,
    weights_of,
)
from simrl_controllers.nonlinear.models.car_ways import Body, drive_ways

WEIGHTS = {
    "along": 0.02,
    "aside": 0.3,
    "heading": 2.0,
    "speed": 0.3,
    "steer": 0.5,
    "slip": 0.05,
    "acceleration": 0.05,
    "steer_rate": 1.0,
}
"""Weights of the squared residuals; along and aside are the offsets from the target pose."""
CLEARANCE = 0.3
"""Room that is left between body and obstacles [m]."""
EDGE = 0.25
"""Room that is left between body and the road's edge [m]."""
GRAVITY, SLIP_SPEED = 9.81, 2.0
DISCS = 3
"""Number of discs that cover the body."""


@dataclass(frozen=True)
class _Tyres:
    """Compute tyre forces as the environment does: load transfer, linear or Pacejka."""

    mass: float
    front: float
    rear: float
    mass_height: float
    friction: float
    stiffness: float
    shape: float
    pacejka: bool

    def forces(self, x: ca.SX, acceleration: ca.SX) -> tuple[ca.SX, ca.SX]:
        """Return the lateral forces of both axles [N]."""
        scale = self.mass / (self.front + self.rear)
        shift = self.mass_height * acceleration
        base = ca.fmax(x[3], SLIP_SPEED)
        front_slip = x[4] * x[3] / base - ca.atan((x[5] + self.front * x[6]) / base)
        rear_slip = -ca.atan((x[5] - self.rear * x[6]) / base)
        front_load = scale * (GRAVITY * self.rear - shift)
        rear_load = scale * (GRAVITY * self.front + shift)
        return (
            self.friction * front_load * self._curve(front_slip),
            self.friction * rear_load * self._curve(rear_slip),
        )

    def _curve(self, slip: ca.SX) -> ca.SX:
        if not self.pacejka:
            return self.stiffness * slip
        return ca.sin(self.shape * ca.atan(self.stiffness / self.shape * slip))


def build_car(spec: EnvSpec, weights: Mapping[str, float]) -> Model:
    """Build the kinematic or the dynamic model, as `spec.physics["motion"]` says.

    States are the environment's: the rear axle's pose, speed, steering angle, and in the dynamic
    model lateral speed and yaw rate.  Inputs are acceleration and steering rate.
    """
    if spec.physics.get("control", "rates") != "rates":
        raise ValueError(
            f"{spec.id}: nmpc commands acceleration and steering rate: it needs control=rates, "
            f"and control is {spec.physics['control']}"
        )
    w = weights_of("car", WEIGHTS, weights)
    dynamic = fact(spec, "motion") == "dynamic"
    front, rear = float(fact(spec, "front")), float(fact(spec, "rear"))
    length, width = float(fact(spec, "length")), float(fact(spec, "width"))
    half_road = float(fact(spec, "half_width")) - 0.5 * width - EDGE
    max_speed, max_steer = float(fact(spec, "max_speed")), float(fact(spec, "max_steer"))
    wheelbase, middle = front + rear, 0.5 * (front + rear)
    low, high = input_limits(spec, 2)
    num_obstacles = int(spec.physics.get("num_obstacles", 0))
    names: tuple[str, ...] = ("x", "y", "heading", "speed", "steer")
    columns = part_columns(spec, *names)
    if dynamic:
        names = (*names, "lateral_speed", "yaw_rate")
        columns = np.concatenate([columns, part_columns(spec, "qvel")[-2:]])
    tyres = _tyres(spec) if dynamic else None
    inertia, mass = float(spec.physics["yaw_inertia"]), float(spec.physics["mass"])

    def rates(x: ca.SX, u: ca.SX) -> ca.SX:
        yaw_rate, drift, extra = x[3] * ca.tan(x[4]) / wheelbase, ca.SX(0.0), ca.SX(0, 1)
        if tyres is not None:
            yaw_rate, drift = x[6], x[5] - rear * x[6]
            ahead, behind = tyres.forces(x, u[0])
            turned = ahead * ca.cos(x[4])
            extra = ca.vertcat(
                (turned + behind) / mass - x[3] * x[6], (front * turned - rear * behind) / inertia
            )
        cos, sin = ca.cos(x[2]), ca.sin(x[2])
        place = ca.vertcat(x[3] * cos - drift * sin, x[3] * sin + drift * cos)
        return ca.vertcat(place, yaw_rate, u[0], u[1], extra)

    def on_road(x: ca.SX, target: ca.SX, ahead: float = 0.0) -> tuple[ca.SX, ca.SX]:
        """Return offsets along and aside of a point `ahead` of the rear axle, on a bent road."""
        dx = x[0] + ahead * ca.cos(x[2]) - target[0]
        dy = x[1] + ahead * ca.sin(x[2]) - target[1]
        cos, sin = ca.cos(target[2]), ca.sin(target[2])
        along, aside = dx * cos + dy * sin, -dx * sin + dy * cos
        return along, aside - 0.5 * target[4] * along**2

    def residual(x: ca.SX, target: ca.SX) -> ca.SX:
        along, aside = on_road(x, target)
        turned = x[2] - target[2] - target[4] * along
        values = [along, aside - target[5], ca.sin(turned), 1.0 - ca.cos(turned)]
        values += [x[3] - target[3], x[4] - ca.atan(wheelbase * target[4])]
        scale = [w["along"], w["aside"], w["heading"], w["heading"], w["speed"], w["steer"]]
        if dynamic:
            values.append(x[5] - rear * x[6])
            scale.append(w["slip"])
        return weighted(values, scale)

    reach = length / (2.0 * DISCS)
    room = float(np.hypot(reach, 0.5 * width)) + CLEARANCE
    centres = [middle + reach * (2 * i + 1 - DISCS) for i in range(DISCS)]

    def soft(x: ca.SX, u: ca.SX, target: ca.SX, discs: ca.SX) -> ca.SX:
        values = []
        for at in (0.0, wheelbase):
            aside = on_road(x, target, at)[1]
            values += [aside - half_road, -half_road - aside]
        values += [x[3] - max_speed, -x[3], x[4] - 0.9 * max_steer, -0.9 * max_steer - x[4]]
        for k in range(num_obstacles):
            for at in centres:
                dx = x[0] + at * ca.cos(x[2]) - discs[k, 0]
                dy = x[1] + at * ca.sin(x[2]) - discs[k, 1]
                values.append(room + discs[k, 2] - ca.sqrt(dx**2 + dy**2 + 1e-4))
        return ca.vertcat(*values)

    body = Body(wheelbase, middle, room, half_road, 0.9 * max_steer)
    return Model(
        name="car",
        states=names,
        columns=columns,
        rates=rates,
        residual=residual,
        effort=lambda u, target: weighted([u[0], u[1]], [w["acceleration"], w["steer_rate"]]),
        low=low,
        high=high,
        nominal=np.zeros(2),
        goal=np.zeros(6),
        guess=_guess,
        rest=lambda target: ca.vertcat(target[:4], ca.SX.zeros(len(names) - 4)),
        soft=soft,
        targets=_targets,
        ways=partial(drive_ways, body, low, high) if num_obstacles else None,
        num_obstacles=num_obstacles,
        terminal_scale=2.0,
        soft_linear=50.0,
        soft_quadratic=200.0,
        horizon=50,
        # As long as the task's own step: where stages lie half a step further on in every second
        # plan, so do the places at which the body is held clear of a disc, and inputs chatter.
        dt=0.05,
        # The tyres are stiff at low speed.
        substeps=2 if dynamic else 1,
    )


def _tyres(spec: EnvSpec) -> _Tyres:
    names = ("mass", "front", "rear", "mass_height", "friction", "stiffness", "shape")
    figures = {name: float(fact(spec, name)) for name in names}
    return _Tyres(**figures, pacejka=fact(spec, "tyre") == "pacejka")


def _targets(reference: np.ndarray) -> np.ndarray:
    """Add to x, y, heading, speed the road's curvature [1/m] and a wanted offset aside [m]."""
    heading = np.unwrap(reference[:, 2])
    way = np.maximum(np.hypot(*np.diff(reference[:, :2], axis=0).T), 1e-3)
    bend = np.diff(heading) / way
    bend = np.append(bend, bend[-1:]) if len(bend) else np.zeros(1)
    aside = np.zeros(len(reference))
    return np.column_stack([reference[:, :2], heading, reference[:, 3], bend, aside])


def _guess(first: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Follow the road from beside it at the first speed."""
    plan = np.tile(first, (len(targets), 1))
    turns = 2.0 * np.pi * np.round((first[2] - targets[0, 2]) / (2.0 * np.pi))
    plan[:, :2] = targets[:, :2]
    plan[:, 2] = targets[:, 2] + turns
    plan[0] = first
    return plan
