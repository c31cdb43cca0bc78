"""Load a robot: read its MJCF, find its parts by name, give every joint the same kind of motor.

Whatever servos a file brings are replaced, so that an action means the same for every robot: a
torque, or the target of a position servo whose torque the motor limits.  The nominal pose stands
on the ground with the feet just touching.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simrl_envs.robot.catalogue import RobotEntry, find_entry, mjcf_path
from simrl_envs.robot.listed_contacts import list_contacts
from simrl_envs.robot.parts import Parts, add_sites, find_parts
from simrl_envs.robot.scenery import Scenery, add_scenery
from simrl_envs.robot.sensors import set_sensors, thighs
from simrl_envs.robot.stand import nominal_stand

Control = Literal["torque", "position"]


@dataclass(frozen=True)
class ModelConfig:
    """Choose how a robot's model is built; equal configs share one model."""

    control: Control = "torque"
    """What the motors take: torques [N m], or angles that they hold as a stiff, damped spring."""
    reach: float = 0.8
    """How far the target of a position servo may be from the one that holds the pose [rad]."""
    timestep: float = 0.002
    """Step of the physics [s]."""
    cone: Literal["pyramidal", "elliptic"] = "pyramidal"
    """Friction cone; pyramidal is about three times as fast."""
    scenery: Scenery = field(default_factory=Scenery)
    """Ground, light and camera."""


@dataclass(frozen=True, eq=False)
class RobotModel:
    """Hold a compiled robot, the names of its parts, and where they are in the model's arrays.

    The model is shared by all who asked for the same robot: copy it before changing it.
    """

    name: str
    kind: str
    """Either "quadruped" or "arm"."""
    control: Control
    """What the motors take."""
    model: Any
    """The `mujoco.MjModel`."""
    xml: str
    """The same model as MJCF text, meshes with absolute paths."""
    parts: Parts
    """Names of base, joints, feet, ..."""
    home: np.ndarray
    """Nominal configuration `[nq]`, also the keyframe "home"."""
    rest: np.ndarray
    """Torques that hold the nominal pose, feet on the ground [N m] `[nu]`."""
    qpos: np.ndarray
    """Index of each joint's angle in qpos `[nu]`."""
    qvel: np.ndarray
    """Index of each joint's speed in qvel `[nu]`."""
    feet: np.ndarray
    """Geom of each foot `[num_feet]`."""
    thighs: tuple[str, ...]
    """Bodies above the calves; with the base they should touch nothing."""
    base: int
    """Body of the base."""
    stiffness: np.ndarray
    """Of each joint's position servo [N m/rad] `[nu]`."""
    damping: np.ndarray
    """Of each joint's position servo [N m s/rad] `[nu]`."""

    @property
    def pose(self) -> np.ndarray:
        """Nominal angle of each joint [rad] `[nu]`."""
        return self.home[self.qpos]

    def facts(self) -> dict[str, Any]:
        """Return what controllers may know of the robot, in plain names and lists."""
        parts = self.parts
        names = {
            "robot": self.name,
            "joints": parts.joints,
            "actuators": parts.actuators,
            "base": parts.base,
            "feet": parts.feet,
            "imu": parts.imu,
            "end_effector": parts.end_effector,
            "control": self.control,
        }
        arrays = {
            "home": self.home,
            "pose": self.pose,
            "rest_torque": self.rest,
            "torque_limit": self.torque,
            "joint_range": self.joint_range,
            "stiffness": self.stiffness,
            "damping": self.damping,
            "qpos_index": self.qpos,
            "qvel_index": self.qvel,
        }
        return {
            **{name: value for name, value in names.items() if value},
            **{name: value.tolist() for name, value in arrays.items()},
            **self._imu_pose(),
            "mass": self.mass,
            "height": self.height,
            "gravity": float(-self.model.opt.gravity[2]),
        }

    def _imu_pose(self) -> dict[str, list[float]]:
        """Return where the IMU sits on the base, in its axes; nothing if it is elsewhere."""
        model, name = self.model, self.parts.imu
        sites = [model.site(index).name for index in range(model.nsite)]
        if name not in sites or int(model.site(name).bodyid[0]) != self.base:
            return {}
        site = model.site(name)
        return {"imu_position": site.pos.tolist(), "imu_quaternion": site.quat.tolist()}

    @property
    def torque(self) -> np.ndarray:
        """Limit of each motor [N m] `[nu]`."""
        return self.parts.torque

    @property
    def hold(self) -> np.ndarray:
        """Targets of the position servo that hold the nominal pose [rad] `[nu]`."""
        return self.pose + self.rest / self.stiffness

    @property
    def height(self) -> float:
        """Height of the base's origin in the nominal pose [m]."""
        return float(self.home[2]) if self.parts.floating else 0.0

    @property
    def mass(self) -> float:
        """Mass of the whole robot [kg]."""
        return float(self.model.body_subtreemass[self.base])

    @property
    def joint_range(self) -> np.ndarray:
        """Limits of each joint [rad] `[nu, 2]`; infinite where a joint turns freely."""
        joints = [self.model.joint(name).id for name in self.parts.joints]
        limited = self.model.jnt_limited[joints].astype(bool)
        ranges: np.ndarray = np.where(
            limited[:, None], self.model.jnt_range[joints], [-np.inf, np.inf]
        )
        return ranges


