"""Find base, joints, feet and motors of a robot in its MJCF: by name, or by convention."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl_envs.robot.catalogue import RobotEntry

LEGS = (
    ("FL", "LF", "front_left", "left_front"),
    ("FR", "RF", "front_right", "right_front"),
    ("RL", "LH", "HL", "rear_left", "left_hind", "hind_left"),
    ("RR", "RH", "HR", "rear_right", "right_hind", "hind_right"),
)
"""How files call the four legs, in our order."""
END_EFFECTORS = ("end_effector", "attachment_site", "ee", "ee_site", "tcp", "flange", "pinch")
"""How files call the site or body that an arm moves."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Name the parts of a robot; joints, actuators and the arrays share one order."""

    floating: bool
    """Whether the base moves freely."""
    base: str
    """Body of the base."""
    joints: tuple[str, ...]
    """Joints with a motor."""
    actuators: tuple[str, ...]
    """Their motors."""
    feet: tuple[str, ...]
    """Geoms of the feet: front left, front right, rear left, rear right."""
    imu: str
    """Site of the inertial measurement unit."""
    end_effector: str
    """Site that an arm moves, or ""."""
    pose: np.ndarray
    """Nominal angle of each joint [rad] `[nu]`."""
    torque: np.ndarray
    """Limit of each motor [N m] `[nu]`."""
    ranges: np.ndarray
    """Lowest and highest angle of each joint [rad] `[nu, 2]`; equal where it has no limit."""


