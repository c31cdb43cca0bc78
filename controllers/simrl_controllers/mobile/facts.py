"""What a mobile manipulator's environment tells of its robot, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl.core import ContinuousActions, EnvSpec

Array = np.ndarray
SYSTEM = "amr"
"""The system of `spec.physics["model"]` that these controllers drive."""
CONTROLS = ("position", "velocity", "torque")
"""What the arm's actions may be."""
MOST_SPIN = 1.8
"""Fastest turn of a base on two wheels that is asked for [rad/s]."""


@dataclass(frozen=True)
class MobileFacts:
    """Hold limits, gains and places of a base with an arm and a gripper."""

    spec_id: str
    """Name of the environment."""
    holonomic: bool
    """Whether the base moves in all directions; else by two wheels."""
    track: float
    """Distance between the wheels [m]; 0 if holonomic."""
    control: str
    """What the arm's actions are: "position" or "velocity" of servos, or "torque"."""
    step: float
    """Time between actions [s]."""
    joint_ids: Array
    """Joints of the base (x, y, yaw), then of the arm, `[3 + a]`."""
    finger_qpos: Array
    """Where the fingers stand in qpos `[2]`."""
    effector: str
    """Site between the pads of the fingers: z is the approach, y the opening direction."""
    home: Array
    """Angles of the arm in its nominal pose `[a]` [rad]."""
    low: Array
    """Smallest angles of the arm `[a]` [rad]."""
    high: Array
    """Largest angles of the arm `[a]` [rad]."""
    speed: Array
    """Largest speeds of base and arm `[3 + a]` [m/s, rad/s]."""
    force: Array
    """Largest forces of base and arm `[3 + a]` [N, N m]."""
    stiffness: Array
    """Of the arm's servos `[a]` [N m/rad]."""
    damping: Array
    """Of base and arm servos `[3 + a]` [N s/m, N m s/rad]."""
    footprint: tuple[float, float]
    """Half length and half width of the base [m]."""
    boxes: Mapping[str, tuple[float, ...]]
    """Furniture and walls by name: middle x, y, half sizes x, y, ... [m]."""
    action_low: Array
    """Smallest actions."""
    action_high: Array
    """Largest actions."""
    state: Mapping[str, slice]
    """Parts of a row of the state."""

    @property
    def num_arm(self) -> int:
        """Number of joints of the arm a."""
        return len(self.home)

    @property
    def num_wheels(self) -> int:
        """Number of actions of the base."""
        return 3 if self.holonomic else 2

    @staticmethod
    def read(spec: EnvSpec, model: Any) -> MobileFacts:
        """Read the facts of an environment; ValueError names what it lacks and what it tells."""
        physics = spec.physics
        if physics.get("model") != SYSTEM:
            raise ValueError(
                f"{spec.id} is no mobile manipulator: its physics model is "
                f"{physics.get('model', '')!r}, and this controller drives {SYSTEM!r}"
            )
        arm = np.asarray(_fact(spec, "qpos_index"), np.int64)
        base = np.asarray(_fact(spec, "base_qpos"), np.int64)
        places = [*base, *arm]
        joint_of = {int(address): index for index, address in enumerate(model.jnt_qposadr)}
        joints = np.array([joint_of[int(place)] for place in places], np.int64)
        holonomic = _fact(spec, "drive") == "holonomic"
        ranges = np.asarray(_fact(spec, "joint_range"), np.float64)
        force, gain = _base_servo(spec, holonomic)
        speed = np.asarray(_fact(spec, "velocity_limit"), np.float64)
        if not holonomic:
            speed = np.array([speed[0], speed[0], min(speed[2], MOST_SPIN)])
        actions = _actions(spec, (3 if holonomic else 2) + len(arm) + 1)
        return MobileFacts(
            spec_id=spec.id,
            holonomic=holonomic,
            track=0.0 if holonomic else float(_fact(spec, "track")),
            control=_control(spec),
            step=spec.step_seconds,
            joint_ids=joints,
            finger_qpos=np.asarray(_fact(spec, "finger_qpos"), np.int64),
            effector=_site(spec, model, str(_fact(spec, "end_effector"))),
            home=np.asarray(_fact(spec, "pose"), np.float64),
            low=ranges[:, 0],
            high=ranges[:, 1],
            speed=np.concatenate([speed, _positive(spec, "joint_speed", len(arm))]),
            force=np.concatenate([force, _positive(spec, "torque_limit", len(arm))]),
            stiffness=np.asarray(_fact(spec, "stiffness"), np.float64),
            damping=np.concatenate([gain, np.asarray(_fact(spec, "damping"), np.float64)]),
            footprint=(float(_fact(spec, "footprint")[0]), float(_fact(spec, "footprint")[1])),
            boxes=furniture(spec),
            action_low=np.array(actions.low, np.float64),
            action_high=np.array(actions.high, np.float64),
            state=dict(physics["state"]),
        )

    def discs(self, rows: Array) -> Array:
        """Return x, y, vx, vy, radius of the obstacles of states `[n, K, 5]`; K may be 0."""
        if "obstacles" not in self.state:
            return np.zeros((len(rows), 0, 5))
        return self.part(rows, "obstacles").reshape(len(rows), -1, 5)

    def part(self, rows: Array, name: str) -> Array:
        """Return a part of states `[n, S]`; ValueError lists the parts that there are."""
        if name not in self.state:
            raise ValueError(
                f"{self.spec_id}: the state has no part {name!r}; its parts are "
                f"{', '.join(self.state)}"
            )
        return rows[:, self.state[name]]


