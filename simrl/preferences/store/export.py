"""Write answers with where they come from to JSON lines or Parquet, one row an answer.

Both load with Hugging Face's `datasets.load_dataset("json" | "parquet", data_files=...)`, and both
come back in by `simrl.preferences.store.importing`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from simrl.core.files import write_atomic
from simrl.preferences.store import schema
from simrl.preferences.store.label_store import LabelStore
from simrl.preferences.store.questions import from_row

FORMATS = (".jsonl", ".parquet")

COLUMNS = {
    "store": "string",
    "question": "int64",
    "kind": "string",
    "clips": "strings",
    "prompt": "string",
    "settings": "json",
    "overlap": "int64",
    "batch": "string",
    "priority": "float64",
    "gold": "json",
    "repeat_of": "int64",
    "attention": "bool",
    "state": "string",
    "asked": "float64",
    "env": "string",
    "policies": "lists of strings",
    "seeds": "int64s",
    "snapshots": "strings",
    "config_hashes": "strings",
    "episodes": "strings",
    "provenance": "json",
    "annotator": "string",
    "value": "json",
    "choice": "string",
    "rating": "int64",
    "thumb_up": "bool",
    "text": "string",
    "seconds": "float64",
    "swapped": "bool",
    "change": "int64",
    "answered": "float64",
    "answered_at": "string",
}
"""The columns and their types; `json` is a text that holds JSON.

`store` and `question` name the question; `asked` and `answered` are seconds since 1970, and
`answered_at` is the latter as ISO 8601 in UTC.  Of provenance, policies, seeds, snapshots (ids of
the clips that hold them), config_hashes and episodes are lists with one entry a clip, in the order
of `clips`.  `annotator` is a pseudonym.
"""


def export_answers(store: LabelStore, path: str | Path, *, unanswered: bool = False) -> int:
    """Write all answers that stand to a file, at once, and return the number of rows.

    Args:
        store: The store; it may be in use meanwhile, the file holds one moment of it.
        path: The file; its ending, `.jsonl` or `.parquet`, says the format.
        unanswered: Write questions without an answer too, as rows whose `annotator` is null.

    Raises:
        ValueError: Another ending, or pyarrow is missing.
    """
    path = Path(path)
    suffix = check_format(path)
    rows = export_rows(store, unanswered=unanswered)
    if suffix == ".jsonl":
        lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
        write_atomic(path, "".join(lines))
    else:
        write_atomic(path, _parquet(rows))
    return len(rows)


def export_rows(store: LabelStore, *, unanswered: bool = False) -> list[dict[str, Any]]:
    """Return the rows of an export, each with the keys `COLUMNS`."""
    questions, answers, users = schema.questions, schema.answers, schema.users
    wanted = (
        select(answers, users.c.pseudonym)
        .join(users, users.c.id == answers.c.annotator_id)
        .where(~answers.c.withdrawn)
        .order_by(answers.c.question_id, answers.c.change)
    )
    own = store.uuid
    with store.database.read() as connection:
        answered: dict[int, list[Row[Any]]] = {}
        for row in connection.execute(wanted):
            answered.setdefault(row.question_id, []).append(row)
        asked = list(connection.execute(select(questions).order_by(questions.c.id)))
    origins = {row.id: _origin(own, row) for row in asked}
    rows = []
    for row in asked:
        given: Iterable[Row[Any] | None] = answered.get(row.id, [None] if unanswered else [])
        shared = _question_columns(row, origins)
        rows += [{**shared, **_answer_columns(row.kind, answer)} for answer in given]
    return rows


def check_format(path: Path) -> str:
    """Return the ending that says a file's format; ValueError names the valid ones."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"unknown format {path.name!r}; files end in {' or '.join(FORMATS)}")
    return suffix


def _origin(own: str, row: Row[Any]) -> tuple[str, int]:
    """Return the store and number that a question was first asked under."""
    if row.origin is None:
        return own, row.id
    store, _, number = row.origin.partition(":")
    return store, int(number)


def _question_columns(row: Row[Any], origins: dict[int, tuple[str, int]]) -> dict[str, Any]:
    question = from_row(row)
    store, number = origins[row.id]
    return {
        "store": store,
        "question": number,
        "kind": question.kind,
        "clips": list(question.clips),
        "prompt": question.prompt,
        "settings": _json(question.settings),
        "overlap": question.overlap,
        "batch": question.batch,
        "priority": question.priority,
        "gold": _json(question.gold),
        "repeat_of": None if question.repeat_of is None else origins[question.repeat_of][1],
        "attention": question.attention,
        "state": question.state,
        "asked": question.created,
        **_provenance_columns(question.provenance, len(question.clips)),
        "provenance": _json(question.provenance),
    }


def _provenance_columns(provenance: Any, num_clips: int) -> dict[str, Any]:
    """Spread what `clip_provenance` made; what is not there is empty."""
    rows = provenance.get("clips")
    if not isinstance(rows, list) or len(rows) != num_clips:
        rows = [{}] * num_clips
    rows = [row if isinstance(row, dict) else {} for row in rows]

    def texts(name: str) -> list[str]:
        return [str(row.get(name, "")) for row in rows]

    seeds = [row.get("seed") for row in rows]
    policies = [row.get("policies") for row in rows]
    return {
        "env": next((name for name in texts("env") if name), ""),
        "policies": [
            [str(name) for name in names] if isinstance(names, list) else [] for names in policies
        ],
        "seeds": [seed if isinstance(seed, int) and seed < 2**63 else None for seed in seeds],
        "snapshots": texts("snapshot"),
        "config_hashes": texts("config_hash"),
        "episodes": texts("episode"),
    }


def _answer_columns(kind: str, answer: Row[Any] | None) -> dict[str, Any]:
    value = {} if answer is None else answer.value
    return {
        "annotator": answer and answer.pseudonym,
        "value": answer and _json(value),
        "choice": value.get("choice") if kind == "compare" else None,
        "rating": value.get("rating") if kind == "rate" else None,
        "thumb_up": value.get("up") if kind == "thumbs" else None,
        "text": value.get("text") if kind == "text" else None,
        "seconds": answer and answer.seconds,
        "swapped": answer and answer.swapped,
        "change": answer and answer.change,
        "answered": answer and answer.created,
        "answered_at": answer and datetime.fromtimestamp(answer.created, UTC).isoformat(),
    }


def _json(value: Any) -> str | None:
    if value is None:
        return None
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True)


def _parquet(rows: list[dict[str, Any]]) -> bytes:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ValueError("Parquet needs pyarrow: pip install 'simrl[label]'") from error
    types = {
        "string": pa.string(),
        "json": pa.string(),
        "strings": pa.list_(pa.string()),
        "lists of strings": pa.list_(pa.list_(pa.string())),
        "int64": pa.int64(),
        "int64s": pa.list_(pa.int64()),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }
    layout = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=layout), content, compression="zstd")
    return content.getvalue()
