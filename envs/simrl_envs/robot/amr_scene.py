"""Fit the room of the mobile manipulator to a task: what stands there, what shows and senses it."""

from __future__ import annotations

from typing import Any, Literal

MAX_OBSTACLES = 8
"""Obstacles that the room has at most, the moving one apart."""

Goal = Literal["base", "hand", "object", "drawer"]
GOALS = ("base", "hand", "object", "drawer")
"""What a task can be about."""


def clear_room(spec: Any, goal: Goal, obstacles: int, moving: int) -> None:
    """Take away what the task has no use for, and shut the drawer if it stays shut."""
    for index in range(obstacles, MAX_OBSTACLES):
        spec.delete(spec.body(f"obstacle{index}"))
    if not moving:
        spec.delete(spec.body("mover"))
    if goal != "object":
        spec.delete(spec.body("object"))
    if goal != "drawer":
        spec.delete(spec.joint("drawer"))


def add_goal(spec: Any, goal: Goal) -> None:
    """Give the ghost the shape of what shall be where it is."""
    import mujoco

    ghost, geom = spec.body("goal"), mujoco.mjtGeom
    rgba = [0.15, 0.72, 0.38, 0.45]
    if goal == "base":
        half = spec.geom("chassis").size
        ghost.add_geom(type=geom.mjGEOM_BOX, size=[half[0], half[1], 0.006], pos=[0, 0, 0.008])
        arrow = [0.0, 0.0, 0.02, 0.55, 0.0, 0.02]
        ghost.add_geom(type=geom.mjGEOM_CAPSULE, size=[0.025, 0, 0], fromto=arrow)
    elif goal == "hand":
        ghost.add_geom(type=geom.mjGEOM_BOX, size=[0.031, 0.1, 0.033], pos=[0, 0, -0.07])
        for side in (-1.0, 1.0):
            size, place = [0.0105, 0.006, 0.03], [0, 0.046 * side, -0.015]
            ghost.add_geom(type=geom.mjGEOM_BOX, size=size, pos=place)
    elif goal == "object":
        ghost.add_geom(name="goal", type=geom.mjGEOM_BOX, size=[0.025, 0.025, 0.065])
    for part in ghost.geoms:
        part.rgba, part.contype, part.conaffinity = rgba, 0, 0
    if goal == "drawer":
        spec.delete(ghost)


def add_sensors(spec: Any, goal: Goal, obstacles: int, moving: int) -> None:
    """Sense the hand's pose, and how many contacts there are with what.

    end_effector_pos, _quat, _vel, _gyro   of the site, world frame [m], [m/s], [rad/s]
    hit_room, hit_floor, hit_self, hit_obstacle0, ..., hit_mover   contacts of the robot
    grip_left, grip_right      contacts of the pads and fingers with the object or the handle
    """
    import mujoco

    kind, thing = mujoco.mjtSensor, mujoco.mjtObj
    for name, what in (
        ("pos", kind.mjSENS_FRAMEPOS),
        ("quat", kind.mjSENS_FRAMEQUAT),
        ("vel", kind.mjSENS_FRAMELINVEL),
        ("gyro", kind.mjSENS_FRAMEANGVEL),
    ):
        spec.add_sensor(
            name=f"end_effector_{name}", type=what, objtype=thing.mjOBJ_SITE, objname="end_effector"
        )
    whole = (thing.mjOBJ_XBODY, "base")
    pairs = {
        "hit_room": (whole, (thing.mjOBJ_XBODY, "room")),
        "hit_floor": ((thing.mjOBJ_XBODY, "arm"), (thing.mjOBJ_GEOM, "floor")),
        "hit_self": ((thing.mjOBJ_XBODY, "arm"), (thing.mjOBJ_BODY, "base")),
    }
    names = [f"obstacle{index}" for index in range(obstacles)] + ["mover"] * moving
    pairs |= {f"hit_{name}": (whole, (thing.mjOBJ_BODY, name)) for name in names}
    held = {"object": "object", "drawer": "handle"}.get(goal)
    for side in ("left", "right") if held is not None else ():
        pairs[f"grip_{side}"] = (
            (thing.mjOBJ_BODY, f"finger_{side}"),
            (thing.mjOBJ_GEOM, str(held)),
        )
    found = 1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND)
    for name, (first, second) in pairs.items():
        spec.add_sensor(
            name=name,
            type=kind.mjSENS_CONTACT,
            objtype=first[0],
            objname=first[1],
            reftype=second[0],
            refname=second[1],
            intprm=[found, 0, 1],
        )
