"""Learn from an environment's spec what walking needs: base, legs, masses, limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simrl.core import ContinuousActions, EnvSpec
from simrl_controllers.legged.tree import Tree, build_tree

Array = np.ndarray
LEGS = 4
"""Legs of a robot, in the order front left, front right, rear left, rear right."""


@dataclass(frozen=True, eq=False)
class LeggedRobot:
    """Hold the facts of a robot on four legs; read-only.

    Leg j's numbers stand at index j: front left, front right, rear left, rear right.
    """

    name: str
    """Name of the robot."""
    tree: Tree
    """Bodies, joints and feet for the equations of motion."""
    feet: tuple[str, ...]
    """Geoms of the feet."""
    joints: tuple[str, ...]
    """Driven joints, in the order of the actions."""
    leg_joints: Array
    """Which driven joints move each foot `[4, 3]`: indices into the actions."""
    home: Array
    """Nominal configuration `[nq]`."""
    home_feet: Array
    """Foot centres in the nominal pose, from the base's origin, in its axes [m] `[4, 3]`."""
    hips: Array
    """Anchor of each leg's first joint, from the base's origin, in its axes [m] `[4, 3]`."""
    reach: Array
    """Greatest distance from the hip to the foot [m] `[4]`."""
    height: float
    """Height of the base's origin above the ground in the nominal pose [m]."""
    mass: float
    """Mass of the whole robot [kg]."""
    com: Array
    """Centre of mass in the nominal pose, from the base's origin, in its axes [m] `[3]`."""
    inertia: Array
    """Inertia of the nominal pose about its centre of mass [kg m^2] `[3, 3]`."""
    gravity: float
    """Acceleration of gravity [m/s^2]."""
    torque_limit: Array
    """Largest torque of each motor [N m] `[nu]`."""
    friction_loss: Array
    """Dry friction of each driven joint [N m] `[nu]`."""
    control: str
    """What actions are: "torque", or "position" targets of joint servos."""
    stiffness: Array
    """Of each joint's servo [N m/rad] `[nu]`; zeros with torque control."""
    damping: Array
    """Of each joint's servo [N m s/rad] `[nu]`; zeros with torque control."""
    qpos: slice
    """Where the configuration stands in a state row."""
    qvel: slice
    """Where the velocities stand in a state row."""
    command: slice | None
    """Where the command (vx, vy, yaw rate) stands in a state row, if there is one."""
    foot_force: Array | None
    """Where each foot's contact force stands in a state row `[4]` (three numbers from there on);
    None where the state has no foot sensors."""


def legged_robot(spec: EnvSpec) -> LeggedRobot:
    """Read the facts of the robot of `spec`.

    Raises:
        ValueError: The task is not one of a robot on four legs, or its model lacks a floating
            base, a foot, a motor or a torque limit; the message lists what there is.
    """
    import mujoco

    facts = spec.physics
    model = _load(spec)
    _check_base(spec, model)
    joints, dofs = _driven(spec, model)
    feet = _feet(spec, model)
    tree = build_tree(model, spec.id, joints, feet)
    data = mujoco.MjData(model)
    home = np.array(facts.get("home", model.qpos0), np.float64)
    data.qpos[:] = home
    mujoco.mj_forward(model, data)
    origin, axes = data.qpos[:3].copy(), data.xmat[1].reshape(3, 3)
    geoms = [model.geom(name).id for name in feet]
    home_feet = (data.geom_xpos[geoms] - origin) @ axes
    legs = _legs(spec, model, joints, feet)
    hips = (data.xanchor[[model.joint(joints[leg[0]]).id for leg in legs]] - origin) @ axes
    com, inertia = _composite(model, data, axes)
    control = str(facts.get("control", "torque"))
    size, parts = len(joints), facts["state"]
    command = parts.get("command")
    return LeggedRobot(
        name=str(facts.get("robot", spec.id)),
        tree=tree,
        feet=feet,
        joints=joints,
        leg_joints=legs,
        home=home,
        home_feet=home_feet,
        hips=hips,
        reach=_reach(model, data, joints, legs, geoms),
        height=float(home[2]),
        mass=float(model.body_subtreemass[1]),
        com=com - (axes.T @ origin),
        inertia=inertia,
        gravity=float(-model.opt.gravity[2]),
        torque_limit=_limits(spec, model, joints),
        friction_loss=model.dof_frictionloss[dofs].copy(),
        control=control,
        stiffness=_gain(facts, "stiffness", size, control),
        damping=_gain(facts, "damping", size, control),
        qpos=_part(spec, "qpos", model.nq),
        qvel=_part(spec, "qvel", model.nv),
        command=command if command is not None and command.stop - command.start == 3 else None,
        foot_force=_foot_force(spec, model, feet),
    )


