"""Build the mobile manipulator and its room: what a task needs of `mjcf/amr.xml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simrl_envs.robot.amr_scene import GOALS, MAX_OBSTACLES, Goal, add_goal, add_sensors, clear_room

MJCF = Path(__file__).parent / "mjcf" / "amr.xml"
BASE = ("base_x", "base_y", "base_yaw")
ARM = tuple(f"joint{index}" for index in range(1, 8))
FINGERS = ("finger_left", "finger_right")
WHEELS = ("wheel_left", "wheel_right")
DRIVES = {"holonomic": ("drive_x", "drive_y", "drive_yaw"), "differential": WHEELS}
"""Actuators of the base for each kind of drive."""
HOME = (0.0, -1.2, 0.0, -2.7, 0.0, 1.5, 0.785398163397448)
"""Angles of the arm that keep the hand above the base [rad]."""
STIFFNESS = (2000.0, 2000.0, 1500.0, 1500.0, 600.0, 500.0, 300.0)
"""Of the joints' position servos [N m/rad]."""
DAMPING = (160.0, 160.0, 110.0, 110.0, 30.0, 25.0, 15.0)
"""Of the joints' servos, of positions or of speeds [N m s/rad]."""
JOINT_SPEED = (2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61)
"""Largest speeds of the joints as published [rad/s]; the motors do not enforce them."""


@dataclass(frozen=True)
class AmrModelConfig:
    """Choose how the model is built; equal configs share one model."""

    drive: Literal["holonomic", "differential"] = "holonomic"
    """How the base moves."""
    control: Literal["position", "velocity", "torque"] = "position"
    """What the arm's motors take."""
    timestep: float = 0.002
    """Step of the physics [s]."""
    cone: Literal["pyramidal", "elliptic"] = "elliptic"
    """Friction cone."""
    goal: Goal = "base"
    """What the task is about: it decides which things are in the room."""
    obstacles: int = 4
    """Number of obstacles that stand still."""
    moving: int = 0
    """Number of moving obstacles, 0 or 1."""

    def __post_init__(self) -> None:
        _check_choice("drive", self.drive, tuple(DRIVES))
        _check_choice("control", self.control, ("position", "velocity", "torque"))
        _check_choice("cone", self.cone, ("pyramidal", "elliptic"))
        _check_choice("goal", self.goal, GOALS)
        if not 0 <= self.obstacles <= MAX_OBSTACLES:
            raise ValueError(f"obstacles must be from 0 to {MAX_OBSTACLES}, got {self.obstacles}")
        if self.moving not in (0, 1):
            raise ValueError(f"moving must be 0 or 1, got {self.moving}")
        if not self.timestep > 0:
            raise ValueError(f"physics_step must be above 0, got {self.timestep}")


