"""Moves that the phases of all tasks are made of: drive, take a posture, move the hand, grip."""

from __future__ import annotations

import numpy as np

from simrl_controllers.mobile.orders import Orders, Scene
from simrl_controllers.servo.pose import rotation_error

Array = np.ndarray
BASE_NEAR = {True: (0.03, 0.05, 0.10), False: (0.12, 0.10, 0.10)}
"""How near a base has to come [m], [rad], and how slow it has to be [m/s]: one that moves in all
directions, and one on wheels, which cannot step aside for the rest; the arm makes up for it."""
POSTURE_NEAR = 0.06
"""How near the joints have to come [rad]."""
HAND_NEAR = (0.006, 0.05)
"""How near the hand has to come [m], [rad]."""


def drive(scene: Scene, orders: Orders, goal: Array, holonomic: bool) -> Array:
    """Let nonlinear MPC drive the base to goals `[n, 3]`; return which rows are there."""
    near = BASE_NEAR[holonomic]
    orders.base[:], orders.drive[:] = goal, True
    far = np.hypot(*(scene.base[:, :2] - goal[:, :2]).T)
    off = np.abs(wrapped(scene.base[:, 2] - goal[:, 2]))
    slow = np.hypot(*scene.base_speed[:, :2].T) < near[2]
    there: Array = (far < near[0]) & (off < near[1]) & slow
    return there


def pose(scene: Scene, orders: Orders, angles: Array, near: float = POSTURE_NEAR) -> Array:
    """Move the arm to angles `[n, a]`; return which rows are there."""
    orders.posture[:], orders.follow[:] = angles, False
    there: Array = np.abs(scene.arm - angles).max(axis=1) < near
    return there


def move_hand(
    scene: Scene,
    orders: Orders,
    place: Array,
    turn: Array,
    speed: float,
    near: tuple[float, float] = HAND_NEAR,
) -> Array:
    """Move the hand to places `[n, 3]` with turns `[n, 4]`; return which rows are there."""
    orders.hand[:], orders.turn[:] = place, turn
    orders.follow[:], orders.speed[:] = True, speed
    far = np.linalg.norm(place - scene.hand, axis=1)
    off = np.linalg.norm(rotation_error(turn, scene.turn), axis=1)
    there: Array = (far < near[0]) & (off < near[1])
    return there


def wrapped(angle: Array) -> Array:
    """Return angles between -pi and pi."""
    result: Array = np.arctan2(np.sin(angle), np.cos(angle))
    return result
