"""What a phase of a task sees, and what it orders of base, arm and gripper."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

Array = np.ndarray


@dataclass
class Scene:
    """Hold n rows as they are now."""

    rows: Array
    """Whole states `[n, S]`."""
    qpos: Array
    """Configurations `[n, nq]`."""
    base: Array
    """Pose of the base `[n, 3]` [m, rad]."""
    base_speed: Array
    """Its velocity in the world `[n, 3]` [m/s, rad/s]."""
    arm: Array
    """Angles of the arm `[n, a]` [rad]."""
    hand: Array
    """Where the hand is `[n, 3]` [m]."""
    turn: Array
    """Its rotation matrix `[n, 3, 3]`."""
    opening: Array
    """Opening of the gripper `[n]` [m]."""
    command: Array
    """What the task asks for `[n, C]`."""

    def take(self, where: Array) -> Scene:
        """Return some rows."""
        return Scene(*(getattr(self, field.name)[where] for field in fields(self)))


@dataclass
class Orders:
    """Hold what n rows shall do; what a phase leaves alone stays as the last one left it."""

    base: Array
    """Where the base shall be `[n, 3]` [m, rad]."""
    drive: Array
    """Whether the base is planned there by nonlinear MPC, else held by a spring `[n]` bool."""
    hand: Array
    """Where the hand shall be `[n, 3]` [m]."""
    turn: Array
    """How it shall be turned `[n, 4]`, w first."""
    twist: Array
    """How fast that pose moves, linear and angular `[n, 6]` [m/s, rad/s]."""
    follow: Array
    """Whether the hand follows that pose, else the arm its posture `[n]` bool."""
    speed: Array
    """How fast the hand may approach `[n]` [m/s]."""
    posture: Array
    """Where the arm's joints shall be, or lean to `[n, a]` [rad]."""
    opening: Array
    """Wanted opening of the gripper `[n]` [m]."""
    held: Array
    """Whether an object is in the hand and has to keep clear of things `[n]` bool."""

    @staticmethod
    def stay(scene: Scene, home: Array, opening: float) -> Orders:
        """Return orders to stand still with the arm at `home` `[a]`."""
        count = len(scene.base)
        no = np.zeros(count, bool)
        return Orders(
            base=scene.base.copy(),
            drive=no.copy(),
            hand=scene.hand.copy(),
            turn=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            twist=np.zeros((count, 6)),
            follow=no.copy(),
            speed=np.full(count, 0.3),
            posture=np.repeat(home[None], count, axis=0),
            opening=np.full(count, opening),
            held=no.copy(),
        )

    def begin(self, base: Array, home: Array, opening: float) -> None:
        """Send the base to `base` `[n, 3]`, the arm to `home` `[a]`, and open the gripper."""
        self.base[:], self.posture[:], self.opening[:] = base, home, opening

    def take(self, where: Array) -> Orders:
        """Return some rows."""
        return Orders(*(getattr(self, field.name)[where] for field in fields(self)))

    def put(self, where: Array, part: Orders) -> None:
        """Write some rows."""
        for field in fields(self):
            getattr(self, field.name)[where] = getattr(part, field.name)
