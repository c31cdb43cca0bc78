"""The controllers that ship with simrl: each one is a `simrl.core` policy."""

from pathlib import Path

from simrl.core.kernel_cache import drop_stale

_HERE = Path(__file__).parent
for _family in ("lqr", "mobile", "nonlinear", "qp", "wbc"):
    drop_stale(_HERE / _family)
drop_stale(_HERE / "legged", _HERE / "wbc")  # it calls kernels of whole-body control
