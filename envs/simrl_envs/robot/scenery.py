"""Dress a model for its scene: its ground, light, sky, and a camera that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simrl_envs.robot import terrain
from simrl_envs.robot.terrain import TERRAINS, Terrain

GROUND = "ground"
"""Name of the ground's plane."""
MATERIAL = "ground_checker"
"""Name of the ground's material and texture."""
TERRAIN = "terrain"
"""Name of the height field, its geom and its asset."""
CAMERA = "follow"
"""Name of the camera that pictures are taken with."""

SUNK = 0.005
"""How far the plane lies below a field whose middle is flat [m], so that feet touch only one."""


@dataclass(frozen=True)
class Scenery:
    """Choose the ground."""

    terrain_height: float = 0.0
    """Height between the lowest and highest point of rough ground [m]; 0 is flat."""
    terrain_seed: int = 0
    """Seed of rough ground and of steps."""
    terrain: Terrain = "rough"
    """Kind of ground; see `simrl_envs.robot.terrain`."""
    terrain_slope: float = 0.2
    """Angle of slopes [rad]."""
    stair_height: float = 0.05
    """Height of each stair, and of the highest of the steps [m]."""
    stair_depth: float = 0.3
    """Depth of each stair, and side of each step [m]."""
    levels: int = 0
    """Patches of rough ground, each rougher than the one before; 0: all of it is alike."""

    @property
    def flat(self) -> bool:
        """Whether the ground is a plane."""
        return self.terrain == "flat" or (self.terrain == "rough" and not self.terrain_height > 0)


def add_scenery(spec: Any, scenery: Scenery, *, follow: str = "", size: float = 0.6) -> None:
    """Add ground, light and camera to a model.

    Args:
        spec: `mujoco.MjSpec`, changed in place.  Planes and height fields that lie in its world
            already are its own ground, and replaced only where it shall not be flat.
        scenery: The ground.
        follow: Body that the camera follows; "" looks at the origin.
        size: Size of what is to be seen [m].
    """
    import mujoco

    geom = mujoco.mjtGeom
    own = [g for g in spec.worldbody.geoms if g.type in (geom.mjGEOM_PLANE, geom.mjGEOM_HFIELD)]
    if not scenery.flat:
        for ground in own:
            spec.delete(ground)
        _add_terrain(spec, scenery)
    if not (scenery.flat and own):
        _add_material(spec)
        # The feet's friction shall count, and MuJoCo takes the larger one of a pair.
        spec.worldbody.add_geom(
            name=GROUND,
            type=geom.mjGEOM_PLANE,
            pos=[0, 0, -SUNK if scenery.terrain not in ("flat", "rough") else 0],
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
    """Return the heights of the field [m], 0 at its border, y first."""
    if scenery.terrain == "rough" and scenery.levels:
        return terrain.rough_levels(scenery.terrain_height, scenery.terrain_seed, scenery.levels)
    if scenery.terrain == "rough":
        return terrain.rough(scenery.terrain_height, scenery.terrain_seed)
    if scenery.terrain == "slope":
        return terrain.slope(scenery.terrain_slope)
    if scenery.terrain == "stairs":
        return terrain.stairs(scenery.stair_height, scenery.stair_depth)
    if scenery.terrain == "steps":
        return terrain.steps(scenery.stair_height, scenery.stair_depth, scenery.terrain_seed)
    raise ValueError(f"terrain is {scenery.terrain!r}; it is one of {', '.join(TERRAINS)}")


def _add_terrain(spec: Any, scenery: Scenery) -> None:
    import mujoco

    heights = terrain_heights(scenery)
    stepped = scenery.terrain in ("stairs", "steps")
    half = terrain.STEP_HALF_WIDTH if stepped else terrain.HALF_WIDTH
    # MuJoCo stretches what it is given to its full range, so the range must be the true one.
    alike = scenery.terrain == "rough" and not scenery.levels
    top = scenery.terrain_height if alike else float(heights.max())
    spec.add_hfield(
        name=TERRAIN,
        nrow=heights.shape[0],
        ncol=heights.shape[1],
        size=[half * max(scenery.levels, 1), half, float(top), 0.1],
        userdata=(heights / top).ravel().tolist(),
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
