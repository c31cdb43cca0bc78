"""Where the commands about labels find the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from simrl.runs.labelling import URL_START, store_place

if TYPE_CHECKING:
    from simrl.preferences.store import LabelStore


def open_store(db: str, *, make: bool = False) -> LabelStore:
    """Open the store that `--db` names: a folder (its labels.db), a file, or postgresql://...

    ValueError if there is no such file, unless it may be made.
    """
    from simrl.preferences.store import LabelStore

    place = store_place(db)
    if not place.startswith(URL_START):
        path = Path(place)
        if not (make and path.parent.is_dir()) and not path.is_file():
            raise ValueError(
                f"there are no labels in {path}; name the folder of a run or of clips, a file or a "
                "postgresql:// URL with --db"
            )
    return LabelStore.open(place)
