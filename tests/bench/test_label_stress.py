"""The stress of the labelling page, in small: four people, a kill, and nothing lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench" / "label_stress.py"


@pytest.mark.slow
@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_killing_the_server_loses_and_doubles_nothing(store):
    words = ["--store", store, "--seconds", "2", "--annotators", "4", "--json"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True, check=True
    )
    if "no PostgreSQL here" in done.stderr:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    figures = json.loads(done.stdout)["figures"]
    suffix = "_postgres" if store == "postgres" else ""
    assert figures[f"duplicates{suffix}"] == 0 and figures[f"lost{suffix}"] == 0
    assert figures[f"refused{suffix}"] == 0
    # The four went on after the kill: their requests failed at first, and then came through.
    assert figures[f"acknowledged{suffix}"] > 20 and figures[f"retries{suffix}"] > 0
