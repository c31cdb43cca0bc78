"""A small comparison: two controllers of a quadrotor, a few short scenarios."""

import pytest

from simrl.compare.grid_file import parse_grids
from simrl.compare.plan import Entrant, Plan
from simrl.compare.run import run
from simrl.runs.controllers import make_member

TEXT = """
task: quadrotor-track
options: {seconds: 1.0, push_start: 0.3, push_interval: 100.0}
judge: {worst: 0.5, settle: 0.2, limits: {tilt: 0.3}, recovered: 0.2, steady: 0.1}
grids:
  nominal: {seeds: 6}
  push:
    axes: {push: [0.3], push_angle: [0.0, 1.571, 3.142, 4.712]}
    beyond: {push: [4.0]}
  speed: {axes: {command.period: [8.0, 5.0]}, seeds: 2}
"""


@pytest.fixture
def small_plan():
    """A plan of two controllers in 18 scenarios, two batches each."""
    entrants = (Entrant("lqr", ("lqr",)), Entrant("weak", ("lqr:preview=1",)))
    return Plan(parse_grids(TEXT, "small.yaml"), entrants, rows=9, num_draws=200)


@pytest.fixture(scope="session")
def played(tmp_path_factory):
    """The small comparison's folder and table; do not write into it."""
    folder = tmp_path_factory.mktemp("compare") / "small"
    entrants = (Entrant("lqr", ("lqr",)), Entrant("weak", ("lqr:preview=1",)))
    plan = Plan(parse_grids(TEXT, "small.yaml"), entrants, rows=9, num_draws=200)
    return folder, run(plan, make_member, folder, jobs=1)
