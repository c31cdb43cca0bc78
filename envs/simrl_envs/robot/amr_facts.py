"""What controllers may know of the mobile manipulator and its room, in plain names and numbers."""

from __future__ import annotations

from typing import Any

from simrl_envs.robot.amr_model import (
    ARM,
    BASE,
    DAMPING,
    FINGERS,
    JOINT_SPEED,
    STIFFNESS,
    WHEELS,
    AmrModel,
)
from simrl_envs.robot.amr_room import ROBOT_RADIUS, Room


def amr_facts(built: AmrModel, room: Room) -> dict[str, Any]:
    """Return the facts of `spec.physics`; indices are into `qpos` and `qvel`."""
    return {**_robot(built), **_drive(built), **_room(built, room)}


def _robot(built: AmrModel) -> dict[str, Any]:
    model = built.model
    base = model.body("base").id
    mass = float(model.body_subtreemass[base])
    found = {
        "robot": "amr",
        "control": built.config.control,
        "joints": ARM,
        "base_joints": BASE,
        "fingers": FINGERS,
        "actuators": tuple(model.actuator(index).name for index in range(model.nu)),
        "end_effector": "end_effector",
        "home": built.home.tolist(),
        "pose": built.home[built.qpos(*ARM)].tolist(),
        "rest_torque": built.rest_torque.tolist(),
        "torque_limit": built.torque.tolist(),
        "joint_range": built.joint_range.tolist(),
        "joint_speed": list(JOINT_SPEED),
        "stiffness": list(STIFFNESS),
        "damping": list(DAMPING),
        "mass": mass,
        "gravity": float(-model.opt.gravity[2]),
        "gripper_opening": float(model.actuator("gripper").ctrlrange[1]),
        "gripper_force": float(model.actuator("gripper").forcerange[1]),
        "qpos_index": built.qpos(*ARM).tolist(),
        "qvel_index": built.qvel(*ARM).tolist(),
        "base_qpos": built.qpos(*BASE).tolist(),
        "base_qvel": built.qvel(*BASE).tolist(),
        "finger_qpos": built.qpos(*FINGERS).tolist(),
        "finger_qvel": built.qvel(*FINGERS).tolist(),
    }
    if built.config.goal == "object":
        joint = model.joint("object")
        found["object_body"] = "object"
        found["object_qpos"] = list(range(joint.qposadr[0], joint.qposadr[0] + 7))
        found["object_qvel"] = list(range(joint.dofadr[0], joint.dofadr[0] + 6))
    if built.config.goal == "drawer":
        found["drawer_joint"], found["handle_site"] = "drawer", "handle"
        found["drawer_qpos"] = built.qpos("drawer").tolist()
        found["drawer_qvel"] = built.qvel("drawer").tolist()
    return found


def _drive(built: AmrModel) -> dict[str, Any]:
    model, drives = built.model, built.drives
    speed = [float(model.actuator(name).ctrlrange[1]) for name in drives]
    force = [float(model.actuator(name).forcerange[1]) for name in drives]
    gain = [float(model.actuator(name).gainprm[0]) for name in drives]
    found: dict[str, Any] = {
        "drive": built.config.drive,
        "drives": drives,
        "drive_speed": speed,
        "drive_force": force,
        "drive_gain": gain,
        "footprint": built.footprint,
        "base_radius": ROBOT_RADIUS,
    }
    mass = float(model.body_subtreemass[model.body("base").id])
    if drives == WHEELS:
        track = float(model.body("wheel_left").pos[1] - model.body("wheel_right").pos[1])
        found["track"] = track
        found["velocity_limit"] = [speed[0], 0.0, 2.0 * speed[0] / track]
        # The wheels grip with their friction times the force of their springs.
        found["acceleration_limit"] = [2.0 * force[0] / mass, 0.0, 0.0]
    else:
        found["velocity_limit"] = speed
        found["acceleration_limit"] = [force[0] / mass, force[1] / mass, 0.0]
    inertia = _yaw_inertia(built)
    turning = force[-1] * (found["track"] if drives == WHEELS else 1.0)
    found["acceleration_limit"][2] = turning / inertia
    found["yaw_inertia"] = inertia
    return found


def _yaw_inertia(built: AmrModel) -> float:
    """Return what the base's yaw feels with the arm at home [kg m2]."""
    import mujoco
    import numpy as np

    model = built.model
    data = mujoco.MjData(model)
    data.qpos[:] = built.home
    mujoco.mj_forward(model, data)
    full = np.zeros((model.nv, model.nv))
    mujoco.mj_fullM(model, data, full)
    where = int(built.qvel("base_yaw")[0])
    return float(full[where, where])


def _room(built: AmrModel, room: Room) -> dict[str, Any]:
    return {
        "room": room.inner,
        "boxes": {
            name: tuple(float(value) for value in box)
            for name, box in zip(room.names, room.boxes, strict=True)
        },
        "places": {
            place.name: (place.x, place.y, place.top, place.face, place.half)
            for place in room.places
        },
        "num_obstacles": len(built.obstacles) + len(built.movers),
    }