def build_robot(robot: str | RobotEntry, config: ModelConfig | None = None) -> RobotModel:
    """Build the robot that is named, or the one of an entry; the result is cached.

    Raises:
        ValueError: If there is no such robot, its file is not MJCF, or parts that are named or
            needed were not found; it lists them, and those that the model has.
    """
    entry = find_entry(robot) if isinstance(robot, str) else robot
    path = mjcf_path(entry)
    return _load(entry, path, path.stat().st_mtime_ns, config or ModelConfig())


@lru_cache(maxsize=32)
def _load(entry: RobotEntry, path: Path, changed: int, config: ModelConfig) -> RobotModel:
    for name in ("timestep", "reach"):
        if not getattr(config, name) > 0:
            raise ValueError(f"{name} must be above 0, got {getattr(config, name)}")
    spec = _read(path, entry.name)
    plain = spec.compile()
    parts = find_parts(spec, plain, entry)
    stiffness, damping = _gains(entry, parts.torque)
    stand = nominal_stand(spec, plain, parts)
    home, rest = stand.home, stand.rest
    _keep_inertia(spec, plain)
    for pair in stand.overlaps:
        first, second = (plain.body(body).name for body in pair)
        spec.add_exclude(bodyname1=first, bodyname2=second)
    add_sites(spec, parts)
    _set_options(spec, config)
    _prepare_feet(spec, parts, entry.foot_friction)
    hold = parts.pose + rest / stiffness
    _set_motors(spec, parts, config, hold, stiffness, damping)
    upper = tuple(thighs(spec, parts))
    set_sensors(spec, parts, upper)
    for key in list(spec.keys):
        spec.delete(key)
    spec.add_key(name="home", qpos=home, ctrl=rest if config.control == "torque" else hold)
    follow, size = (parts.base, 2.2 * float(home[2])) if parts.floating else ("", 0.8)
    add_scenery(spec, config.scenery, follow=follow, size=size)
    model = spec.compile()
    xml = spec.to_xml()
    model = list_contacts(spec, model)
    joints = [model.joint(name).id for name in parts.joints]
    return RobotModel(
        name=entry.name,
        kind=entry.kind or ("quadruped" if parts.floating else "arm"),
        control=config.control,
        model=model,
        xml=xml,
        parts=parts,
        home=home,
        rest=rest,
        qpos=model.jnt_qposadr[joints].copy(),
        qvel=model.jnt_dofadr[joints].copy(),
        feet=np.array([model.geom(name).id for name in parts.feet], np.int64),
        thighs=upper,
        base=int(model.body(parts.base).id),
        stiffness=stiffness,
        damping=damping,
    )


