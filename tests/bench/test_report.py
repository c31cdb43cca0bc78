"""The shared printer of the benchmark scripts: one JSON object for programs, a table for people."""

import json
import runpy
from pathlib import Path

import pytest

REPORT = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "bench" / "report.py"))


def test_json_is_one_object_with_three_parts(capsys):
    REPORT["report"]({"ratio": 3, "train_s": 9.5}, json_flag=True, title="a race")
    printed = json.loads(capsys.readouterr().out)
    assert sorted(printed) == ["figures", "machine", "versions"]
    assert printed["figures"] == {"ratio": 3.0, "train_s": 9.5}
    assert printed["machine"]["cores"] >= 1
    assert {"python", "simrl", "torch", "numpy", "numba"} <= set(printed["versions"])


def test_table_shows_title_figures_and_notes(capsys):
    figures = {"steps_per_s": 1_234_567.8, "share": 0.98765}
    REPORT["report"](figures, json_flag=False, title="a race", notes={"share": "bar: 0.9"})
    printed = capsys.readouterr().out
    # 1,234,567.8 rounds to no decimals; 0.98765 to four digits, 0.9877 (half up at 5).
    for text in ("a race", "steps_per_s", "1,234,568", "0.9877", "bar: 0.9"):
        assert text in printed


def test_note_for_a_figure_that_is_not_there_names_it():
    with pytest.raises(ValueError, match="rattio"):
        REPORT["report"]({"ratio": 3}, json_flag=True, title="a race", notes={"rattio": "typo"})


def test_versions_leave_out_what_is_not_installed():
    versions = REPORT["package_versions"](["torch", "no-such-distribution"])
    assert versions["torch"].startswith("2.13.0")
    assert "no-such-distribution" not in versions
