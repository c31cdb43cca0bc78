"""Terms of gymnasium's MuJoCo tasks, version 5; each says what its source says.

Derived fields are those that stand in MjData after `mj_step`, as in gymnasium: one physics step (or
one stage of the Runge-Kutta integrator) older than the positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from simrl.core.spec import Column
from simrl_envs.robot.robot import Robot
from simrl_envs.robot.rows import View
from simrl_envs.robot.streams import Draw
from simrl_envs.robot.terms.registry import measure, observation, reward, start, termination

INF = math.inf
CANDIDATES = 16
"""Draws among which the pusher's start takes the first that is far enough from the goal."""


def _free(names: list[str]) -> tuple[Column, ...]:
    return tuple(Column(name, -INF, INF) for name in names)


def _position_columns(robot: Robot, *, skip: int = 0, count: int = 0) -> tuple[Column, ...]:
    return _free([f"qpos {index}" for index in range(skip, count or robot.model.nq)])


@observation("gym_positions", columns=_position_columns)
def positions(view: View, *, skip: int = 0, count: int = 0) -> np.ndarray:
    """Show qpos without its first `skip` numbers, up to number `count` (0: to the end)."""
    return view.qpos[:, skip : count or None]


def _velocity_columns(robot: Robot, *, limit: float = INF, count: int = 0) -> tuple[Column, ...]:
    names = [f"qvel {index}" for index in range(count or robot.model.nv)]
    return tuple(Column(name, -limit, limit) for name in names)


@observation("gym_velocities", columns=_velocity_columns)
def velocities(view: View, *, limit: float = INF, count: int = 0) -> np.ndarray:
    """Show the first `count` numbers of qvel (0: all), clipped to plus or minus `limit`."""
    return view.qvel[:, : count or None]


def _turn_columns(robot: Robot, *, part: str, first: int, count: int) -> tuple[Column, ...]:
    if part not in ("sine", "cosine"):
        raise ValueError(f"unknown part {part!r}; the parts are sine, cosine")
    return tuple(Column(f"{part} of qpos {first + index}") for index in range(count))


@observation("gym_turn", columns=_turn_columns)
def turn(view: View, *, part: str, first: int, count: int) -> np.ndarray:
    """Show the sine or cosine of some of qpos."""
    angle = view.qpos[:, first : first + count]
    return np.sin(angle) if part == "sine" else np.cos(angle)


def _body_columns(field: str, width: int) -> Callable[..., tuple[Column, ...]]:
    def columns(robot: Robot, *, limit: float = INF) -> tuple[Column, ...]:
        return tuple(
            Column(f"{field} {body}.{index}", -limit, limit)
            for body in range(1, robot.model.nbody)
            for index in range(width)
        )

    return columns


@observation("gym_cinert", needs=("cinert",), columns=_body_columns("cinert", 10))
def body_inertias(view: View, *, limit: float = INF) -> np.ndarray:
    """Show the inertias of the bodies about the centre of mass."""
    return view.field("cinert")[:, 1:].reshape(view.num_rows, -1)


@observation("gym_cvel", needs=("cvel",), columns=_body_columns("cvel", 6))
def body_velocities(view: View, *, limit: float = INF) -> np.ndarray:
    """Show the spatial velocities of the bodies."""
    return view.field("cvel")[:, 1:].reshape(view.num_rows, -1)


@observation("gym_cfrc_ext", needs=("cfrc_ext",), columns=_body_columns("cfrc_ext", 6))
def contact_forces(view: View, *, limit: float = INF) -> np.ndarray:
    """Show the external forces on the bodies, clipped to plus or minus `limit`."""
    return view.field("cfrc_ext")[:, 1:].reshape(view.num_rows, -1)


def _force_columns(robot: Robot) -> tuple[Column, ...]:
    return _free([f"qfrc_actuator {index}" for index in range(6, robot.model.nv)])


@observation("gym_qfrc_actuator", needs=("qfrc_actuator",), columns=_force_columns)
def actuator_forces(view: View) -> np.ndarray:
    """Show the actuators' forces on all but the free joint."""
    return view.field("qfrc_actuator")[:, 6:]


