"""Numba kernels of the real-time iteration: stage-wise quadratic programs and the SQP loop."""

from pathlib import Path

from simrl.core.kernel_cache import drop_stale

drop_stale(Path(__file__).parent)
