"""The studies' arithmetic against known answers, and that they go on where they stopped."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts" / "studies"


@pytest.fixture(scope="module")
def load():
    """Import a study as `python scripts/studies/NAME.py` does: from its own folder."""
    pytest.importorskip("matplotlib")
    before = list(sys.path)
    sys.path.insert(0, str(SCRIPTS))
    yield importlib.import_module
    sys.path[:] = before


@pytest.fixture(scope="module")
def theory(load):
    return load("string_stability")


def test_a_disturbance_that_never_changes_is_passed_on_whole(theory):
    slow = np.array([1e-4])
    for factor in (theory.acc_factor, theory.cacc_factor):
        assert abs(factor(theory.Cars(0.8, 2, 2), slow)[0]) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("name", ["acc", "cacc"])
def test_theory_says_what_simulated_cars_do(load, theory, name):
    study = load("platoon_delay")
    measured = study.swing(name, 2.0)["factor"][1:]
    cars = theory.Cars(study.DEFAULT["headway"], 2, 2)
    predicted = abs(study.THEORY[name](cars, np.array([2.0]))[0])
    assert measured == pytest.approx(predicted, rel=0.02)
    assert predicted < 0.99


@pytest.mark.parametrize("gains", [(0.5, 1.5, 0.3), (0.5, 1.5, 0.0), (3.0, 4.0, 1.0)])
@pytest.mark.parametrize("delay", [0, 2, 4])
def test_a_car_is_stable_where_the_matrix_of_car_and_pending_commands_is(theory, gains, delay):
    from simrl_controllers.platoon.predict import exact_step

    a, b = exact_step(0.3, 0.1)
    kp, kd, ka = gains
    law = -np.array([kp, kp * 0.7 + kd, ka])  # u = law x, behind a predecessor at rest
    if delay == 0:
        closed = a + np.outer(b, law)
    else:
        closed = np.zeros((3 + delay, 3 + delay))  # the car, then the commands on their way
        closed[:3, :3], closed[:3, 3] = a, b
        closed[3:-1, 4:] = np.eye(delay - 1)
        closed[-1, :3] = law
    stable = np.abs(np.linalg.eigvals(closed)).max() < 1.0
    assert theory.car_is_stable(0.7, delay, gains) == stable


def test_least_headway_parts_growing_from_shrinking_platoons(theory):
    limit = theory.least_headway(theory.cacc_factor, 2, 2)
    assert theory.worst(theory.cacc_factor, theory.Cars(limit, 2, 2)) <= 1.0 + theory.TOLERANCE
    assert theory.worst(theory.cacc_factor, theory.Cars(limit - 0.02, 2, 2)) > 1.001
    assert theory.least_headway(theory.acc_factor, 4) == float("inf")


def test_the_regulator_costs_its_cost_to_go_where_no_limit_is_active(load):
    study = load("active_constraints")
    kind = study.DISTURBANCES["spin"]
    small = study.Disturbance(kind.column, (0.0,), kind.limit, kind.label)
    env, regulator = study.build("lqr", small, study.SCENARIOS)
    dx = regulator.plant.error(study.start_states(env, small, 0.0)).numpy()
    wanted = np.einsum("ni,ij,nj->n", dx, regulator.solution.cost_to_go, dx)
    figures = study.measure("lqr", small, 0.0)
    assert not figures["failed"].any() and not figures["at_limit"].any()
    assert figures["cost"] == pytest.approx(wanted, rel=0.02)  # angles are small, not 0


def test_pieces_are_measured_once(load, tmp_path):
    study, calls = load("study"), []

    def make():
        calls.append(1)
        return {"x": np.arange(3.0)}

    for facts in ({"a": 1}, {"a": 1}, {"a": 2}):
        assert study.piece(tmp_path, "thing", facts, make)["x"].tolist() == [0.0, 1.0, 2.0]
    assert len(calls) == 2


def test_ratio_is_paired(load):
    study = load("study")
    second = np.array([1.0, 10.0, 100.0, 1000.0])
    found = study.ratio(0.5 * second, second)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="paired values differ in number"):
        study.ratio(second, second[:2])


def test_findings_are_printed_as_markdown_or_json(load, tmp_path, capsys):
    study = load("study")
    found = study.Findings()
    found.keep("cost", study.mean(np.array([1.0, 3.0])))
    found.table("Costs", ["who", "cost"], [["lqr", "2"]])
    found.show(study.StudyArguments(out=tmp_path), "title")
    said = capsys.readouterr().out
    assert "| who | cost |\n| --- | --- |\n| lqr | 2 |" in said
    assert (tmp_path / "tables.md").read_text() == said[:-1]
    found.show(study.StudyArguments(out=tmp_path, json=True), "title")
    figures = json.loads(capsys.readouterr().out)["figures"]
    assert figures == {"cost": 2.0, "cost_low": 1.0, "cost_high": 3.0}


@pytest.fixture(scope="module")
def trials(load):
    pytest.importorskip("mujoco")
    return load("quadrotor_trials")


def test_trials_begin_with_what_ships_and_stay_the_same_if_there_are_more(trials):
    for kind, ranges in trials.RANGES.items():
        few, more = trials.settings(kind, 3), trials.settings(kind, 50)
        assert few == more[:4]
        assert few[0] == {}
        for name, given in ranges.items():
            drawn = [setting[name] / given.middle for setting in more[1:]]
            assert min(drawn) >= 0.98 / given.factor and max(drawn) <= 1.02 * given.factor
            assert min(drawn) < 0.7 and max(drawn) > 1.4
    with pytest.raises(ValueError, match="unknown kind 'pid'; the kinds are lqr, nmpc, mppi, ppo"):
        trials.settings("pid", 1)


@pytest.mark.parametrize("kind", ["lqr", "nmpc", "mppi"])
def test_a_setting_in_the_middle_names_the_controller_that_ships(trials, kind):
    from simrl.core.plugins import make_env
    from simrl.runs.controllers import split_controllers
    from simrl.runs.policies import named_policy

    middle = {name: given.middle for name, given in trials.RANGES[kind].items()}
    if kind == "mppi":
        middle["temperature"] = 0.0
    name = trials.controller_name(kind, middle)
    assert split_controllers(f"{name},pd") == [name, "pd"]
    env = make_env(trials.TASK, 2, **trials.OPTIONS)
    obs = env.reset(3)
    acts = []
    for said in (kind, name, trials.controller_name(kind, trials.settings(kind, 1)[1])):
        policy = named_policy(said, env.spec, trials.OPTIONS)
        rng = torch.Generator().manual_seed(0)
        acts.append(policy.act(obs, policy.initial_state(2), rng, deterministic=True).action)
    assert torch.allclose(acts[0], acts[1], atol=1e-6)
    assert not torch.allclose(acts[0], acts[2], atol=1e-2)


def test_a_setting_of_ppo_in_the_middle_is_the_preset_with_an_entropy_bonus(trials):
    middle = {name: given.middle for name, given in trials.RANGES["ppo"].items()}
    shipped, tuned = trials.ppo_config({}, seed=5), trials.ppo_config(middle, seed=5)
    assert shipped.seed == tuned.seed == 5
    assert tuned.ppo == replace(shipped.ppo, entropy_coef=1e-3)
    assert tuned.net.hidden == shipped.net.hidden
    assert tuned.net.initial_log_std == pytest.approx(shipped.net.initial_log_std, abs=0.01)


def test_compute_time_counts_only_where_it_is_asked_for(load, tmp_path, monkeypatch):
    study = load("quadrotor_late")
    ticks = iter(0.05 * n for n in range(10_000))  # every decision takes 2.5 steps
    monkeypatch.setattr(study.time, "process_time", lambda: next(ticks))
    at_once, late = (study.in_scenarios(tmp_path, "nmpc", 1, late=late) for late in (False, True))
    assert not at_once["misses"].any() and (late["misses"] == 1.0).all()
    assert late["cost"] > 1.2 * at_once["cost"]
    assert study.with_samples("mppi:samples=9:noise=[0.1]", 4) == "mppi:noise=[0.1]:samples=4"
