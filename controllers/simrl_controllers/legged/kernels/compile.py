"""Compile the kernels of the legged stack all in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function of arrays: cached, without the interpreter's lock."""
    return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
