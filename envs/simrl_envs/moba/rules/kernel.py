"""The one decorator of every rules kernel.

Numba's cache watches the file of a kernel, not those of the kernels that it calls: after editing a
callee, delete the `__pycache__` folders of this package.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

_JIT: Final = njit(cache=True, nogil=True, error_model="numpy")


def kernel(function: _Function) -> _Function:
    """Compile a function: cached on disk, without the interpreter's lock, IEEE division."""
    compiled: _Function = _JIT(function)
    return compiled
