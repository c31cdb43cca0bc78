"""Give every robot the same sensors, so that terms and controllers find them by one name.

imu_acc, imu_gyro           at the IMU site, in its frame [m/s2], [rad/s]
FOOT_pos, FOOT_vel          of each foot's geom, world frame [m], [m/s]
FOOT_force                  what a foot exerts on all that it touches, world [N]
base_force, BODY_force      the same of the base, and of the bodies that carry the calves
end_effector_pos, _quat, _vel, _gyro    of an arm's site, world frame [m], [m/s], [rad/s]
"""

from __future__ import annotations

from typing import Any

from simrl_envs.robot.parts import Parts


def set_sensors(spec: Any, parts: Parts, upper: tuple[str, ...]) -> None:
    """Replace the sensors of a `mujoco.MjSpec` by the standard ones; `upper` names the thighs."""
    import mujoco

    kind, thing = mujoco.mjtSensor, mujoco.mjtObj
    for old in list(spec.sensors):
        spec.delete(old)

    def add(name: str, what: Any, objtype: Any, objname: str) -> None:
        spec.add_sensor(name=name, type=what, objtype=objtype, objname=objname)

    if parts.floating:
        add("imu_acc", kind.mjSENS_ACCELEROMETER, thing.mjOBJ_SITE, parts.imu)
        add("imu_gyro", kind.mjSENS_GYRO, thing.mjOBJ_SITE, parts.imu)
        _add_contact(spec, "base_force", thing.mjOBJ_BODY, parts.base)
    for foot in parts.feet:
        add(f"{foot}_pos", kind.mjSENS_FRAMEPOS, thing.mjOBJ_GEOM, foot)
        add(f"{foot}_vel", kind.mjSENS_FRAMELINVEL, thing.mjOBJ_GEOM, foot)
        _add_contact(spec, f"{foot}_force", thing.mjOBJ_GEOM, foot)
    for body in upper:
        _add_contact(spec, f"{body}_force", thing.mjOBJ_BODY, body)
    if parts.end_effector:
        site = parts.end_effector
        add("end_effector_pos", kind.mjSENS_FRAMEPOS, thing.mjOBJ_SITE, site)
        add("end_effector_quat", kind.mjSENS_FRAMEQUAT, thing.mjOBJ_SITE, site)
        add("end_effector_vel", kind.mjSENS_FRAMELINVEL, thing.mjOBJ_SITE, site)
        add("end_effector_gyro", kind.mjSENS_FRAMEANGVEL, thing.mjOBJ_SITE, site)


def thighs(spec: Any, parts: Parts) -> list[str]:
    """Name the body above the last joint of each leg; it should not touch anything."""
    found = []
    for foot in parts.feet:
        body = spec.geom(foot).parent
        while not body.joints and body.parent.name != "world":
            body = body.parent
        found.append(str(body.parent.name))
    return found


def _add_contact(spec: Any, name: str, objtype: Any, objname: str) -> None:
    import mujoco

    force = 1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE)
    netforce = 3  # sum the contacts' forces, in the world's frame
    spec.add_sensor(
        name=name,
        type=mujoco.mjtSensor.mjSENS_CONTACT,
        objtype=objtype,
        objname=objname,
        intprm=[force, netforce, 1],
    )
