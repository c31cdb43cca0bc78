"""The tables of the guides to robots and controllers say what the code says."""

import dataclasses
import re
from pathlib import Path

import pytest

from simrl.core.plugins import controller_names, controller_plugin, env_names, make_env
from simrl_envs.robot import RobotConfig
from simrl_envs.robot.arm import ArmConfig
from simrl_envs.robot.catalogue import robot_names
from simrl_envs.robot.quadruped import VelocityConfig

DOCS = Path(__file__).resolve().parents[2] / "docs"
ROBOTS = ("cartpole-", "quadrotor-", "quadruped-", "arm-")


def tables(page, heading):
    """Return the cells of the rows of each table whose header starts with `| heading |`."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    found = []
    for start, line in enumerate(lines):
        if line.startswith(f"| {heading} |"):
            rows = []
            for row in lines[start + 2 :]:
                if not row.startswith("|"):
                    break
                rows.append([cell.strip() for cell in row.strip("|").split(" | ")])
            found.append(rows)
    return found


def words(rows):
    return {name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])}


def fields(config):
    return {field.name for field in dataclasses.fields(config)}


def test_every_robot_task_is_listed():
    assert words(tables("robots.md", "id")[0]) == {n for n in env_names() if n.startswith(ROBOTS)}


def test_steps_and_lengths_of_tasks():
    pytest.importorskip("mujoco")
    for row in tables("robots.md", "id")[0]:
        spec = make_env(row[0].strip("`"), 1).spec
        step, length = (float(part.split()[0]) for part in row[3].split(","))
        assert spec.step_seconds == step, row[0]
        assert spec.max_steps * step == pytest.approx(length), row[0]


def test_every_option_of_a_robot_task_is_listed():
    shared, machine = (words(rows) for rows in tables("robots.md", "option"))
    assert shared == fields(RobotConfig)
    assert machine == fields(VelocityConfig) - fields(RobotConfig)
    assert fields(ArmConfig) <= shared | machine


def test_every_robot_of_the_catalogue_is_listed():
    assert words(tables("robots.md", "value")[0]) == set(robot_names())


def test_every_controller_is_listed_with_options_that_it_has():
    rows = tables("controllers.md", "id")[0]
    assert words(rows) == set(controller_names())
    for row in rows:
        named = set(re.findall(r"`(\w+)`", row[2])) - {"pd"}  # "those of `pd`"
        name = row[0].strip("`")
        assert named <= fields(controller_plugin(name).config), name
