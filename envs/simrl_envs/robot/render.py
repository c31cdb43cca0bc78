"""Draw a simulation with MuJoCo's own renderer, without a display where there is none.

OpenGL is looked for when the first picture is wanted: EGL, then OSMesa, unless MUJOCO_GL says
which.  Reflections are left out, since software rendering pays for them; there is a sky only where
a model brings one, since infinite ground in haze needs none.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import sys
from collections import OrderedDict
from typing import Any

import numpy as np

from simrl_envs.robot.scenery import CAMERA

SIZE = (640, 480)
"""Width and height of a picture [pixels]."""
MAX_SHADOWS = 2048
"""Side of the map that shadows are looked up in, at most [texels]."""
MAX_RENDERERS = 4
"""Models for which a renderer is kept."""
PACKAGES = "EGL (Debian: libegl1, libgl1-mesa-dri) or OSMesa (Debian: libosmesa6)"

_renderers: OrderedDict[tuple[str, tuple[int, int]], Any] = OrderedDict()


def draw(
    model: Any,
    data: Any,
    *,
    size: tuple[int, int] = SIZE,
    camera: str | int | None = None,
    shadows: bool = True,
    path: np.ndarray | None = None,
) -> np.ndarray:
    """Draw one simulation as `(height, width, 3)` uint8.

    Args:
        model: `mujoco.MjModel`.
        data: `mujoco.MjData`, forward kinematics done.
        size: Width and height [pixels].
        camera: Name or number of a camera; default: the one named "follow", else the first one,
            else a free camera that sees the whole model.
        path: Places `[H, 3]` [m] that are marked: where a reference is, and where it leads.
        shadows: Whether things cast shadows, which costs about a third of the time.

    Raises:
        ValueError: If there is no OpenGL; it names the Debian packages.
    """
    import mujoco

    renderer = _renderer_for(model, size)
    seen_from = _camera(model, camera)
    # Infinite ground lies around where the camera was before: a robot may start again far away.
    renderer.update_scene(data, camera=seen_from)
    renderer.update_scene(data, camera=seen_from)
    if path is not None:
        _mark(renderer.scene, path)
    flags = renderer.scene.flags
    flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
    flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
    flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = _has_sky(model)
    flags[mujoco.mjtRndFlag.mjRND_HAZE] = True
    picture: np.ndarray = renderer.render().copy()
    return picture


def _has_sky(model: Any) -> bool:
    import mujoco

    return bool((model.tex_type == int(mujoco.mjtTexture.mjTEXTURE_SKYBOX)).any())


def _mark(scene: Any, path: np.ndarray) -> None:
    """Put a ball where the reference is and dots along its way."""
    import mujoco

    still = len(path) < 2 or float(np.ptp(path, axis=0).max()) < 1e-6
    for index, place in enumerate(path[:1] if still else path):
        if scene.ngeom >= scene.maxgeom:
            return
        mujoco.mjv_initGeom(
            scene.geoms[scene.ngeom],
            mujoco.mjtGeom.mjGEOM_SPHERE,
            np.full(3, 0.005 if index else 0.018),
            np.asarray(place, np.float64),
            np.eye(3).ravel(),
            np.array([0.1, 0.8, 0.45, 0.8 * (1.0 - index / len(path))], np.float32),
        )
        scene.ngeom += 1


def choose_gl() -> str:
    """Let MuJoCo draw with the first OpenGL that is here, unless MUJOCO_GL says which.

    Returns its name: "egl", "osmesa" or what MUJOCO_GL says.

    Raises:
        ValueError: If neither EGL nor OSMesa is on this machine; it names the Debian packages.
    """
    if "MUJOCO_GL" in os.environ or not sys.platform.startswith("linux"):
        return os.environ.get("MUJOCO_GL", "")
    failures = []
    for name, library in (("egl", "libEGL.so.1"), ("osmesa", "libOSMesa.so.8")):
        try:
            ctypes.CDLL(library)
            # MuJoCo chose when it was imported, most likely a window that cannot open here.
            contexts = importlib.import_module("mujoco.rendering.classic.gl_context")
            contexts.GLContext = importlib.import_module(f"mujoco.{name}").GLContext  # type: ignore[attr-defined]
        except (ImportError, AttributeError, RuntimeError, OSError) as error:
            os.environ.pop("PYOPENGL_PLATFORM", None)
            failures.append(f"{name}: {error}")
        else:
            os.environ["MUJOCO_GL"] = name
            return name
    raise ValueError(f"drawing needs {PACKAGES}; {'; '.join(failures)}")


def _camera(model: Any, wanted: str | int | None) -> Any:
    import mujoco

    names = [model.camera(index).name for index in range(model.ncam)]
    if isinstance(wanted, str) and wanted not in names:
        raise ValueError(f"unknown camera {wanted!r}; the cameras are {', '.join(names) or 'none'}")
    if wanted is not None:
        return wanted
    if CAMERA in names:
        return CAMERA
    if names:
        return 0
    free = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, free)
    return free


def _renderer_for(model: Any, size: tuple[int, int]) -> Any:
    """Return a renderer for models that look alike; the ones used least lately are closed."""
    key = (_looks(model), size)
    if key in _renderers:
        _renderers.move_to_end(key)
        return _renderers[key]
    while len(_renderers) >= MAX_RENDERERS:
        _renderers.popitem(last=False)[1].close()
    _renderers[key] = _open(model, size)
    return _renderers[key]


def _looks(model: Any) -> str:
    """Return what two models share if one can be drawn with the other's renderer."""
    digest = hashlib.sha256()
    fields = ("geom_type", "geom_dataid", "geom_matid", "geom_size", "geom_rgba", "mat_rgba")
    for name in (*fields, "mesh_vertadr", "hfield_data", "cam_bodyid", "light_dir"):
        digest.update(np.ascontiguousarray(getattr(model, name)).tobytes())
    digest.update(model.names)
    return digest.hexdigest()


def _open(model: Any, size: tuple[int, int]) -> Any:
    chosen = choose_gl()
    try:
        import mujoco

        width, height = size
        model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
        model.vis.global_.offheight = max(height, model.vis.global_.offheight)
        # The map of shadows is filled for every picture: half of the time on a processor at 4096.
        model.vis.quality.shadowsize = min(MAX_SHADOWS, model.vis.quality.shadowsize)
        return mujoco.Renderer(model, height=height, width=width)
    except (ImportError, AttributeError, RuntimeError, OSError) as error:
        raise ValueError(
            f"OpenGL ({chosen or 'the default of the system'}) does not work here: {error}; "
            f"install {PACKAGES}"
        ) from error
