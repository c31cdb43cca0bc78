"""Write named arrays to one file in one step."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simrl.core.files import write_atomic


def write_npz(path: Path | str, arrays: Mapping[str, np.ndarray]) -> None:
    """Replace `path` by an npz file of `arrays`, atomically and without pickles."""
    content = io.BytesIO()
    named: dict[str, Any] = dict(arrays)
    np.savez(content, allow_pickle=False, **named)
    write_atomic(path, content.getvalue())
