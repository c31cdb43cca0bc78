"""`simrl label stats`, `export` and `import`: what people said, and how good it is."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import parse
from simrl.cli.label_people import Db
from simrl.cli.label_place import open_store

if TYPE_CHECKING:
    from simrl.preferences.store import LabelStore, Progress
    from simrl.preferences.store.quality import Agreement, AnnotatorQuality, Share


@dataclass(frozen=True)
class StatsArguments:
    """Print how far labelling has come, how far people agree, and how reliable each of them is."""

    db: Db = "."
    json: bool = False
    """Print one JSON object instead of tables."""


@dataclass(frozen=True)
class ExportArguments:
    """Write every answer that stands, with where it comes from, one row an answer.

    Both formats load with `datasets.load_dataset("json" or "parquet", data_files=...)`.
    """

    file: Annotated[Path, tyro.conf.Positional]
    """File to write, .jsonl or .parquet."""
    db: Db = "."
    unanswered: bool = False
    """Write the questions that nobody has answered yet as well."""


@dataclass(frozen=True)
class ImportArguments:
    """Read an exported file in; what is known already is left as it is."""

    file: Annotated[Path, tyro.conf.Positional]
    """File to read, .jsonl or .parquet."""
    db: Db = "."


def stats(words: Sequence[str]) -> int:
    """Print progress and quality; return the exit code."""
    args = parse(StatsArguments, "simrl label stats", words)
    with open_store(args.db) as store:
        from simrl.preferences.store.quality import quality_report

        progress, report = store.progress(), quality_report(store)
        names = {user.pseudonym: user.name for user in store.users()}
        counts = _counts(store)
    if args.json:
        content = {
            "questions": counts,
            "progress": dataclasses.asdict(progress),
            "annotators": [_facts(person) for person in report.annotators],
            "agreement": [dataclasses.asdict(row) for row in report.agreement],
        }
        sys.stdout.write(json.dumps(_no_nan(content), indent=2) + "\n")
        return 0
    console = Console(emoji=False, highlight=False)
    console.print(_progress_table(progress, counts))
    if report.annotators:
        console.print(people_table(report.annotators, names))
    if any(row.questions for row in report.agreement):
        console.print(_agreement_table(report.agreement))
    return 0


def export(words: Sequence[str]) -> int:
    """Write the answers to a file; return the exit code."""
    args = parse(ExportArguments, "simrl label export", words)
    with open_store(args.db) as store:
        from simrl.preferences.store.export import export_answers

        rows = export_answers(store, args.file, unanswered=args.unanswered)
    _say(f"{args.file}: {rows} rows")
    return 0


def import_(words: Sequence[str]) -> int:
    """Read a file in; return the exit code."""
    args = parse(ImportArguments, "simrl label import", words)
    if not args.file.is_file():
        raise ValueError(f"{args.file} does not exist")
    with open_store(args.db, make=True) as store:
        from simrl.preferences.store.importing import import_answers

        new = import_answers(store, args.file)
    _say(f"{new.questions} questions and {new.answers} answers added, {new.known} known already")
    return 0


def people_table(people: Sequence[AnnotatorQuality], names: Mapping[str, str]) -> Table:
    """Lay out the figures of each person, small enough for a narrow terminal."""
    table = Table(title="People", title_justify="left", box=SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("", overflow="fold", min_width=9)
    columns = ("answers", "median\ntime", "agrees", "reli-\nability", "gold", "atten-\ntion")
    for column in (*columns, "consis-\ntent", "left\nside"):
        table.add_column(column, justify="right", no_wrap=True)
    table.caption = "in brackets: of how many"
    for person in people:
        table.add_row(
            names.get(person.pseudonym, person.pseudonym),
            str(person.answered),
            f"{person.median_seconds:.1f} s",
            _share(person.agreement),
            _percent(person.estimated_accuracy),
            _share(person.gold),
            _share(person.attention),
            _share(person.consistency),
            _share(person.left),
        )
    return table


def _progress_table(progress: Progress, counts: Mapping[str, Mapping[str, int]]) -> Table:
    left = progress.minutes_left
    pace = f"{progress.per_minute:.1f} a minute"
    table = Table(title=f"{progress.answered} answers, {pace}", title_justify="left")
    for column in ("questions", "all", "open", "done", "closed", "to measure people"):
        table.add_column(column, justify="left" if column == "questions" else "right")
    for kind, row in counts.items():
        table.add_row(kind, *(str(row[n]) for n in ("all", "open", "done", "closed", "quality")))
    table.caption = None if left is None else f"about {left:.0f} minutes to go at this pace"
    return table


def _counts(store: LabelStore) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for question in store.questions():
        row = counts.setdefault(
            question.kind, dict.fromkeys(("all", "open", "done", "closed", "quality"), 0)
        )
        row["all"] += 1
        row[question.state] += 1
        row["quality"] += question.for_quality
    return counts


def _agreement_table(rows: Sequence[Agreement]) -> Table:
    table = Table(title="Agreement", title_justify="left")
    table.add_column("kind")
    for column in ("shared questions", "Krippendorff's alpha", "Fleiss' kappa", "Cohen's kappa"):
        table.add_column(column, justify="right")
    for row in rows:
        if row.questions:
            figures = (row.krippendorff, row.fleiss, row.cohen)
            table.add_row(row.kind, str(row.questions), *(_figure(value) for value in figures))
    return table


def _facts(person: AnnotatorQuality) -> dict[str, Any]:
    """Return a person's figures for JSON; shares with their values."""
    facts = dataclasses.asdict(person)
    for name, value in facts.items():
        if isinstance(value, dict):
            value["value"] = getattr(person, name).value
    return facts | {"side_bias": person.side_bias, "side_bias_p": person.side_bias_p}


def _share(share: Share) -> str:
    return f"{_percent(share.value)} ({share.of})" if share.of else "-"


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %" if math.isfinite(value) else "-"


def _figure(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "-"


def _no_nan(value: Any) -> Any:
    """Put null for NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _no_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_no_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _say(text: str) -> None:
    Console(emoji=False, highlight=False, soft_wrap=True).print(text, markup=False)
