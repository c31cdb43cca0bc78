"""List the pairs of geoms that may touch, so that MuJoCo need not search for them in every step.

MuJoCo sweeps over the boxes of all bodies in every physics step, also where the masks of their
geoms leave it nothing but the floor to find: a seventh of the time of gymnasium's Ant.  Pairs that
are listed are tested directly, in the same order and with the same parameters, so that every
contact is the same to the last bit.
"""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

PAIRS_PER_GEOM = 2
"""Most pairs, for each geom, that are worth a list: beyond, sweeping finds those that are near."""
GROUNDS = (int(mujoco.mjtGeom.mjGEOM_PLANE), int(mujoco.mjtGeom.mjGEOM_HFIELD))
"""Types of geoms that never touch each other."""


def list_contacts(spec: Any, model: mujoco.MjModel) -> mujoco.MjModel:
    """Return the model of a spec with its contacts listed, where that is possible and worth it.

    The spec is changed then: pairs are added, and no geom is left to the sweep.  A model that has
    pairs, exclusions or flexible bodies of its own, or many pairs, is returned as it is.

    Args:
        spec: `mujoco.MjSpec`.
        model: What it compiled to.
    """
    override = int(mujoco.mjtEnableBit.mjENBL_OVERRIDE)
    if model.npair or model.nexclude or model.nflex or model.opt.enableflags & override:
        return model
    pairs = possible_pairs(model)
    if len(pairs) > PAIRS_PER_GEOM * model.ngeom:
        return model
    geoms = sorted(spec.geoms, key=lambda geom: int(geom.id))
    for index, geom in enumerate(geoms):
        geom.name = geom.name or f"unnamed geom {index}"
        geom.contype = geom.conaffinity = 0
    for first, second in pairs:
        names = {"geomname1": geoms[first].name, "geomname2": geoms[second].name}
        spec.add_pair(**names, **contact_parameters(model, first, second))
    return spec.compile()


def possible_pairs(model: mujoco.MjModel) -> list[tuple[int, int]]:
    """Return the geoms that MuJoCo's masks and rules let touch, in the order in which it looks."""
    found = []
    for first in range(model.ngeom):
        for second in range(first + 1, model.ngeom):
            if _masks_meet(model, first, second) and not _joined(model, first, second):
                found.append((first, second))
    return sorted(found, key=lambda pair: _place(model, *pair))


def contact_parameters(model: mujoco.MjModel, first: int, second: int) -> dict[str, Any]:
    """Return what MuJoCo's rules make of the parameters of two geoms that touch."""
    both = [first, second]
    rank = model.geom_priority[both]
    if rank[0] != rank[1]:
        ruler = both[int(rank.argmax())]
        weights = np.array([ruler == first, ruler == second], np.float64)
        leaders = [ruler]
    else:
        weights = _shares(model.geom_solmix[both])
        leaders = both
    solref = model.geom_solref[leaders]
    direct = bool((solref[:, 0] <= 0).any())
    slide, spin, roll = model.geom_friction[leaders].max(axis=0)
    return {
        "condim": int(model.geom_condim[leaders].max()),
        "friction": [slide, slide, spin, roll, roll],
        "solref": solref.min(axis=0) if direct else _mixed(weights, model.geom_solref[both]),
        "solimp": _mixed(weights, model.geom_solimp[both]),
        "margin": model.geom_margin[both].sum(),
        "gap": model.geom_gap[both].sum(),
    }


def _place(model: mujoco.MjModel, first: int, second: int) -> tuple[int, ...]:
    """Return by what MuJoCo sorts contacts: by bodies, then by geoms.

    Where a body has several geoms, that of the simpler type comes first: see its contactcompare.
    """
    bodies = model.geom_bodyid[[first, second]].tolist()
    several = bool((model.body_geomnum[bodies] > 1).any())
    midphase = not model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
    if several and midphase and model.geom_type[first] > model.geom_type[second]:
        first, second = second, first
    return (*bodies, first, second)


def _shares(mix: np.ndarray) -> np.ndarray:
    """Return the weights `[2]` of two geoms whose `solmix` is `mix`."""
    small = mix < mujoco.mjMINVAL
    if small.any():
        return np.array([0.5, 0.5]) if small.all() else (~small).astype(np.float64)
    share = mix[0] / (mix[0] + mix[1])
    return np.array([share, 1.0 - share])


def _mixed(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray(weights[0] * values[0] + weights[1] * values[1])


def _masks_meet(model: mujoco.MjModel, first: int, second: int) -> bool:
    if model.geom_type[first] in GROUNDS and model.geom_type[second] in GROUNDS:
        return False
    kinds, wanted = model.geom_contype, model.geom_conaffinity
    return bool((kinds[first] & wanted[second]) | (kinds[second] & wanted[first]))


def _joined(model: mujoco.MjModel, first: int, second: int) -> bool:
    """Tell whether two geoms move together, or on bodies of which one carries the other."""
    one, other = model.body_weldid[model.geom_bodyid[[first, second]]]
    if one == other:
        return True
    if model.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_FILTERPARENT):
        return False
    above = model.body_weldid[model.body_parentid[[one, other]]]
    return bool(one and other and (one == above[1] or other == above[0]))