def find_parts(spec: Any, model: Any, entry: RobotEntry) -> Parts:
    """Find the parts that `entry` names and those that it leaves to convention.

    Bodies that stand for feet get a name for their geom; nothing else is changed, since adding to
    a spec would invalidate the ids that it shares with `model`.

    Args:
        spec: `mujoco.MjSpec`.
        model: What it compiled to.
        entry: What is named.

    Raises:
        ValueError: If something was not found; it lists everything that was not, and what there is.
    """
    import mujoco

    lost = _Lost(entry.name)
    kinds = [mujoco.mjtJoint(int(kind)) for kind in model.jnt_type]
    floating = [j for j, kind in enumerate(kinds) if kind == mujoco.mjtJoint.mjJNT_FREE]
    single = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
    hinges = [model.joint(j).name for j, kind in enumerate(kinds) if kind in single]
    if entry.kind == "quadruped" and not floating:
        raise ValueError(
            f"robot {entry.name!r} has no floating base: no body has a free joint; "
            f"its joints are {', '.join(hinges)}"
        )
    if floating and floating[0] != 0:
        raise ValueError(
            f"robot {entry.name!r}: the base with the free joint must come first in the file, "
            f"but {model.joint(0).name!r} does"
        )
    base = _base(spec, model, entry, floating, lost)
    feet = _feet(spec, entry, bool(floating), lost)
    if entry.joints:
        joints = lost.known("joints", entry.joints, hinges)
    else:
        joints = _leg_joints(spec, feet, hinges) or hinges
    effector = _end_effector(spec, entry, lost)
    lost.complain()
    driven = _actuators(model)
    limits = _torques(model, entry, joints, driven)
    key = _keyframe(model)
    pose = np.array(entry.pose or [key[model.joint(name).qposadr[0]] for name in joints])
    if len(joints) % len(pose):
        raise ValueError(
            f"robot {entry.name!r}: pose has {len(pose)} angles for {len(joints)} joints "
            f"({', '.join(joints)})"
        )
    return Parts(
        floating=bool(floating),
        base=base,
        joints=tuple(joints),
        actuators=tuple(driven[name][0] if name in driven else name for name in joints),
        feet=tuple(feet),
        imu=entry.imu,
        end_effector=effector,
        pose=np.tile(pose, len(joints) // len(pose)),
        torque=limits,
        ranges=np.array([model.joint(name).range for name in joints]),
    )


def add_sites(spec: Any, parts: Parts) -> None:
    """Add the sites that are missing, at the origin of their bodies."""
    sites = [site.name for site in spec.sites]
    if parts.imu not in sites:
        spec.body(parts.base).add_site(name=parts.imu)
    if parts.end_effector and parts.end_effector not in sites:
        spec.body(parts.end_effector).add_site(name=parts.end_effector)


class _Lost:
    """Collect what was not found, to tell it all at once."""

    def __init__(self, robot: str) -> None:
        self.robot = robot
        self.lines: list[str] = []

    def known(self, what: str, wanted: Iterable[str], there: list[str]) -> list[str]:
        missing = [name for name in wanted if name not in there]
        if missing:
            self.add(what, missing, there)
        return [name for name in wanted if name in there]

    def add(self, what: str, missing: list[str], there: list[str]) -> None:
        has = ", ".join(name for name in there if name) or "none with a name"
        self.lines.append(f"{what} not found: {', '.join(missing)} (the model has {has})")

    def complain(self) -> None:
        if self.lines:
            raise ValueError(f"robot {self.robot!r}: {'; '.join(self.lines)}")


def _base(spec: Any, model: Any, entry: RobotEntry, floating: list[int], lost: _Lost) -> str:
    bodies = [body.name for body in spec.bodies if body.name != "world"]
    if entry.base:
        lost.known("base", [entry.base], bodies)
        return entry.base
    if not floating:
        return bodies[0] if bodies else "world"
    body = spec.bodies[int(model.jnt_bodyid[floating[0]])]
    if not body.name:
        body.name = "base"
    return str(body.name)


def _feet(spec: Any, entry: RobotEntry, floating: bool, lost: _Lost) -> list[str]:
    """Return the geoms of the feet; none for a robot without legs."""
    geoms = [geom.name for geom in spec.geoms if geom.name]
    bodies = [body.name for body in spec.bodies]
    if entry.feet:
        missing = [name for name in entry.feet if name not in geoms and name not in bodies]
        if missing:
            lost.add("feet", missing, [*geoms, *bodies])
        return [_foot_geom(spec, name) for name in entry.feet if name not in missing]
    if not floating:
        return []
    names = [_foot_name(leg, geoms) or _foot_name(leg, bodies) for leg in LEGS]
    missing = [leg[0] for leg, name in zip(LEGS, names, strict=True) if name is None]
    if missing and entry.kind == "quadruped":
        lost.add("feet", missing, [*geoms, *bodies])
    return [_foot_geom(spec, name) for name in names if name is not None]


def _foot_name(leg: tuple[str, ...], names: list[str]) -> str | None:
    """Return the name that is the leg's, or starts with it and speaks of a foot."""
    for call in leg:
        for name in names:
            low = name.lower()
            starts = low.startswith(f"{call.lower()}_") and ("foot" in low or "toe" in low)
            if low == call.lower() or starts:
                return name
    return None


def _foot_geom(spec: Any, name: str) -> str:
    """Return the geom called `name`, or the last colliding one of the body called so."""
    if spec.geom(name) is not None:
        return name
    solid = [geom for geom in spec.body(name).geoms if geom.contype or geom.conaffinity]
    if not solid:
        raise ValueError(f"body {name!r} stands for a foot, but it has no geom that collides")
    if not solid[-1].name:
        solid[-1].name = f"{name}_geom"
    return str(solid[-1].name)


def _leg_joints(spec: Any, feet: list[str], hinges: list[str]) -> list[str]:
    """Return the joints between base and feet, leg by leg from the base outwards."""
    joints: list[str] = []
    for foot in feet:
        chain: list[str] = []
        body = spec.geom(foot).parent
        while body is not None and body.name != "world":
            chain = [joint.name for joint in body.joints if joint.name in hinges] + chain
            body = body.parent
        joints += [name for name in chain if name not in joints]
    return joints


def _end_effector(spec: Any, entry: RobotEntry, lost: _Lost) -> str:
    """Return the site, or the body, of the end effector."""
    sites = [site.name for site in spec.sites]
    bodies = [body.name for body in spec.bodies]
    wanted = (entry.end_effector,) if entry.end_effector else END_EFFECTORS
    for name in wanted:
        if name in sites:
            return name
        if name in bodies:
            return name
    if entry.end_effector or entry.kind == "arm":
        lost.add("end effector", [wanted[0]], [*sites, *bodies])
    return ""


def _actuators(model: Any) -> dict[str, tuple[str, int]]:
    """Map each joint that has a motor to the motor's name and index."""
    import mujoco

    found = {}
    for index in range(model.nu):
        if model.actuator_trntype[index] == mujoco.mjtTrn.mjTRN_JOINT:
            joint = model.joint(int(model.actuator_trnid[index, 0])).name
            found[joint] = (model.actuator(index).name or joint, index)
    return found


def _torques(
    model: Any, entry: RobotEntry, joints: list[str], driven: dict[str, tuple[str, int]]
) -> np.ndarray:
    """Return each motor's limit [N m] `[nu]`, the tightest that the model states."""
    given = np.atleast_1d(np.asarray(entry.torque, np.float64))
    if given.any():
        if len(joints) % len(given) or not bool((given > 0).all()):
            raise ValueError(
                f"robot {entry.name!r}: torque needs positive limits, one for all or one for each "
                f"of the {len(joints)} joints or of a leg; got {entry.torque}"
            )
        return np.tile(given, len(joints) // len(given))
    limits = np.array([_torque(model, name, driven) for name in joints])
    unlimited = [name for name, limit in zip(joints, limits, strict=True) if not limit < np.inf]
    if unlimited:
        motors = ", ".join(motor for motor, _ in driven.values()) or "none"
        raise ValueError(
            f"robot {entry.name!r}: torque limits missing from the model for the joints "
            f"{', '.join(unlimited)} (its actuators: {motors}); give `torque`"
        )
    return limits


def _torque(model: Any, name: str, driven: dict[str, tuple[str, int]]) -> float:
    joint = model.joint(name)
    limit = np.inf
    if model.jnt_actfrclimited[joint.id]:
        limit = float(np.abs(model.jnt_actfrcrange[joint.id]).max())
    if name in driven:
        index = driven[name][1]
        gear = abs(float(model.actuator_gear[index, 0]))
        if model.actuator_forcelimited[index]:
            limit = min(limit, gear * float(np.abs(model.actuator_forcerange[index]).max()))
        # The control of a plain motor is its force; that of a servo is something else.
        plain = not model.actuator_biasprm[index].any()
        if plain and model.actuator_ctrllimited[index]:
            force = float(np.abs(model.actuator_ctrlrange[index]).max())
            limit = min(limit, gear * abs(float(model.actuator_gainprm[index, 0])) * force)
    return limit or np.inf


def _keyframe(model: Any) -> np.ndarray:
    """Return qpos `[nq]` of the keyframe "home", else of the first one, else of the model."""
    for index in range(model.nkey):
        if model.key(index).name == "home":
            return np.asarray(model.key_qpos[index])
    return np.asarray(model.key_qpos[0] if model.nkey else model.qpos0)
