"""Exports: what they say, that they load elsewhere, and that they come back whole."""

import json

import pyarrow.parquet as pq
import pytest

from simrl.preferences.store import LabelStore, NewQuestion, clip_provenance
from simrl.preferences.store.export import COLUMNS, export_answers, export_rows
from simrl.preferences.store.importing import Imported, import_answers, import_rows

CLIPS = ("a" * 16, "b" * 16)
META = {
    "env": "moba-1v1",
    "policies": ["runs/a", "bot:lane"],
    "seed": 7,
    "config_hash": "c0ffee",
    "episode": "e1",
}


@pytest.fixture
def filled(store, people, clock):
    """A store with answers of every kind, a revision, an answer taken back, and open questions."""
    provenance = clip_provenance([{**META, "id": CLIPS[0]}, {**META, "id": CLIPS[1], "seed": 8}])
    (original,) = store.add_questions(
        [NewQuestion(kind="compare", clips=CLIPS, overlap=2, batch="b", provenance=provenance)]
    )
    store.add_questions(
        [
            NewQuestion(kind="compare", clips=CLIPS, repeat_of=original),
            NewQuestion(kind="rate", clips=CLIPS[:1], settings={"low": 1, "high": 7}, prompt="ü"),
            NewQuestion(kind="thumbs", clips=CLIPS[:1], gold={"up": True}, overlap=3),
            NewQuestion(kind="text", clips=()),
            NewQuestion(kind="moment", clips=CLIPS[:1], priority=-1),
            NewQuestion(kind="live", clips=(), priority=-2),
            NewQuestion(kind="correct", clips=CLIPS[:1], priority=-3),
            NewQuestion(kind="text", clips=(), prompt="never asked", priority=-4),
        ]
    )
    values = {
        "compare": {"choice": "second"},
        "rate": {"rating": 6},
        "thumbs": {"up": True},
        "text": {"text": 'line\nbreak, "quotes", \u2028, 👍'},
        "moment": {"step": 3, "clip": CLIPS[0], "note": "here"},
        "live": {"events": [[0.25, 1], [1.5, -0.5]], "clip": "c" * 16},
        "correct": {"clip": CLIPS[0], "step": 2, "demonstration": "d" * 16},
    }
    for number in range(8):
        clock.now += 1.5
        lease = store.lease(people[0])
        store.answer(people[0], lease, f"k{number}", values[lease.question.kind], seconds=number)
    store.answer(people[1], store.lease(people[1]), "k", {"choice": "tie"}, seconds=2)
    store.answer(people[1], store.lease(people[1]), "gone", {"up": False}, seconds=2)
    store.undo(people[1])
    store.revise(people[1], original, "r", {"choice": "first"})
    return store


def summary(rows):
    """Rows without what belongs to one store: the numbers of its changes."""
    return [{key: value for key, value in row.items() if key != "change"} for row in rows]


def test_rows_say_what_was_asked_and_answered_and_where_it_comes_from(filled, people):
    rows = export_rows(filled)
    assert all(list(row) == list(COLUMNS) for row in rows)
    assert len(rows) == 9
    first = rows[0]
    assert (first["choice"], first["kind"], first["clips"]) == ("second", "compare", list(CLIPS))
    assert (first["seeds"], first["snapshots"]) == ([7, 8], list(CLIPS))
    assert first["policies"] == [["runs/a", "bot:lane"]] * 2
    assert (first["env"], first["config_hashes"]) == ("moba-1v1", ["c0ffee"] * 2)
    assert (first["annotator"], first["batch"]) == (filled.user(people[0]).pseudonym, "b")
    assert first["answered_at"] == "1970-01-12T13:46:41.500000+00:00"  # 1,000,001.5 s
    assert rows[1]["choice"] == "first"  # revised
    text = json.dumps(rows)
    assert not any(f'"{name}"' in text for name in ("ann", "ben", "cat"))


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_export_and_import_bring_everything_back(filled, tmp_path, ending):
    file = tmp_path / f"labels.{ending}"
    assert export_answers(filled, file, unanswered=True) == 10
    with LabelStore.open(tmp_path / "other.db", clock=filled.clock) as other:
        assert import_answers(other, file) == Imported(questions=9, answers=9, known=0)
        wanted = export_rows(filled, unanswered=True)
        assert summary(export_rows(other, unanswered=True)) == summary(wanted)
        # Reading it again, or what the other store writes of it, adds nothing anywhere.
        assert import_answers(other, file) == Imported(0, 0, 9)
        export_answers(other, tmp_path / f"again.{ending}", unanswered=True)
        assert import_answers(filled, tmp_path / f"again.{ending}") == Imported(0, 0, 9)
        assert [e.action for e in other.history()] == ["import"] * 9


