"""Compiled parts of the legged stack: equations of motion, gait, footholds, swing, tasks."""

from pathlib import Path

from simrl.core.kernel_cache import drop_stale

drop_stale(Path(__file__).parent)
