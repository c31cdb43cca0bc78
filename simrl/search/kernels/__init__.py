"""Compiled parts of tree search; importing one drops machine code of older sources first."""

from pathlib import Path

from simrl.core.kernel_cache import drop_stale

drop_stale(Path(__file__).parent)