def _fact(spec: EnvSpec, name: str) -> Any:
    if name not in spec.physics:
        raise ValueError(
            f"{spec.id} does not tell {name!r} in spec.physics; it tells {', '.join(spec.physics)}"
        )
    return spec.physics[name]


def _control(spec: EnvSpec) -> str:
    given = str(_fact(spec, "control"))
    if given not in CONTROLS:
        raise ValueError(
            f"{spec.id}: control is {given!r}; this controller knows {', '.join(CONTROLS)}"
        )
    return given


def _positive(spec: EnvSpec, name: str, size: int) -> Array:
    value = np.asarray(_fact(spec, name), np.float64)
    if value.shape != (size,) or not (value > 0.0).all():
        raise ValueError(f"{spec.id}: {name!r} must be {size} limits above 0, got {value.tolist()}")
    return value


def _site(spec: EnvSpec, model: Any, name: str) -> str:
    names = [model.site(index).name for index in range(model.nsite)]
    if name not in names:
        raise ValueError(
            f"{spec.id}: the model has no site {name!r}; its sites are {', '.join(names) or 'none'}"
        )
    return name


def _actions(spec: EnvSpec, size: int) -> ContinuousActions:
    actions = spec.actions
    if not isinstance(actions, ContinuousActions) or actions.size != size:
        raise ValueError(
            f"{spec.id}: base, arm and gripper need {size} continuous actions, got {actions}"
        )
    return actions


def _base_servo(spec: EnvSpec, holonomic: bool) -> tuple[Array, Array]:
    """Return forces [N, N m] and gains [N s/m, N m s/rad] of the base along x, y, yaw, `[3]`."""
    force = np.asarray(_fact(spec, "drive_force"), np.float64)
    gain = np.asarray(_fact(spec, "drive_gain"), np.float64)
    if holonomic:
        return force, gain
    half = 0.5 * float(_fact(spec, "track"))
    # Two wheels push together, and turn the base by the lever of half the track; what holds it
    # sideways is the floor.
    turning = np.array([2.0, 2.0, 2.0 * half * half])
    return np.array([2.0 * force[0], np.inf, 2.0 * half * force[0]]), turning * gain[0]


def furniture(spec: EnvSpec) -> dict[str, tuple[float, ...]]:
    """Return middle and half sizes of furniture and walls [m], by name."""
    boxes = {key: tuple(map(float, value)) for key, value in dict(_fact(spec, "boxes")).items()}
    half_x, half_y = (float(value) for value in _fact(spec, "room"))
    thick = 0.1
    boxes |= {
        "wall_east": (half_x + thick, 0.0, thick, half_y),
        "wall_west": (-half_x - thick, 0.0, thick, half_y),
        "wall_north": (0.0, half_y + thick, half_x, thick),
        "wall_south": (0.0, -half_y - thick, half_x, thick),
    }
    return boxes
