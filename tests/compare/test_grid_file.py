"""Grids unfold to the scenarios that a file says, and a file that is wrong is told what is."""

import pytest

from simrl.compare.grid_file import find_grids, parse_grids, read_grids, shipped
from simrl.compare.scenarios import batches
from simrl.core.plugins import env_plugin

TEXT = """
task: quadrotor-track
options: {seconds: 2.0}
judge: {worst: 0.3, limits: {tilt: 0.8}}
grids:
  nominal: {seeds: 2}
  load:
    axes: {payload: [0.1, 0.2], latency: [0.0, 0.01]}
    beyond: {payload: [0.5]}
  speed:
    options: {command.height: 1.5}
    axes: {command.period: [6]}
    out_of_distribution: true
"""


def test_a_file_unfolds():
    found = parse_grids(TEXT, "mine.yaml").scenarios(seed=0)
    assert len(found) == 2 + 3 * 2 + 1
    names = [scenario.name for scenario in found]
    assert names[:3] == ["nominal/all/0", "nominal/all/1", "load/payload=0.1,latency=0/0"]
    load = [scenario for scenario in found if scenario.grid == "load"]
    # One number fixes a range; what lies beyond is marked, whatever the other axis says.
    assert load[0].options == {"seconds": 2.0, "payload": (0.1, 0.1), "latency": (0.0, 0.0)}
    assert [scenario.out_of_distribution for scenario in load] == [False] * 4 + [True] * 2
    assert found[-1].command == {"period": 6.0, "height": 1.5}
    assert found[-1].out_of_distribution
    assert found[-1].options == {"seconds": 2.0}


def test_seeds_are_shared_by_name_and_differ_between_scenarios():
    first = parse_grids(TEXT, "a").scenarios(seed=0)
    again = parse_grids(TEXT.replace("seeds: 2", "seeds: 3"), "b").scenarios(seed=0)
    by_name = {scenario.name: scenario.seed for scenario in again}
    assert all(by_name[scenario.name] == scenario.seed for scenario in first)
    assert len({scenario.seed for scenario in again}) == len(again)
    other = parse_grids(TEXT, "a").scenarios(seed=1)
    assert all(a.seed != b.seed for a, b in zip(first, other, strict=True))


def test_scenarios_that_differ_in_row_options_share_a_batch():
    found = parse_grids(TEXT, "a").scenarios(seed=0)
    options = env_plugin("quadrotor-track").row_options
    assert batches(found, options, 100) == [list(range(9))]
    assert [len(b) for b in batches(found, options, 5)] == [5, 4]
    # Without row options only equal ones do: nominal and speed, and the six points of the load.
    alone = batches(found, (), 100)
    assert sorted(map(len, alone)) == [1] * 6 + [3]


@pytest.mark.parametrize("task", shipped())
def test_the_shipped_grids_are_valid(task):
    found = find_grids(task, "all").scenarios(seed=0)
    assert {scenario.out_of_distribution for scenario in found} == {True, False}
    assert len({scenario.name for scenario in found}) == len(found)
    assert found[0].grid == "nominal"


def test_the_quadrupeds_grids_are_four_hundred():
    found = find_grids("quadruped-velocity", "all").scenarios(seed=0)
    assert len(found) == 400
    assert {s.grid for s in found} >= {"nominal", "push", "payload", "friction", "delay", "terrain"}


def test_grids_are_chosen_by_name(tmp_path):
    assert {s.grid for s in find_grids("arm-reach", "push,nominal").scenarios(0)} == {
        "push",
        "nominal",
    }
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    assert [g.name for g in find_grids("quadrotor-track", f"{path}:load").grids] == ["load"]
    with pytest.raises(ValueError, match=r"unknown scenarios 'wind'; those of .* nominal, push"):
        find_grids("arm-reach", "wind")
    with pytest.raises(ValueError, match="scenarios of quadrotor-track, not of arm-reach"):
        find_grids("arm-reach", str(path))
    with pytest.raises(ValueError, match=r"no scenarios are shipped for pendulum.*quadrotor-track"):
        find_grids("pendulum", "all")
    with pytest.raises(ValueError, match="unknown task 'quadrotor'; the tasks are"):
        find_grids("quadrotor", "all")
    with pytest.raises(ValueError, match=r"none.yaml cannot be read: No such file"):
        read_grids(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("options: {seconds", "optoins: {seconds", "unknown key 'optoins'; the keys are task"),
        ("seconds: 2.0", "second: 2.0", "options: unknown option 'second'; the options are seco"),
        ("payload: [0.1", "paylod: [0.1", "load: axes: unknown option 'paylod'"),
        ("payload: [0.5]", "mass: [0.5]", "beyond: 'mass' is not among its axes payload, latency"),
        ("payload: [0.5]", "payload: 0.5", "payload must be a list of values, got 0.5"),
        ("[0.1, 0.2]", "[0.1, 0.1]", "has a value twice"),
        ("[0.1, 0.2]", "[a, b]", "payload must be a list of 2 numbers, got 'a'"),
        ("[0.0, 0.01]", "[-1]", "scenario load/payload=0.1,latency=-1/0: latency must satisfy"),
        ("seeds: 2", "seeds: 0", "nominal: seeds must be a whole number from 1, got 0"),
        ("seeds: 2", "sedes: 2", "nominal: unknown key 'sedes'; the keys are axes"),
        ("worst: 0.3", "worst: -1", "judge: worst must be at least 0"),
        ("worst: 0.3", "worse: 1", "no option 'worse'; its options are error, worst"),
        ("out_of_distribution: true", "out_of_distribution: 3", "must be true or false, got 3"),
        ("task: quadrotor-track", "task: quadrotr", "unknown environment 'quadrotr'"),
        ("options: {seconds: 2.0}", "interface: [payload]", "'payload' is in 'interface'"),
        (
            "options: {seconds: 2.0}",
            "interfaces: {lqr: {seconds: 1.0}}",
            "'seconds' is not in 'int",
        ),
        ("command.period: [6]", "command.period: [x]", "command.period must be a number, got 'x'"),
        ("grids:", "grids: [", "is not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(old, new, said):
    assert old in TEXT
    with pytest.raises(ValueError) as error:
        parse_grids(TEXT.replace(old, new, 1), "mine.yaml").scenarios(0)
    assert said in str(error.value)
    assert "mine.yaml" in str(error.value) or "environment" in str(error.value)
