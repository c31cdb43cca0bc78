"""A compiled model with look-ups by name that say what there is when a name is wrong."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

import mujoco
import numpy as np

from simrl_envs.robot.contact_stage import ask_for_contact_forces
from simrl_envs.robot.listed_contacts import list_contacts
from simrl_envs.robot.process import prepare_mujoco

JOINT_KINDS = {
    int(mujoco.mjtJoint.mjJNT_FREE): (7, 6),
    int(mujoco.mjtJoint.mjJNT_BALL): (4, 3),
    int(mujoco.mjtJoint.mjJNT_SLIDE): (1, 1),
    int(mujoco.mjtJoint.mjJNT_HINGE): (1, 1),
}
"""Numbers of positions and of velocities of each joint type."""

_OBJECTS = {
    "joint": mujoco.mjtObj.mjOBJ_JOINT,
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "actuator": mujoco.mjtObj.mjOBJ_ACTUATOR,
    "sensor": mujoco.mjtObj.mjOBJ_SENSOR,
    "key": mujoco.mjtObj.mjOBJ_KEY,
}
_COUNTS = {
    "joint": "njnt",
    "body": "nbody",
    "geom": "ngeom",
    "site": "nsite",
    "actuator": "nu",
    "sensor": "nsensor",
    "key": "nkey",
}


class Robot:
    """Hold a model and find its parts by name.

    Args:
        model: The compiled model.
        mjcf: Where it came from: the absolute path of its XML file, or the XML itself.
        source: What errors call it; default: `mjcf`.
    """

    def __init__(self, model: mujoco.MjModel, mjcf: str, source: str = "") -> None:
        self.model = model
        self.mjcf = mjcf
        self.source = source or mjcf
        if model.ntree == 1:
            # One island at most: searching for islands costs 7 % and changes no bit.
            model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_ISLAND)
        self.template = mujoco.MjData(model)
        self.qpos_of = cache(self._qpos_of)
        self.qvel_of = cache(self._qvel_of)
        self.find = cache(self._find)
        self.triples_of = cache(self._triples_of)
        self.action_range = cache(self._action_range)

    def names(self, kind: str) -> list[str]:
        """List the names of all objects of a kind: joint, body, geom, site, actuator, ..."""
        count = getattr(self.model, _COUNTS[kind])
        found = (mujoco.mj_id2name(self.model, _OBJECTS[kind], index) for index in range(count))
        return [name for name in found if name]

    def _find(self, kind: str, *names: str) -> np.ndarray:
        """Return the ids of named objects; ValueError lists those missing and those there are."""
        ids = [mujoco.mj_name2id(self.model, _OBJECTS[kind], name) for name in names]
        missing = [name for name, index in zip(names, ids, strict=True) if index < 0]
        if missing:
            raise ValueError(
                f"{self.source} has no {kind} called {', '.join(map(repr, missing))}; "
                f"its {kind}s are {', '.join(self.names(kind)) or 'unnamed'}"
            )
        return np.array(ids, np.int64)

    def _qpos_of(self, *joints: str) -> np.ndarray:
        """Return where the positions of these joints stand in qpos; default: of all joints."""
        return self._addresses(joints, self.model.jnt_qposadr, 0)

    def _qvel_of(self, *joints: str) -> np.ndarray:
        """Return where the velocities of these joints stand in qvel; default: of all joints."""
        return self._addresses(joints, self.model.jnt_dofadr, 1)

    def _triples_of(self, *sensors: str) -> np.ndarray:
        """Return where the three numbers of these sensors stand in sensordata `[sensors, 3]`."""
        return self.model.sensor_adr[self._find("sensor", *sensors)][:, None] + np.arange(3)

    def _action_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the middle and half the width of each actuator's control range `[nu]`."""
        low, high = self.model.actuator_ctrlrange.T
        return (low + high) / 2, 0.5 * (high - low)

    def _addresses(self, joints: tuple[str, ...], first: np.ndarray, which: int) -> np.ndarray:
        ids = self._find("joint", *joints) if joints else np.arange(self.model.njnt)
        runs = [
            np.arange(first[j], first[j] + JOINT_KINDS[int(self.model.jnt_type[j])][which])
            for j in ids
        ]
        return np.concatenate(runs) if runs else np.zeros(0, np.int64)


def load_robot(path: Path | str, *, contact_forces: bool = False) -> Robot:
    """Compile the MJCF at `path`; ValueError names the file and what MuJoCo says about it.

    contact_forces: let MuJoCo compute the external forces on all bodies (`cfrc_ext`).
    """
    prepare_mujoco()
    path = Path(path).resolve()
    if not path.is_file():
        raise ValueError(f"there is no model file {path}")
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        if contact_forces:
            ask_for_contact_forces(spec)
        with warnings.catch_warnings():
            # Deprecated attributes of files that are not ours, such as gymnasium's.
            warnings.simplefilter("ignore")
            model = list_contacts(spec, spec.compile())
    except ValueError as error:
        raise ValueError(f"{path} is not a valid MJCF: {error}") from error
    return Robot(model, str(path), path.name)
