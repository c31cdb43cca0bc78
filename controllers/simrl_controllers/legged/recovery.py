"""Get a fallen robot back on its feet by a scripted sequence of poses.

Fold the legs; if the back is down, push one side up by swinging its legs over the back; if a side
is down, push it up by spreading its legs; if the belly is down, stand up.  Whatever happens, each
pose ends after its time, and the next one is chosen by how the robot lies then.  The poses were
found by a random search over falls: those of the first way with a robot of the Go2's size, those of
the second with the B2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from simrl.core import EnvSpec, PolicyState
from simrl.core.plugins import make_config
from simrl_controllers.legged.kernels.compile import kernel
from simrl_controllers.legged.robot import LeggedRobot
from simrl_controllers.legged.terms import evaluate

Array = np.ndarray
Pose = tuple[float, float, float]

AWAKE, FOLD, ROLL, RIGHT, STAND, SETTLE, LOST = 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0
"""Phases: on its feet, then folding, rolling off the back, righting off a side, standing up,
holding the pose; LOST after too many tries."""
TALL = 0.7
"""Height above its feet at which a robot stands, as a share of the nominal one."""
HEAD = 5
"""Numbers of a row's memory before its joints."""
USUAL = 0.29
"""Height of a robot whose times are those of the config [m]."""


@dataclass(frozen=True)
class Moves:
    """Set poses and times of one way to get up.

    A pose of a leg is hip outwards, thigh and calf in the sense of the nominal pose [rad].  Times
    are those of a robot that stands 0.29 m tall; they grow with the root of the height, as falls
    do.
    """

    fold: Pose = (0.0, 1.3, 2.7)
    """Folded leg."""
    roll_push: Pose = (1.05, 3.4, 2.2)
    """Back down: legs of the side that is pushed up."""
    roll_other: Pose = (0.87, 1.64, 2.7)
    """Back down: legs of the other side."""
    right_push: Pose = (1.05, 2.03, 1.42)
    """Side down: legs of that side."""
    right_other: Pose = (0.15, 1.23, 2.57)
    """Side down: legs of the upper side."""
    fold_seconds: float = 0.24
    """Time to fold the legs."""
    roll_seconds: float = 0.38
    """Time for the push off the back."""
    right_seconds: float = 0.42
    """Time for the push off a side."""
    stand_seconds: float = 0.64
    """Time to stand up."""
    stiffness: float = 4.0
    """Share of a motor's greatest torque for each radian of error [1/rad]."""

    def __post_init__(self) -> None:
        for name in ("fold", "roll_push", "roll_other", "right_push", "right_other"):
            if len(getattr(self, name)) != 3:
                raise ValueError(f"{name} must be 3 angles, got {getattr(self, name)}")
        for name in (
            "fold_seconds",
            "roll_seconds",
            "right_seconds",
            "stand_seconds",
            "stiffness",
        ):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


WIDE = Moves(
    roll_push=(1.2, 4.54, 2.65),
    roll_other=(0.52, 4.09, 2.8),
    right_push=(1.01, 1.91, 1.15),
    right_other=(0.18, 0.25, 2.26),
    fold_seconds=0.3,
    roll_seconds=0.47,
    right_seconds=0.37,
    stand_seconds=0.79,
    stiffness=7.3,
)
"""Wider and stiffer moves, which right heavier robots."""


