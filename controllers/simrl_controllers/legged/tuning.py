"""Turn options and the robot's size into the numbers that the kernels work with."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simrl_controllers.legged.config import LeggedConfig
from simrl_controllers.legged.gaits import Gait, find_gait
from simrl_controllers.legged.payload import Scale
from simrl_controllers.legged.robot import LeggedRobot

Array = np.ndarray
GO2_HEIGHT = 0.29
"""Height of the robot for which gaits are written down [m]."""


class Tuning(NamedTuple):
    """Hold the numbers of one robot under one configuration; all SI."""

    dt: float
    """Time between two calls [s]."""
    gravity: float
    """Acceleration of gravity [m/s^2]."""
    mass: float
    """Mass of the robot [kg]."""
    com: Array
    """Centre of mass from the base's origin, base axes [m] `[3]`."""
    inertia: Array
    """Inertia about it, base axes [kg m^2] `[3, 3]`."""
    height: float
    """Height of the base above the ground [m]."""
    stance_feet: Array
    """Where feet stand, from the base's origin, heading's axes [m] `[4, 2]`."""
    radius: Array
    """Radius of each foot [m] `[4]`."""
    reach: float
    """How far a foothold may be from its hip along the ground [m]."""
    gaits: Array
    """Period, duty and four offsets of the gait and the fast gait `[2, 6]`."""
    fast_speed: float
    """Commanded speed from which on the fast gait is taken [m/s]; infinite for never."""
    transition: float
    """Time in which one gait becomes another [s]."""
    acceleration: Array
    """How fast the command may change [m/s^2, m/s^2, rad/s^2] `[3]`."""
    step_height: float
    """Height of a swing [m]."""
    landing: float
    """Speed of a swing's end, downwards, and below the ground [m/s]."""
    raibert: float
    """Foothold's shift for the velocity's error, beyond half a stance's way [s]."""
    capture: float
    """Share of the capture point's shift that is added."""
    integral: float
    """Foothold's shift for the velocity error's integral."""
    sidestep: float
    """Foothold's shift for the distance from the wanted path."""
    hurry: float
    """Share by which the gait quickens for each m/s of error to the side [s/m]."""
    sway: float
    """Part of a velocity that is a gait's own sway [m/s]."""
    swing_stiffness: float
    """Foot's acceleration for its distance [1/s^2]."""
    swing_damping: float
    """Foot's acceleration for its speed's error [1/s]."""
    stance_damping: float
    """A standing foot's deceleration [1/s]."""
    base_stiffness: Array
    """Base's acceleration for its distance from the plan: along x, y, z, about x, y, z `[6]`."""
    base_damping: Array
    """Likewise for its speed's error `[6]`."""
    touch: float
    """Contact force from which on a foot touches [N]."""
    lead: float
    """How far the wanted place may be from the base [m]."""
    turn_lead: float
    """How far the wanted yaw may be from the base's [rad]."""
    still: float
    """Command below which the robot may stand."""
    recover_speed: float
    """Speed from which on a robot that shall stand steps [m/s]."""
    slope_filter: float
    """Time constant of the ground's estimate [s]."""
    friction: float
    """Friction at first believed in."""
    mpc_dt: float
    """Length of a planning step [s]."""
    base_weight: Array
    """Weights of the base's accelerations in whole-body control `[6]`."""
    foot_weight: float
    """Weight of a swinging foot's acceleration there."""
    scale: Scale
    """For weighing what the robot carries."""


def tune(robot: LeggedRobot, config: LeggedConfig, dt: float) -> Tuning:
    """Return the numbers of a robot that is controlled every `dt` seconds."""
    height = config.height or robot.height
    slow = math.sqrt(height / GO2_HEIGHT)
    gaits = [
        _gait(find_gait(name), config, slow)
        for name in (config.gait, config.fast_gait or config.gait)
    ]
    level, vertical, turn = config.base_stiffness
    level_damping, vertical_damping, turn_damping = config.base_damping
    level_weight, vertical_weight, turn_weight = config.base_weight
    return Tuning(
        dt=dt,
        gravity=robot.gravity,
        mass=robot.mass,
        com=robot.com.copy(),
        inertia=robot.inertia.copy(),
        height=height,
        stance_feet=robot.home_feet[:, :2].copy(),
        radius=robot.tree.foot_radius,
        reach=0.8 * height,
        gaits=np.array(gaits),
        fast_speed=config.fast_speed if config.fast_gait else math.inf,
        transition=config.transition_seconds,
        acceleration=np.array(config.acceleration),
        step_height=config.step_height or 0.28 * height,
        landing=config.landing or 0.3 * slow,
        raibert=config.raibert,
        capture=config.capture,
        integral=config.integral,
        sidestep=config.sidestep,
        hurry=config.hurry,
        sway=config.sway,
        swing_stiffness=config.swing_stiffness,
        swing_damping=config.swing_damping,
        stance_damping=config.stance_damping,
        base_stiffness=np.array([level, level, vertical, turn, turn, turn]),
        base_damping=np.array(
            [
                level_damping,
                level_damping,
                vertical_damping,
                turn_damping,
                turn_damping,
                turn_damping,
            ]
        ),
        touch=0.02 * robot.mass * robot.gravity,
        lead=0.2 * height,
        turn_lead=0.2,
        still=0.02,
        recover_speed=0.25 * math.sqrt(height / GO2_HEIGHT),
        slope_filter=0.15,
        friction=config.friction,
        mpc_dt=config.mpc_dt,
        base_weight=np.array(
            [level_weight, level_weight, vertical_weight, turn_weight, turn_weight, turn_weight]
        ),
        foot_weight=config.foot_weight,
        scale=Scale(
            mass=robot.mass,
            gravity=robot.gravity,
            com=robot.com.copy(),
            height=height,
            seconds=config.payload_seconds,
            place_seconds=5.0 * config.payload_seconds,
            least=-0.3 * robot.mass if config.payload else 0.0,
            most=1.2 * robot.mass if config.payload else 0.0,
        ),
    )


def _gait(gait: Gait, config: LeggedConfig, slow: float) -> list[float]:
    standing = gait.duty >= 1.0
    duty = gait.duty if standing else config.duty or gait.duty
    return [config.period or gait.period * slow, duty, *gait.offsets]
