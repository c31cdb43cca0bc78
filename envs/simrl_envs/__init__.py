"""The environments that ship with simrl: one folder for each family."""

from pathlib import Path

from simrl.core.kernel_cache import drop_stale

for _family in ("moba", "robot", "toy", "vehicle"):  # none calls a kernel of another
    drop_stale(Path(__file__).parent / _family)
