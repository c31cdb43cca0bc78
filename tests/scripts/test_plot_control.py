"""The script that draws what controllers do."""

import runpy
from pathlib import Path

import pytest
from PIL import Image

SCRIPT = Path(__file__).parents[2] / "scripts" / "plot_control.py"


@pytest.mark.mujoco
def test_a_task_gets_a_plot_and_a_filmstrip(tmp_path):
    script = runpy.run_path(str(SCRIPT))
    script["main"](script["Arguments"](out=tmp_path, tasks=("quadrotor",)))
    assert Image.open(tmp_path / "control-quadrotor.png").width > 1000
    film = Image.open(tmp_path / "film-quadrotor.png")
    assert film.width > 4 * film.height // 2  # six frames a row, two rows


def test_an_unknown_task_gets_the_valid_names(tmp_path):
    script = runpy.run_path(str(SCRIPT))
    with pytest.raises(SystemExit, match="unknown task 'boat'; the tasks are cartpole, quadrotor"):
        script["main"](script["Arguments"](out=tmp_path, tasks=("boat",)))
