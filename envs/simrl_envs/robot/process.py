"""What is set once in a process: MuJoCo reads no clock while it steps, and logs its warnings."""

from __future__ import annotations

import ctypes
import functools
import logging
from pathlib import Path

import mujoco

logger = logging.getLogger("mujoco")


@functools.cache
def prepare_mujoco() -> None:
    """Stop MuJoCo's profiling, and send its warnings to the logger "mujoco" at level DEBUG.

    The environments report diverged simulations themselves, with their rows; MuJoCo would write a
    line to the terminal and into MUJOCO_LOG.TXT for each.  A handler that is set already stays.
    """
    stop_profiling()
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(logger.debug)


def stop_profiling() -> None:
    """Let MuJoCo read no clock while it steps; `MjData.timer` then stays 0 in this process.

    The clock takes a fifth of the time of small models.  The Python package installs a C function
    as `mjcb_time`, called some thirty times in a step, and `set_mjcb_time(None)` leaves it there.
    """
    for library in sorted(Path(mujoco.__file__).parent.glob("libmujoco.*")):
        try:
            ctypes.c_void_p.in_dll(ctypes.CDLL(str(library)), "mjcb_time").value = None
        except (OSError, ValueError):
            continue
