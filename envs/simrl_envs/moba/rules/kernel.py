"""The one decorator of every rules kernel.

Numba's cache watches the file of a kernel, not those of the kernels that it calls: after editing a
callee, delete the `__pycache__` folders of this package.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numpy as np
from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

_JIT: Final = njit(cache=True, nogil=True, error_model="numpy")


def kernel(function: _Function) -> _Function:
    """Compile a function: cached on disk, without the interpreter's lock, IEEE division."""
    return cast(_Function, _JIT(function))


@kernel
def whole(value: Any) -> int:
    """Widen an integer field to int64: a kernel is compiled once for each type that it is given."""
    return np.int64(value)  # type: ignore[return-value]


@kernel
def real(value: Any) -> float:
    """Widen a float field to float64, as `whole` does integers."""
    return np.float64(value)