@dataclass(frozen=True)
class GetUpConfig:
    """Set how a robot that lies is helped up."""

    moves: tuple[Moves, ...] = (Moves(), WIDE)
    """Ways to get up, tried in turn; also mappings of their options."""
    tries_each: int = 3
    """Pushes by one of the ways before the next is tried."""
    tries: int = 18
    """Pushes until the robot counts as lost."""
    settle_seconds: float = 0.4
    """Time for which the nominal pose is held before walking."""
    patience: float = 0.15
    """Time for which a robot must lie before it is helped up."""
    damping: float = 0.03
    """Damping of the joints, in times of their stiffness [s]."""

    def __post_init__(self) -> None:
        moves = tuple(
            make_config(Moves, each, "moves") if isinstance(each, Mapping) else each
            for each in self.moves
        )
        object.__setattr__(self, "moves", moves)
        if not moves:
            raise ValueError("moves must be at least one way to get up")
        for name in ("settle_seconds", "tries_each"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name in ("patience", "damping", "tries"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")


class Script(NamedTuple):
    """Hold the sequence for one robot, for each of w ways to get up."""

    fold: Array
    """`[w, nu]`."""
    roll: Array
    """With the left side pushed up, and with the right one `[w, 2, nu]`."""
    right: Array
    """From the left side, and from the right one `[w, 2, nu]`."""
    home: Array
    """`[nu]`."""
    seconds: Array
    """Of FOLD, ROLL, RIGHT, STAND, SETTLE at their own index `[w, 6]`."""
    stiffness: Array
    """`[w, nu]`."""
    damping: float
    """In times of the stiffness [s]."""
    limit: Array
    """Greatest torques `[nu]`."""
    patience: float
    tries_each: float
    tries: float
    height: float
    dt: float


@dataclass(frozen=True, eq=False)
class Help:
    """Hold what was done for n rows."""

    busy: Array
    """Rows that are being helped up, or are lost `[n]` bool."""
    torque: Array
    """Their torques `[n, nu]` [N m]."""
    target: Array
    """Their joints' next angles, for servos `[n, nu]` [rad]."""
    done: Array
    """Rows that have just come back to their feet `[n]` bool."""


class GetUp:
    """Right robots that lie, and tell which cannot be righted.

    Memory: "recovery" `[rows, 5 + nu]`: phase, time in it [s], side, tries, time lying [s], and the
    joints at the beginning of the phase.
    """

    def __init__(self, spec: EnvSpec, robot: LeggedRobot, config: GetUpConfig, dt: float) -> None:
        """Write the sequence for the robot of `spec`, called every `dt` [s]."""
        self.script = _script(spec, robot, config, dt)
        self._order = robot.tree.order
        self._size = HEAD + len(robot.joints)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of robots on their feet."""
        return {"recovery": torch.zeros(num_rows, self._size, dtype=torch.float64)}

    def act(
        self,
        memory: Array,
        qpos: Array,
        qvel: Array,
        rotation: Array,
        feet: Array,
        fallen: Array,
    ) -> Help | None:
        """Advance all rows by one step; `memory` `[n, 5 + nu]` is changed in place.

        Args:
            memory: The array behind "recovery".
            qpos: Configurations `[n, nq]`.
            qvel: Velocities `[n, nv]`.
            rotation: Base to world `[n, 3, 3]`.
            feet: Centres of the feet [m] `[n, 4, 3]`.
            fallen: Rows that lie `[n]` bool.

        Returns:
            What was done; None where no robot lies or is being helped up.
        """
        if not np.count_nonzero(fallen) and not np.count_nonzero(memory[:, 0]):
            memory[:, 4] = 0.0
            return None
        count = len(qpos)
        angle, speed = qpos[:, self._order + 1], qvel[:, self._order]
        height = qpos[:, 2] - feet[:, :, 2].mean(axis=1)
        busy, done = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
        torque, target = np.zeros(angle.shape), np.zeros(angle.shape)
        up = np.ascontiguousarray(rotation[:, 2])
        get_up_rows(
            self.script, memory, angle, speed, up, height, fallen, busy, torque, target, done
        )
        return Help(busy, torque, target, done)


def outcome(memory: Array) -> Array:
    """Return 1 for rows that are being helped up, 2 for lost ones, else 0 `[n]` float32."""
    phase = memory[:, 0]
    return (phase != AWAKE).astype(np.float32) + (phase == LOST).astype(np.float32)


@kernel
def get_up_rows(
    script: Script,
    memory: Array,
    angle: Array,
    speed: Array,
    up: Array,
    height: Array,
    fallen: Array,
    busy: Array,
    torque: Array,
    target: Array,
    done: Array,
) -> None:
    """Advance each row's sequence; see `GetUp.act`."""
    for i in range(len(memory)):
        row = memory[i]
        if row[0] == AWAKE:
            row[4] = row[4] + script.dt if fallen[i] else 0.0
            if not fallen[i] or row[4] < script.patience - 1e-9:
                continue
            _enter(row, FOLD, angle[i])
        phase = int(row[0])
        row[1] += script.dt
        way = _way(script, row)
        if row[0] != LOST and row[1] > script.seconds[way, phase] + 1e-9:
            _advance(script, row, angle[i], up[i], height[i])
            if row[0] == AWAKE:
                done[i] = True
                continue
        busy[i] = True
        _push(script, row, angle[i], speed[i], torque[i], target[i])


@kernel
def _way(script: Script, row: Any) -> int:
    """Return which way to get up is being tried."""
    return int(row[3] // script.tries_each) % len(script.fold)


@kernel
def _enter(row: Any, phase: float, angle: Array) -> None:
    row[0], row[1] = phase, 0.0
    for k in range(len(angle)):
        row[HEAD + k] = angle[k]


@kernel
def _advance(script: Script, row: Any, angle: Array, up: Array, height: float) -> None:
    """Choose what comes after a phase that has ended by how the robot lies."""
    phase = row[0]
    if phase == STAND:
        _enter(row, SETTLE, angle)
    elif phase == SETTLE and up[2] > 0.9 and height > TALL * script.height:
        row[0], row[1], row[3], row[4] = AWAKE, 0.0, 0.0, 0.0
    elif phase in (SETTLE, ROLL, RIGHT):
        row[3] += 1.0
        _enter(row, LOST if row[3] >= script.tries else FOLD, angle)
    elif up[2] > 0.7:
        _enter(row, STAND, angle)
    elif up[2] > -0.5:
        row[2] = 0.0 if up[1] < 0.0 else 1.0  # the left side is down, or the right one
        _enter(row, RIGHT, angle)
    else:
        higher = 0.0 if up[1] > 0.0 else 1.0  # push up that side; after a vain try, the other
        row[2] = higher if row[3] % 3.0 < 2.0 else 1.0 - higher
        _enter(row, ROLL, angle)


@kernel
def _push(
    script: Script, row: Any, angle: Array, speed: Array, torque: Array, target: Array
) -> None:
    """Pull the joints along their way to the phase's pose."""
    phase, side, way = row[0], int(row[2]), _way(script, row)
    if phase in (FOLD, LOST):
        goal = script.fold[way]
    elif phase == ROLL:
        goal = script.roll[way, side]
    elif phase == RIGHT:
        goal = script.right[way, side]
    else:
        goal = script.home
    share = min(1.0, row[1] / (0.7 * script.seconds[way, int(min(phase, SETTLE))]))
    share = share * share * (3.0 - 2.0 * share)
    for k in range(len(angle)):
        wanted = row[HEAD + k] + share * (goal[k] - row[HEAD + k])
        pull = script.stiffness[way, k] * (wanted - angle[k] - script.damping * speed[k])
        target[k] = wanted
        torque[k] = min(max(pull, -script.limit[k]), script.limit[k])


def _script(spec: EnvSpec, robot: LeggedRobot, config: GetUpConfig, dt: float) -> Script:
    """Write the poses in the robot's own joints, within their ranges."""
    order = robot.tree.order
    nominal = robot.home[order + 1]
    terms = evaluate(robot.tree, robot.home[None], np.zeros((1, len(robot.tree.damping))))
    ranges = np.array(spec.physics.get("joint_range", [(-np.inf, np.inf)] * len(nominal)), float)
    senses = np.ones((4, 3))
    for leg, joints in enumerate(robot.leg_joints):
        outwards = 1.0 if leg in (0, 2) else -1.0
        senses[leg, 0] = outwards * np.sign(terms.jacobian[0, leg, 1, order[joints[0]]])
        senses[leg, 1:] = np.where(nominal[joints[1:]] < 0.0, -1.0, 1.0)

    def pose(left: Pose, right: Pose) -> Array:
        result = nominal.copy()
        for leg, joints in enumerate(robot.leg_joints):
            result[joints] = senses[leg] * (left if leg in (0, 2) else right)
        return np.clip(result, ranges[:, 0], ranges[:, 1])

    def both(push: Pose, other: Pose) -> list[Array]:
        return [pose(push, other), pose(other, push)]

    slower, ways = np.sqrt(robot.height / USUAL), config.moves
    seconds = [
        [0.0, way.fold_seconds, way.roll_seconds, way.right_seconds, way.stand_seconds]
        for way in ways
    ]
    return Script(
        fold=np.array([pose(way.fold, way.fold) for way in ways]),
        roll=np.array([both(way.roll_push, way.roll_other) for way in ways]),
        right=np.array([both(way.right_push, way.right_other) for way in ways]),
        home=nominal,
        seconds=slower * np.array([[*times, config.settle_seconds] for times in seconds]),
        stiffness=np.array([way.stiffness * robot.torque_limit for way in ways]),
        damping=float(config.damping),
        limit=robot.torque_limit,
        patience=float(config.patience),
        tries_each=float(config.tries_each),
        tries=float(config.tries),
        height=float(robot.height),
        dt=float(dt),
    )