@dataclass(frozen=True, eq=False)
class AmrModel:
    """Hold the compiled model and where its parts are; shared, so copy it before changing it."""

    config: AmrModelConfig
    """What it was built for."""
    model: Any
    """The `mujoco.MjModel`."""
    xml: str
    """The same model as MJCF text."""
    home: np.ndarray
    """Configuration `[nq]` with the arm tucked in, the base in the middle of the room."""
    drives: tuple[str, ...]
    """Actuators of the base."""

    def qpos(self, *joints: str) -> np.ndarray:
        """Return where the positions of joints with one degree of freedom stand in qpos."""
        return np.array([int(self.model.joint(name).qposadr[0]) for name in joints], np.int64)

    def qvel(self, *joints: str) -> np.ndarray:
        """Return where the velocities of joints with one degree of freedom stand in qvel."""
        return np.array([int(self.model.joint(name).dofadr[0]) for name in joints], np.int64)

    @property
    def torque(self) -> np.ndarray:
        """Limits of the arm's motors [N m] `[7]`."""
        actuators = [self.model.actuator(name).id for name in ARM]
        where = self.model.actuator_ctrlrange
        if self.config.control != "torque":
            where = self.model.jnt_actfrcrange[self.model.actuator_trnid[actuators, 0]]
            return np.asarray(where[:, 1])
        return np.asarray(where[actuators, 1])

    @property
    def rest_torque(self) -> np.ndarray:
        """Torques that carry the arm's weight at home [N m] `[7]`, gravity not compensated."""
        import mujoco

        data = mujoco.MjData(self.model)
        data.qpos[:] = self.home
        mujoco.mj_forward(self.model, data)
        return np.asarray(data.qfrc_bias[self.qvel(*ARM)])

    @property
    def joint_range(self) -> np.ndarray:
        """Lowest and highest angle of the arm's joints [rad] `[7, 2]`."""
        return np.array([self.model.joint(name).range for name in ARM])

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Bodies that stand on the floor."""
        return tuple(f"obstacle{index}" for index in range(self.config.obstacles))

    @property
    def movers(self) -> tuple[str, ...]:
        """Bodies that move on the floor."""
        return ("mover",) * self.config.moving

    @property
    def footprint(self) -> tuple[float, float]:
        """Half length and half width of the base [m]."""
        half = self.model.geom("chassis").size
        return float(half[0]), float(half[1])


@lru_cache(maxsize=16)
def build_amr(config: AmrModelConfig) -> AmrModel:
    """Compile the model for a task, or return the one compiled before."""
    import mujoco

    from simrl_envs.robot.process import prepare_mujoco

    prepare_mujoco()
    spec = mujoco.MjSpec.from_file(str(MJCF))
    _set_options(spec, config)
    _choose_drive(spec, config.drive)
    if config.control != "torque":
        _use_servos(spec, config.control)
    clear_room(spec, config.goal, config.obstacles, config.moving)
    add_goal(spec, config.goal)
    add_sensors(spec, config.goal, config.obstacles, config.moving)
    model = spec.compile()
    home = model.qpos0.copy()
    home[[int(model.joint(name).qposadr[0]) for name in ARM]] = HOME
    ctrl = np.zeros(model.nu)
    if config.control == "position":
        ctrl[[model.actuator(name).id for name in ARM]] = HOME
    spec.add_key(name="home", qpos=home, ctrl=ctrl)
    model = spec.compile()
    return AmrModel(config, model, spec.to_xml(), home, DRIVES[config.drive])


def _check_choice(name: str, given: str, valid: tuple[str, ...]) -> None:
    if given not in valid:
        raise ValueError(f"{name} is {given!r}; its values are {', '.join(valid)}")


def _set_options(spec: Any, config: AmrModelConfig) -> None:
    import mujoco

    elliptic = config.cone == "elliptic"
    cone = mujoco.mjtCone
    spec.option.timestep = config.timestep
    spec.option.cone = cone.mjCONE_ELLIPTIC if elliptic else cone.mjCONE_PYRAMIDAL
    spec.option.impratio = 10.0 if elliptic else 1.0


def _choose_drive(spec: Any, drive: str) -> None:
    """Take the other kind of drive away; wheels that nothing turns are for the eye."""
    for kind, names in DRIVES.items():
        for name in names if kind != drive else ():
            spec.delete(spec.actuator(name))
    if drive == "differential":
        spec.geom("chassis").mass -= 2.0 * float(spec.geom("wheel_left").mass)
        return
    for side in ("left", "right"):
        for joint in (f"spring_{side}", f"wheel_{side}"):
            spec.delete(spec.joint(joint))
        wheel = spec.geom(f"wheel_{side}")
        wheel.mass, wheel.contype = 0.0, 0


def _use_servos(spec: Any, control: str) -> None:
    """Let the arm's motors hold angles or speeds, and its weight, within their limits."""
    for body in spec.bodies:
        if body.name and _carried(body):
            body.gravcomp = 1.0
    for name, stiffness, damping, speed in zip(ARM, STIFFNESS, DAMPING, JOINT_SPEED, strict=True):
        joint, motor = spec.joint(name), spec.actuator(name)
        limit = float(motor.ctrlrange[1])
        if control == "position":
            motor.set_to_position(kp=stiffness, kv=damping)
            motor.ctrlrange = joint.range
        else:
            motor.set_to_velocity(kv=damping)
            motor.ctrlrange = [-speed, speed]
        joint.actgravcomp = True
        joint.actfrclimited = True
        joint.actfrcrange = [-limit, limit]


def _carried(body: Any) -> bool:
    """Tell whether a body is part of the arm."""
    while body is not None and body.name != "world":
        if body.name == "arm":
            return True
        body = body.parent
    return False