@observation(
    "gym_rail_force",
    needs=("qfrc_constraint",),
    columns=lambda robot: (Column("qfrc_constraint 0", -10.0, 10.0),),
)
def rail_force(view: View) -> np.ndarray:
    """Show the constraint force on the cart, clipped to plus or minus 10."""
    return view.field("qfrc_constraint")[:, :1]


def _place_columns(robot: Robot, *, body: str) -> tuple[Column, ...]:
    robot.find("body", body)
    return _free([f"{body} {axis}" for axis in "xyz"])


@observation("gym_body", needs=("xpos",), columns=_place_columns)
def body_place(view: View, *, body: str) -> np.ndarray:
    """Show where a body is."""
    return view.field("xpos")[:, view.robot.find("body", body)[0]]


@observation(
    "gym_reach", needs=("xpos",), columns=lambda robot: _free(["fingertip dx", "fingertip dy"])
)
def reach(view: View) -> np.ndarray:
    """Show where the fingertip is from the target."""
    return _between(view, "fingertip", "target")[:, :2]


@reward("gym_forward")
def forward(view: View) -> np.ndarray:
    """Return the velocity along x of the first coordinate [m/s]."""
    return (view.qpos[:, 0] - view.last_qpos[:, 0]) / view.step_seconds


@reward("gym_forward_torso", needs=("xpos",))
def forward_torso(view: View) -> np.ndarray:
    """Return the velocity along x of body 1 [m/s]."""
    return (view.field("xpos")[:, 1, 0] - view.last_field("xpos")[:, 1, 0]) / view.step_seconds


@reward("gym_forward_mass", needs=("xipos",))
def forward_mass(view: View) -> np.ndarray:
    """Return the velocity along x of the centre of mass [m/s]."""
    mass = view.robot.model.body_mass
    now, last = view.field("xipos")[:, :, 0], view.last_field("xipos")[:, :, 0]
    return ((mass * now).sum(axis=1) - (mass * last).sum(axis=1)) / mass.sum() / view.step_seconds


@reward("gym_control")
def control(view: View) -> np.ndarray:
    """Return the sum of squared actions."""
    return (view.action * view.action).sum(axis=1)


@reward("gym_contact", needs=("cfrc_ext",))
def contact(
    view: View, *, limit: float = INF, factor: float = 1.0, most: float = INF
) -> np.ndarray:
    """Return `factor` times the sum of squared forces, each within `limit`; at most `most`."""
    force = view.field("cfrc_ext").reshape(view.num_rows, -1)
    if limit < INF:
        force = np.clip(force, -limit, limit)
    return np.minimum(factor * (force * force).sum(axis=1), most)


@reward("gym_healthy")
def healthy(
    view: View,
    *,
    height: int,
    low: float,
    high: float = INF,
    angle: float = INF,
    bound: float = INF,
    inclusive: bool = False,
) -> np.ndarray:
    """Return 1 where qpos[height] is between `low` and `high` and the robot is as it should be.

    angle: most of |qpos[2]|.  bound: most of every number of the state after the first two.
    """
    z = view.qpos[:, height]
    good = (low <= z) & (z <= high) if inclusive else (low < z) & (z < high)
    if angle < INF:
        good &= np.abs(view.qpos[:, 2]) < angle
    if bound < INF:
        good &= (np.abs(view.qpos[:, 2:]) < bound).all(axis=1)
        good &= (np.abs(view.qvel) < bound).all(axis=1)
    return good.astype(np.float64)


@termination("gym_unhealthy")
def unhealthy(
    view: View,
    *,
    height: int,
    low: float,
    high: float = INF,
    angle: float = INF,
    bound: float = INF,
    inclusive: bool = False,
) -> np.ndarray:
    """End where `gym_healthy` is 0."""
    good = healthy(
        view, height=height, low=low, high=high, angle=angle, bound=bound, inclusive=inclusive
    )
    return good < 0.5


@reward("gym_pole_up")
def pole_up(view: View, *, limit: float) -> np.ndarray:
    """Return 1 where the pole is within `limit` [rad]."""
    return (np.abs(view.qpos[:, 1]) <= limit).astype(np.float64)