def _load(spec: EnvSpec) -> Any:
    import mujoco

    facts = spec.physics
    kind = facts.get("model")
    if kind != "quadruped" or "mjcf" not in facts:
        raise ValueError(
            f"{spec.id}: mpc-wbc walks on four legs, and this task's system is {kind!r}; "
            "tasks of legged robots are quadruped-velocity, quadruped-stand, quadruped-recover"
        )
    text = str(facts["mjcf"])
    if text.lstrip().startswith("<"):
        return mujoco.MjModel.from_xml_string(text)
    if not Path(text).is_file():
        raise ValueError(f"{spec.id}: there is no model file {text}")
    return mujoco.MjModel.from_xml_path(text)


def _check_base(spec: EnvSpec, model: Any) -> None:
    import mujoco

    names = [model.joint(index).name for index in range(model.njnt)]
    free = [n for n, kind in zip(names, model.jnt_type, strict=True) if kind == 0]
    if not model.njnt or model.jnt_type[0] != mujoco.mjtJoint.mjJNT_FREE or len(free) != 1:
        raise ValueError(
            f"{spec.id}: the robot has no floating base: its first joint must be the only free "
            f"one; its joints are {', '.join(names) or 'none'}"
        )
    bodies = [model.body(index).name for index in range(1, model.nbody)]
    base = spec.physics.get("base", bodies[0])
    if base != bodies[0]:
        raise ValueError(
            f"{spec.id}: the floating base is the body {bodies[0]!r}, not {base!r}; "
            f"the bodies are {', '.join(bodies)}"
        )


def _driven(spec: EnvSpec, model: Any) -> tuple[tuple[str, ...], Array]:
    """Return the driven joints and their velocities' indices; the actions are theirs."""
    names = [model.joint(index).name for index in range(1, model.njnt)]
    joints = tuple(spec.physics.get("joints", ()))
    lost = [name for name in joints if name not in names]
    if lost or not joints:
        raise ValueError(
            f"{spec.id}: joints not found: {', '.join(lost) or 'none are named'}; "
            f"the model has {', '.join(names)}"
        )
    idle = [name for name in names if name not in joints]
    if idle:
        raise ValueError(f"{spec.id}: joints without a motor: {', '.join(idle)}")
    if not isinstance(spec.actions, ContinuousActions) or spec.actions.size != len(joints):
        raise ValueError(f"{spec.id}: the actions must be those of the {len(joints)} joints")
    return joints, model.jnt_dofadr[[model.joint(name).id for name in joints]]


def _feet(spec: EnvSpec, model: Any) -> tuple[str, ...]:
    names = [model.geom(index).name for index in range(model.ngeom) if model.geom(index).name]
    feet = tuple(spec.physics.get("feet", ()))
    lost = [name for name in feet if name not in names]
    if lost:
        raise ValueError(
            f"{spec.id}: feet not found: {', '.join(lost)}; the model's geoms are "
            f"{', '.join(names)}"
        )
    if len(feet) != LEGS:
        raise ValueError(
            f"{spec.id}: mpc-wbc needs {LEGS} feet (front left, front right, rear left, rear "
            f"right), got {', '.join(feet) or 'none'}; the model's geoms are {', '.join(names)}"
        )
    return feet


