"""Drop compiled kernels that belong to other sources.

Numba caches a compiled kernel beside its file and watches that file alone: after an edit of a
function that the kernel calls, the old machine code would run on.  So a package of kernels calls
`drop_stale` before it imports them.
"""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

STAMP = "kernels.sha256"


def drop_stale(package: Path, *others: Path) -> bool:
    """Delete the cached kernels below `package` if any source there changed; return whether.

    others: Folders whose kernels those of `package` call; their sources count too.

    Where the folder cannot be written, Numba keeps its cache elsewhere and nothing is done.
    """
    digest = hashlib.sha256()
    for folder in (package, *others):
        for source in sorted(folder.rglob("*.py")):
            digest.update(source.relative_to(folder).as_posix().encode())
            digest.update(source.read_bytes())
    stamp = package / "__pycache__" / STAMP
    if stamp.is_file() and stamp.read_text() == digest.hexdigest():
        return False
    try:
        for pattern in ("*.nbi", "*.nbc"):
            for cached in package.rglob(f"__pycache__/{pattern}"):
                # Another process may be first.
                with contextlib.suppress(FileNotFoundError):
                    cached.unlink()
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest.hexdigest())
    except OSError:
        return False
    return True