def test_both_formats_hold_the_same(filled, tmp_path):
    export_answers(filled, tmp_path / "x.jsonl")
    export_answers(filled, tmp_path / "x.parquet")
    lines = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().split("\n")[:-1]]
    assert pq.read_table(tmp_path / "x.parquet").to_pylist() == lines
    assert lines == export_rows(filled)


@pytest.mark.parametrize(("ending", "builder"), [("jsonl", "json"), ("parquet", "parquet")])
def test_hugging_face_datasets_load_it(filled, tmp_path, ending, builder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    import datasets

    export_answers(filled, tmp_path / f"x.{ending}")
    loaded = datasets.load_dataset(
        builder,
        data_files=str(tmp_path / f"x.{ending}"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    rows = export_rows(filled)
    assert loaded.column_names == list(COLUMNS)
    for name in ("choice", "clips", "policies", "seeds", "value", "annotator", "seconds"):
        assert list(loaded[name]) == [row[name] for row in rows], name


def test_open_questions_come_back_open_for_as_many_people(filled, tmp_path):
    export_answers(filled, tmp_path / "x.jsonl", unanswered=True)
    with LabelStore.open(tmp_path / "other.db") as other:
        import_answers(other, tmp_path / "x.jsonl")
        states = [question.state for question in other.questions()]
        assert states == [question.state for question in filled.questions()]
        # The thumb wants three answers and has one; the last text has none.
        asked = []
        for name in ("dan", "eve", "fay"):
            person, shown = other.add_user(name, "long enough").id, []
            while lease := other.lease(person, exclude=shown):
                shown.append(lease.question.id)
                asked.append(lease.question.kind)
        assert sorted(asked) == ["text", "thumbs", "thumbs"]


def test_imported_people_keep_their_pseudonym_and_cannot_log_in(filled, tmp_path, people):
    export_answers(filled, tmp_path / "x.jsonl")
    with LabelStore.open(tmp_path / "other.db") as other:
        import_answers(other, tmp_path / "x.jsonl")
        pseudonyms = {answer.pseudonym for answer in other.answers(include_gold=True)}
        assert pseudonyms == {filled.user(person).pseudonym for person in people[:2]}
        assert other.users() == []
        other.add_user(next(iter(pseudonyms)), "long enough")  # no clash of names


def test_answers_for_open_questions_can_come_from_elsewhere(filled, tmp_path):
    """Two stores begin alike; what one collects completes the other."""
    export_answers(filled, tmp_path / "x.jsonl", unanswered=True)
    with LabelStore.open(tmp_path / "other.db") as other:
        import_answers(other, tmp_path / "x.jsonl")
        person = other.add_user("dan", "long enough").id
        lease = other.lease(person, kinds=["text"])
        other.answer(person, lease, "k", {"text": "from afar"}, seconds=1)
        export_answers(other, tmp_path / "back.jsonl")
    assert import_answers(filled, tmp_path / "back.jsonl") == Imported(0, 1, 9)
    texts = [answer.value["text"] for answer in filled.answers(kind="text")]
    assert texts[-1] == "from afar"
    assert filled.questions("text")[-1].state == "done"


def test_an_empty_store_exports_no_rows_and_parquet_keeps_its_columns(store, tmp_path):
    assert export_answers(store, tmp_path / "x.jsonl") == 0
    assert export_answers(store, tmp_path / "x.parquet") == 0
    assert (tmp_path / "x.jsonl").read_text() == ""
    assert pq.read_table(tmp_path / "x.parquet").column_names == list(COLUMNS)
    assert import_answers(store, tmp_path / "x.jsonl") == Imported(0, 0, 0)
    assert import_answers(store, tmp_path / "x.parquet") == Imported(0, 0, 0)


def test_a_failed_write_leaves_the_old_file(filled, tmp_path, monkeypatch):
    file = tmp_path / "x.parquet"
    file.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        export_answers(filled, file)
    assert file.read_text() == "old" and [p.name for p in tmp_path.glob("*x*")] == ["x.parquet"]


def test_rows_of_another_make_need_four_columns(store):
    rows = [
        {"kind": "compare", "clips": CLIPS, "annotator": name, "value": {"choice": choice}}
        for name, choice in (("x", "first"), ("y", "second"))
    ]
    assert import_rows(store, rows) == Imported(questions=1, answers=2, known=0)
    assert [a.value["choice"] for a in store.answers()] == ["first", "second"]
    assert import_rows(store, rows) == Imported(0, 0, 2)


def test_repeat_of_what_nobody_answered_still_only_measures_people(filled, tmp_path, people):
    while filled.undo(people[0]).answer.question != 1:
        pass
    filled.answer(
        people[0], filled.lease(people[0], exclude=[1]), "x", {"choice": "tie"}, seconds=1
    )
    filled.undo(people[1])
    rows = [row for row in export_rows(filled) if row["repeat_of"] is not None]
    assert len(rows) == 1 and all(row["question"] != 1 for row in export_rows(filled))
    with LabelStore.open(tmp_path / "other.db") as other:
        import_rows(other, export_rows(filled))
        assert other.answers() == [] and len(other.answers(include_gold=True)) == 1


def test_rows_may_come_in_any_order(filled, tmp_path):
    rows = export_rows(filled)
    with LabelStore.open(tmp_path / "other.db") as other:
        assert import_rows(other, rows[::-1]) == Imported(8, 9, 0)
        repeat = next(q for q in other.questions() if q.repeat_of is not None)
        assert other.question(repeat.repeat_of).batch == "b"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value": '{"choice": "left"}'}, "row 2: unknown choice"),
        ({"kind": "x"}, "row 2: unknown kind"),
        ({"clips": ["../x", "y"]}, "row 2: a clip's id"),
        ({"annotator": None}, "row 2: annotator and value"),
        ({"annotator": "x" * 81}, "row 2: annotator may have 80"),
        ({"value": "[]"}, "row 2: value must be a mapping"),
        ({"value": "{"}, "row 2: "),
        ({"state": "new"}, "row 2: unknown state"),
        ({"overlap": "many"}, "row 2: "),
    ],
)
def test_a_row_that_will_not_do_is_named_and_nothing_added(store, change, message):
    good = {
        "store": "s" * 32,
        "question": 1,
        "kind": "compare",
        "clips": list(CLIPS),
        "annotator": "x",
        "value": '{"choice": "first"}',
    }
    with pytest.raises(ValueError, match=message):
        import_rows(store, [good, {**good, "question": 2, **change}])
    assert store.questions() == [] and store.answers() == []


def test_files_that_cannot_be_read_are_refused(store, tmp_path):
    with pytest.raises(
        ValueError, match=r"unknown format 'x.csv'; files end in .jsonl or .parquet"
    ):
        export_answers(store, tmp_path / "x.csv")
    with pytest.raises(ValueError, match="cannot read"):
        import_answers(store, tmp_path / "absent.jsonl")
    (tmp_path / "x.jsonl").write_text("{}\n\nnonsense\n")
    with pytest.raises(ValueError, match="line 3 is no JSON"):
        import_answers(store, tmp_path / "x.jsonl")
    (tmp_path / "x.jsonl").write_bytes(b"\xff\xfe")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nonsense")
    for name in ("x.jsonl", "x.parquet"):
        with pytest.raises(ValueError, match="cannot read"):
            import_answers(store, tmp_path / name)
