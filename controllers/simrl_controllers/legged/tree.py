"""Turn a MuJoCo model into the arrays from which the kernels compute its equations of motion."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Tree(NamedTuple):
    """Hold a floating base and nj hinges as a tree of nj + 1 bodies; body i + 1 moves by hinge i.

    Bodies that are welded to another are part of it.  Hinges stand in the model's order, in which
    a parent comes before its children; `order` leads from there to the order of the actions.
    """

    parent: Array
    """Parent of each body `[nb]`; -1 of the base."""
    offset: Array
    """Body's origin in the parent's frame [m] `[nb, 3]`."""
    turn: Array
    """Body's axes in the parent's frame at angle 0 `[nb, 3, 3]`."""
    axis: Array
    """Hinge's axis in the body's frame `[nb, 3]`; zeros for the base."""
    anchor: Array
    """Hinge's place in the body's frame [m] `[nb, 3]`."""
    zero: Array
    """Angle at which the model file draws the joint [rad] `[nb]`."""
    mass: Array
    """Mass [kg] `[nb]`."""
    centre: Array
    """Centre of mass in the body's frame [m] `[nb, 3]`."""
    inertia: Array
    """Inertia about the centre of mass, in the body's axes [kg m^2] `[nb, 3, 3]`."""
    armature: Array
    """Rotor inertia on the diagonal of M `[nv]`."""
    damping: Array
    """Viscous damping `[nv]`."""
    foot_body: Array
    """Body of each foot `[4]`."""
    foot_offset: Array
    """Centre of each foot in its body's frame [m] `[4, 3]`."""
    foot_radius: Array
    """Radius of each foot [m] `[4]`."""
    order: Array
    """Index in qvel of each driven joint, in the order of the actions `[nu]`."""
    gravity: Array
    """Gravity vector [m/s^2] `[3]`."""


def build_tree(model: Any, owner: str, joints: tuple[str, ...], feet: tuple[str, ...]) -> Tree:
    """Build the tree of an `MjModel` whose first joint is free and whose others are hinges.

    Raises:
        ValueError: There is another kind of joint, or a body with two hinges; it is named.
    """
    import mujoco

    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mover = _movers(model, owner)
    numbers = {body: index for index, body in enumerate(sorted(set(mover[1:].tolist())))}
    count = len(numbers)
    turn, offset = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    axis, anchor, zero = np.zeros((count, 3)), np.zeros((count, 3)), np.zeros(count)
    parent = np.full(count, -1, np.int64)
    for body, index in numbers.items():
        if not index:
            continue
        above = int(mover[model.body_parentid[body]])
        parent[index] = numbers[above]
        base = data.xmat[above].reshape(3, 3)
        offset[index] = base.T @ (data.xpos[body] - data.xpos[above])
        turn[index] = base.T @ data.xmat[body].reshape(3, 3)
        joint = int(model.body_jntadr[body])
        axis[index], anchor[index] = model.jnt_axis[joint], model.jnt_pos[joint]
        zero[index] = model.qpos0[model.jnt_qposadr[joint]]
    mass, centre, inertia = _merge(model, data, mover, numbers)
    geoms = [model.geom(name).id for name in feet]
    bodies = [int(mover[model.geom_bodyid[geom]]) for geom in geoms]
    places = [
        data.xmat[body].reshape(3, 3).T @ (data.geom_xpos[geom] - data.xpos[body])
        for geom, body in zip(geoms, bodies, strict=True)
    ]
    return Tree(
        parent=parent,
        offset=offset,
        turn=turn,
        axis=axis,
        anchor=anchor,
        zero=zero,
        mass=mass,
        centre=centre,
        inertia=inertia,
        armature=model.dof_armature.copy(),
        damping=model.dof_damping.copy(),
        foot_body=np.array([numbers[body] for body in bodies], np.int64),
        foot_offset=np.array(places),
        foot_radius=np.array([_radius(model, geom) for geom in geoms]),
        order=model.jnt_dofadr[[model.joint(name).id for name in joints]].astype(np.int64),
        gravity=model.opt.gravity.copy(),
    )


def _movers(model: Any, owner: str) -> Array:
    """Return for each body the nearest one above (or itself) that a joint moves `[nbody]`."""
    import mujoco

    mover = np.zeros(model.nbody, np.int64)
    for body in range(1, model.nbody):
        count, first = int(model.body_jntnum[body]), int(model.body_jntadr[body])
        if not count:
            mover[body] = mover[model.body_parentid[body]]
            continue
        kind = model.jnt_type[first]
        wanted = mujoco.mjtJoint.mjJNT_FREE if first == 0 else mujoco.mjtJoint.mjJNT_HINGE
        if count != 1 or kind != wanted:
            raise ValueError(
                f"{owner}: mpc-wbc needs one hinge a body; {model.body(body).name!r} has "
                f"{', '.join(model.joint(first + index).name for index in range(count))}"
            )
        mover[body] = body
    return mover


def _merge(
    model: Any, data: Any, mover: Array, numbers: dict[int, int]
) -> tuple[Array, Array, Array]:
    """Return mass, centre and inertia of each moving body with all that is welded to it."""
    count = len(numbers)
    mass, centre, inertia = np.zeros(count), np.zeros((count, 3)), np.zeros((count, 3, 3))
    for body, index in numbers.items():
        members = [one for one in range(1, model.nbody) if mover[one] == body]
        frame = data.xmat[body].reshape(3, 3)
        total = model.body_mass[members].sum()
        mean = model.body_mass[members] @ data.xipos[members] / max(total, 1e-12)
        whole = np.zeros((3, 3))
        for one in members:
            axes, arm = data.ximat[one].reshape(3, 3), data.xipos[one] - mean
            whole += axes @ np.diag(model.body_inertia[one]) @ axes.T
            whole += model.body_mass[one] * (arm @ arm * np.eye(3) - np.outer(arm, arm))
        mass[index] = total
        centre[index] = frame.T @ (mean - data.xpos[body])
        inertia[index] = frame.T @ whole @ frame
    return mass, centre, inertia


def _radius(model: Any, geom: int) -> float:
    """Return how far a foot reaches below its centre [m]: a sphere's radius, else a small half."""
    import mujoco

    if model.geom_type[geom] == mujoco.mjtGeom.mjGEOM_SPHERE:
        return float(model.geom_size[geom, 0])
    return float(np.min(model.geom_aabb[geom, 3:]))