@termination("gym_pole_down")
def pole_down(view: View, *, limit: float) -> np.ndarray:
    """End where the pole is beyond `limit` [rad]."""
    return np.abs(view.qpos[:, 1]) > limit


@reward("gym_height")
def height_over_step(view: View) -> np.ndarray:
    """Return the torso's height over the physics time step, plus 1 (HumanoidStandup's uph_cost)."""
    return view.qpos[:, 2] / view.robot.model.opt.timestep + 1.0


@reward("gym_tip_up", needs=("site_xpos",))
def tip_up(view: View) -> np.ndarray:
    """Return 1 where the tip of the double pendulum is above 1 m."""
    return (view.field("site_xpos")[:, 0, 2] > 1.0).astype(np.float64)


@termination("gym_tip_down", needs=("site_xpos",))
def tip_down(view: View) -> np.ndarray:
    """End where the tip of the double pendulum is not above 1 m."""
    return view.field("site_xpos")[:, 0, 2] <= 1.0


@reward("gym_tip_distance", needs=("site_xpos",))
def tip_distance(view: View) -> np.ndarray:
    """Return 0.01 x^2 + (z - 2)^2 of the tip."""
    tip = view.field("site_xpos")[:, 0]
    return 0.01 * tip[:, 0] ** 2 + (tip[:, 2] - 2.0) ** 2


@reward("gym_tip_speed")
def tip_speed(view: View) -> np.ndarray:
    """Return 1e-3 v1^2 + 5e-3 v2^2 of the two hinges."""
    return 1e-3 * view.qvel[:, 1] ** 2 + 5e-3 * view.qvel[:, 2] ** 2


@reward("gym_distance", needs=("xpos",))
def distance(view: View, *, one: str, other: str) -> np.ndarray:
    """Return the distance between two bodies [m]."""
    apart = _between(view, one, other)
    return np.sqrt((apart * apart).sum(axis=1))


@measure("gym_x")
def x_position(view: View) -> np.ndarray:
    """Measure the first coordinate."""
    return view.qpos[:, 0]


@start("gym_noise")
def noise(view: View, draw: Draw, *, scale: float, normal: bool = False) -> None:
    """Add uniform noise to qpos and uniform or normal noise to qvel."""
    view.qpos[:] += draw.between("qpos", -scale, scale, view.qpos.shape[1])
    count = view.qvel.shape[1]
    speed = draw.normal("qvel", count) if normal else draw.between("qvel", -1.0, 1.0, count)
    view.qvel[:] += scale * speed


@start("gym_reacher")
def reacher(view: View, draw: Draw) -> None:
    """Put the target uniformly into a disc of 0.2 m."""
    view.qpos[:, :2] += draw.between("qpos", -0.1, 0.1, 2)
    unit = draw.uniform("goal", 2)
    radius, angle = 0.2 * np.sqrt(unit[:, 0]), 2.0 * np.pi * unit[:, 1]
    view.qpos[:, 2], view.qpos[:, 3] = radius * np.cos(angle), radius * np.sin(angle)
    view.qvel[:, :2] += draw.between("qvel", -0.005, 0.005, 2)


@start("gym_pusher")
def pusher(view: View, draw: Draw) -> None:
    """Put the cylinder at least 0.17 m from the goal."""
    unit = draw.uniform("cylinder", 2 * CANDIDATES).reshape(-1, CANDIDATES, 2)
    place = np.array([-0.3, -0.2]) + np.array([0.3, 0.4]) * unit
    place[:, -1] = (-0.3, 0.0)
    first = ((place * place).sum(axis=2) > 0.17**2).argmax(axis=1)
    view.qpos[:, -4:-2] = place[np.arange(view.num_rows), first]
    view.qpos[:, -2:] = 0.0
    view.qvel[:, :-4] += draw.between("qvel", -0.005, 0.005, view.qvel.shape[1] - 4)


def _between(view: View, one: str, other: str) -> np.ndarray:
    first, second = view.robot.find("body", one, other)
    place = view.field("xpos")
    return np.asarray(place[:, first] - place[:, second])