def _legs(spec: EnvSpec, model: Any, joints: tuple[str, ...], feet: tuple[str, ...]) -> Array:
    """Return the driven joints between base and each foot, from the hip on `[4, 3]`."""
    legs = []
    for foot in feet:
        body, chain = int(model.geom_bodyid[model.geom(foot).id]), []
        while body > 1:
            for index in range(model.body_jntnum[body] - 1, -1, -1):
                chain.append(model.joint(model.body_jntadr[body] + index).name)
            body = int(model.body_parentid[body])
        if len(chain) != 3:
            raise ValueError(
                f"{spec.id}: a leg needs three joints; between the base and the foot {foot!r} are "
                f"{', '.join(reversed(chain)) or 'none'}"
            )
        legs.append([joints.index(name) for name in reversed(chain)])
    return np.array(legs, np.int64)


def _limits(spec: EnvSpec, model: Any, joints: tuple[str, ...]) -> Array:
    given = spec.physics.get("torque_limit")
    limits = np.full(len(joints), np.nan) if given is None else np.array(given, np.float64)
    if limits.shape != (len(joints),):
        raise ValueError(
            f"{spec.id}: torque_limit needs one number for each of {', '.join(joints)}; "
            f"got {len(limits)}"
        )
    lost = [n for n, limit in zip(joints, limits, strict=True) if not 0.0 < limit < np.inf]
    if lost:
        raise ValueError(
            f"{spec.id}: torque limits missing for the joints {', '.join(lost)}; give the "
            "environment's option torque=..., or torque in the robot's entry [N m]"
        )
    return limits


def _gain(facts: Any, name: str, size: int, control: str) -> Array:
    if control != "position":
        return np.zeros(size)
    return np.array(facts[name], np.float64)


def _part(spec: EnvSpec, name: str, size: int) -> slice:
    parts = spec.physics.get("state", {})
    where = parts.get(name)
    if not isinstance(where, slice) or where.stop - where.start != size:
        raise ValueError(
            f"{spec.id}: the state needs a part {name!r} of {size} numbers; its parts are "
            f"{', '.join(parts) or 'none'}"
        )
    return where


def _foot_force(spec: EnvSpec, model: Any, feet: tuple[str, ...]) -> Array | None:
    where = spec.physics["state"].get("data.sensordata")
    names = [model.sensor(index).name for index in range(model.nsensor)]
    wanted = [f"{foot}_force" for foot in feet]
    if where is None or any(name not in names for name in wanted):
        return None
    if where.stop - where.start != model.nsensordata:
        return None
    starts = [int(model.sensor_adr[names.index(name)]) for name in wanted]
    return where.start + np.array(starts, np.int64)


def _composite(model: Any, data: Any, axes: Array) -> tuple[Array, Array]:
    """Return centre of mass and inertia about it, in the base's axes, world's origin `[3]`."""
    mass, place = model.body_mass, data.xipos
    com = mass @ place / mass.sum()
    total = np.zeros((3, 3))
    for body in range(1, model.nbody):
        turn = data.ximat[body].reshape(3, 3)
        arm = place[body] - com
        total += turn @ np.diag(model.body_inertia[body]) @ turn.T
        total += mass[body] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
    return axes.T @ com, axes.T @ total @ axes


def _reach(model: Any, data: Any, joints: tuple[str, ...], legs: Array, geoms: list[int]) -> Array:
    """Return thigh plus shank of each leg: from the second joint on."""
    result = []
    for leg, geom in zip(legs, geoms, strict=True):
        anchors = [data.xanchor[model.joint(joints[index]).id] for index in leg]
        thigh = np.linalg.norm(anchors[2] - anchors[1])
        shank = np.linalg.norm(data.geom_xpos[geom] - anchors[2])
        result.append(thigh + shank)
    return np.array(result)
