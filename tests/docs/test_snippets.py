"""Every python block of the guides runs as pasted."""

import re
import runpy
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
NOT_RUN = "<!-- not run -->"
BLOCK = re.compile(r"(?P<mark>[^\n]*)\n+```python\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)


def snippets(text: str) -> list[tuple[int, str]]:
    """Return (line, code) of each python block that is not marked as one to leave out."""
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"])
        for match in BLOCK.finditer("\n" + text)
        if match["mark"].strip() != NOT_RUN
    ]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CASES = [
    pytest.param(code, id=f"{page.name}:{line - 1}")
    for page in PAGES
    for line, code in snippets(page.read_text(encoding="utf-8"))
]


def test_blocks_are_found_and_marked_ones_left_out():
    page = f"# A\n\n```python\na = 1\n```\n\n{NOT_RUN}\n```python\nb\n```\n```bash\nls\n```\n"
    assert [code for _, code in snippets(page)] == ["a = 1\n"]


def test_the_guides_hold_snippets():
    assert len(CASES) >= 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("code", CASES)
def test_snippet_runs(code, tmp_path, monkeypatch):
    if "stable_baselines3" in code:
        pytest.importorskip("stable_baselines3")
    if "pettingzoo" in code:
        pytest.importorskip("pettingzoo")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "snippet.py"
    path.write_text(code, encoding="utf-8")
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            runpy.run_path(str(path), run_name="snippet")
    finally:
        torch.set_num_threads(threads)  # a snippet may set it, and later tests must not see that
