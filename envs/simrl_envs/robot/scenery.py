"""Dress a model for its scene: ground flat or rough, light, sky, and a camera that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

GROUND = "ground"
"""Name of the ground's plane."""
MATERIAL = "ground_checker"
"""Name of the ground's material and texture."""
TERRAIN = "terrain"
"""Name of the height field, its geom and its asset."""
CAMERA = "follow"
"""Name of the camera that pictures are taken with."""
CELL = 0.1
"""Distance of two heights of the field [m]."""
HALF_WIDTH = 12.8
"""Half the side of the square height field [m]; beyond it the ground is flat."""


@dataclass(frozen=True)
class Scenery:
    """Choose the ground."""

    terrain_height: float = 0.0
    """Height between the lowest and highest point of a random height field [m]; 0 is flat."""
    terrain_seed: int = 0
    """Seed of the height field."""


def add_scenery(spec: Any, scenery: Scenery, *, follow: str = "", size: float = 0.6) -> None:
    """Add ground, light and camera to a model.

    Args:
        spec: `mujoco.MjSpec`, changed in place.  Planes and height fields that lie in its world
            already are its own ground, and replaced only by rough terrain.
        scenery: The ground.
        follow: Body that the camera follows; "" looks at the origin.
        size: Size of what is to be seen [m].
    """
    import mujoco

    geom = mujoco.mjtGeom
    own = [g for g in spec.worldbody.geoms if g.type in (geom.mjGEOM_PLANE, geom.mjGEOM_HFIELD)]
    rough = scenery.terrain_height > 0
    if rough:
        for ground in own:
            spec.delete(ground)
        _add_terrain(spec, scenery)
    if rough or not own:
        _add_material(spec)
        # The feet's friction shall count, and MuJoCo takes the larger one of a pair.
        spec.worldbody.add_geom(
            name=GROUND,
            type=geom.mjGEOM_PLANE,
            size=[0, 0, 0.05],
            material=MATERIAL,
            condim=3,
            friction=[0.4, 0.005, 0.0001],
            conaffinity=1,
        )
    _add_light(spec, follow, size)
    _add_camera(spec, follow, size)
    head = spec.visual.headlight
    head.ambient, head.diffuse, head.specular = [0.38] * 3, [0.35] * 3, [0.05] * 3
    spec.visual.map.znear, spec.visual.map.zfar = 0.01, 60.0
    spec.visual.global_.offwidth, spec.visual.global_.offheight = 1280, 960
    spec.visual.quality.shadowsize = 2048
    spec.visual.rgba.haze = [0.55, 0.62, 0.7, 1]


def terrain_heights(scenery: Scenery) -> np.ndarray:
    """Return the heights of the field `[cells, cells]` [m], 0 at its border.

    Waves of many lengths are summed (the heights of a longer wave are larger), so that there are
    slopes of metres and bumps of a foot's size.  The first axis is y, as in MuJoCo.
    """
    count = 2 * round(HALF_WIDTH / CELL) + 1
    rng = np.random.Generator(np.random.PCG64(scenery.terrain_seed))
    spectrum = np.fft.rfft2(rng.standard_normal((count, count)))
    frequency = np.hypot(np.fft.fftfreq(count, CELL)[:, None], np.fft.rfftfreq(count, CELL)[None])
    spectrum *= np.where((frequency > 0.15) & (frequency < 2.5), 1.0 / (frequency + 1e-9), 0.0)
    field = np.fft.irfft2(spectrum, s=(count, count))
    field = (field - field.min()) / np.ptp(field)
    edge = np.minimum(np.arange(count), np.arange(count)[::-1]) * CELL
    fade = np.clip(edge / 1.0, 0.0, 1.0)
    heights: np.ndarray = field * np.minimum(fade[:, None], fade[None]) * scenery.terrain_height
    return heights


def _add_terrain(spec: Any, scenery: Scenery) -> None:
    import mujoco

    heights = terrain_heights(scenery)
    spec.add_hfield(
        name=TERRAIN,
        nrow=heights.shape[0],
        ncol=heights.shape[1],
        size=[HALF_WIDTH, HALF_WIDTH, float(scenery.terrain_height), 0.1],
        userdata=(heights / scenery.terrain_height).ravel().tolist(),
    )
    _add_material(spec)
    spec.worldbody.add_geom(
        name=TERRAIN,
        type=mujoco.mjtGeom.mjGEOM_HFIELD,
        hfieldname=TERRAIN,
        material=MATERIAL,
        condim=3,
        friction=[0.4, 0.005, 0.0001],
        conaffinity=1,
    )


def _add_material(spec: Any) -> None:
    import mujoco

    if spec.material(MATERIAL) is not None:
        return
    spec.add_texture(
        name=MATERIAL,
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE,
        rgb1=[0.30, 0.36, 0.43],
        rgb2=[0.35, 0.41, 0.48],
        markrgb=[0.45, 0.51, 0.58],
        width=256,
        height=256,
    )
    material = spec.add_material(name=MATERIAL, texuniform=True, texrepeat=[2, 2], reflectance=0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = MATERIAL


def _add_light(spec: Any, follow: str, size: float) -> None:
    """Add a sun that moves along, since shadows are sharp only near its axis."""
    import mujoco

    for light in list(spec.lights):
        spec.delete(light)
    body = spec.body(follow) if follow else spec.worldbody
    body.add_light(
        name="sun",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        mode=_mode(follow),
        pos=[1.05 * size, -0.9 * size, 3.0 * size],
        dir=[-0.35, 0.3, -1],
        diffuse=[0.75, 0.74, 0.7],
        specular=[0.2, 0.2, 0.2],
        castshadow=True,
    )
    # The shadow's picture spans shadowclip times the extent to each side.
    spec.stat.extent = 2.0 * size
    spec.visual.map.shadowclip = 1.6


def _add_camera(spec: Any, follow: str, size: float) -> None:
    import mujoco

    body = spec.body(follow) if follow else spec.worldbody
    centre = np.array([0.0, 0.0, -0.12 if follow else 0.5]) * size
    offset = np.array([1.35, -2.2, 0.95]) * size
    back = offset / np.linalg.norm(offset)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    camera = body.add_camera(name=CAMERA, pos=centre + offset, fovy=35, mode=_mode(follow))
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    camera.alt.xyaxes = [*right, *up]


def _mode(follow: str) -> Any:
    """Move along with the body, but do not turn with it."""
    import mujoco

    modes = mujoco.mjtCamLight
    return modes.mjCAMLIGHT_TRACK if follow else modes.mjCAMLIGHT_FIXED