def _read(path: Path, name: str) -> Any:
    import mujoco

    try:
        spec = mujoco.MjSpec.from_file(str(path))
    except ValueError as error:
        raise ValueError(f"robot {name!r}: {path} is not a MuJoCo model: {error}") from error
    # Absolute folders, so that the text of the model means the same wherever it is read.
    for index, joint in enumerate(spec.joints):
        joint.name = joint.name or f"joint_{index}"
    spec.meshdir = str((path.parent / spec.meshdir).resolve())
    spec.texturedir = str((path.parent / spec.texturedir).resolve())
    return spec


def _gains(entry: RobotEntry, torque: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return stiffness and damping of each joint `[nu]`; numbers for one leg serve all."""
    count = len(torque)
    # Unless told: the limit is reached 0.6 rad off the target, damping as for a light robot.
    stiffness = _spread(entry.stiffness, count, "stiffness", entry.name, torque / 0.6)
    damping = _spread(entry.damping, count, "damping", entry.name, stiffness / 40.0)
    return stiffness, damping


def _spread(
    value: float | tuple[float, ...], count: int, what: str, robot: str, default: np.ndarray
) -> np.ndarray:
    given = np.atleast_1d(np.asarray(value, np.float64))
    if not given.any():
        return default
    if count % len(given) or not bool((given > 0).all()):
        raise ValueError(
            f"robot {robot!r}: {what} needs positive numbers, one for all, one for each of the "
            f"{count} joints or for each of a leg; got {value}"
        )
    return np.tile(given, count // len(given))


def _set_options(spec: Any, config: ModelConfig) -> None:
    import mujoco

    option = spec.option
    option.timestep = config.timestep
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    elliptic = config.cone == "elliptic"
    cone = mujoco.mjtCone
    option.cone = cone.mjCONE_ELLIPTIC if elliptic else cone.mjCONE_PYRAMIDAL
    option.impratio = 100.0 if elliptic else 1.0
    option.iterations, option.ls_iterations = 10, 20


def _prepare_feet(spec: Any, parts: Parts, friction: float) -> None:
    """Let the feet's own friction decide: of two equal geoms the larger would count."""
    for name in parts.feet:
        geom = spec.geom(name)
        geom.priority = 1
        geom.condim = 3
        geom.friction = [friction, *geom.friction[1:]]


def _set_motors(
    spec: Any,
    parts: Parts,
    config: ModelConfig,
    hold: np.ndarray,
    stiffness: np.ndarray,
    damping: np.ndarray,
) -> None:
    """Replace all actuators; the middle of each one's range holds the nominal pose."""
    import mujoco

    for old in list(spec.actuators):
        spec.delete(old)
    for index, (joint, name) in enumerate(zip(parts.joints, parts.actuators, strict=True)):
        limit = float(parts.torque[index])
        motor = spec.add_actuator(
            name=name, target=joint, trntype=mujoco.mjtTrn.mjTRN_JOINT, ctrllimited=True
        )
        if config.control == "torque":
            motor.set_to_motor()
            motor.ctrlrange = [-limit, limit]
        elif config.control == "position":
            motor.set_to_position(kp=float(stiffness[index]), kv=float(damping[index]))
            motor.forcelimited = True
            motor.forcerange = [-limit, limit]
            motor.ctrlrange = [hold[index] - config.reach, hold[index] + config.reach]
        else:
            raise ValueError(f"control is {config.control!r}; it is torque or position")


def _keep_inertia(spec: Any, model: Any) -> None:
    """Write every body's inertia down: the text of a model does not hold all that it comes from."""
    for body in spec.bodies[1:]:
        body.explicitinertial = True
        body.mass = model.body_mass[body.id]
        body.ipos, body.iquat = model.body_ipos[body.id], model.body_iquat[body.id]
        body.inertia = model.body_inertia[body.id]
        body.fullinertia = [np.nan] * 6
