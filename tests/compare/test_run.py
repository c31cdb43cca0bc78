"""A comparison plays what its plan says, goes on where it was killed, and repeats bit for bit."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from simrl.compare.grid_file import parse_grids
from simrl.compare.plan import Entrant, Plan
from simrl.compare.play import Stage, play, start_states
from simrl.compare.run import check, gather, run, thinned, write_table
from simrl.compare.statistics import Estimate
from simrl.compare.summary import FAR, NOMINAL, summarise
from simrl.compare.table import TIMED
from simrl.core.policy import PolicyOutput
from simrl.runs.comparison.verdict import verdict
from simrl.runs.controllers import make_member


class KilledError(Exception):
    """Stand for the end of a process."""


def equal(first, second):
    """Tell whether two tables are the same bit for bit, timing apart."""
    assert first.names() == second.names()
    for one, other in zip(first.figures, second.figures, strict=True):
        for name, values in one.items():
            if name not in TIMED:
                np.testing.assert_array_equal(values, other[name], err_msg=name)
    return True


def untimed(summary):
    found = summary.to_dict()
    del found["timing"], found["limits"]
    return json.dumps(found)


def test_a_killed_comparison_goes_on_to_the_same_table(small_plan, played, tmp_path):
    def stop(advance):
        if advance.done >= 18:
            raise KilledError

    with pytest.raises(KilledError):
        run(small_plan, make_member, tmp_path / "c", jobs=1, on_advance=stop)
    shards = sorted((tmp_path / "c" / "shards").iterdir())
    assert len(shards) == 2
    with pytest.raises(ValueError, match="not finished"):
        gather(small_plan, tmp_path / "c")
    times = [path.stat().st_mtime_ns for path in shards]
    steps = []
    table = run(small_plan, make_member, tmp_path / "c", jobs=1, on_advance=steps.append)
    assert [path.stat().st_mtime_ns for path in shards] == times  # not played again
    assert steps[0].done == 18 and steps[-1].done == steps[-1].total == 36
    assert equal(table, played[1])
    assert untimed(summarise(table)) == untimed(summarise(played[1]))


@pytest.mark.slow
def test_workers_change_nothing(small_plan, played, tmp_path):
    assert equal(run(small_plan, make_member, tmp_path / "c", jobs=2), played[1])


def test_scenarios_are_what_they_say(played):
    table = played[1]
    assert len(table.scenarios) == 18 and table.far.sum() == 4
    hard = (table.grids == "push") & table.far
    for number in range(2):
        # A push of 4 N s throws a quadrotor of half a kilogram over.
        assert table.figure(number, "score", hard).max() == 0.0
        assert table.figure(number, "terminated", hard).all()
        assert table.figure(number, "terminated", ~table.far).sum() == 0
        # Figures of pushes are absent elsewhere, not 0.
        assert np.isnan(table.figure(number, "recovered", table.grids != "push")).all()
        assert not np.isnan(table.figure(number, "recovered", table.grids == "push")).any()
    assert np.isnan(table.figure(0, "recovery_seconds", hard)).all()
    # Figures leave the first 0.2 s out, ten steps of the course that is kept.
    course = table.traces[0]["error"][~table.far, 10:50]
    largest = table.figure(0, "largest_error", ~table.far)[0]
    assert largest == pytest.approx(course.max(axis=1), rel=1e-5)
    assert not table.has("power") and not table.has("energy")


def test_every_controller_gets_the_same_starts(small_plan):
    scenarios = small_plan.scenarios()
    states = []
    for entrant, rows in ((0, range(18)), (1, range(17, -1, -1))):
        stage = small_plan.stage(entrant)
        chosen = [scenarios[n] for n in rows]
        configs = stage.configs(chosen)
        env = stage.make(configs)
        found = start_states(stage, chosen, configs, env)
        states.append(found if entrant == 0 else found.flip(0))
    assert torch.equal(*states)
    period = env.spec.physics["state"]["command"].start + 3
    assert states[0][-4:, period].tolist() == [8.0, 8.0, 5.0, 5.0]


def test_an_episode_is_the_same_alone_and_among_others(small_plan):
    scenarios = small_plan.scenarios()
    stage = small_plan.stage(0)

    def figures(chosen):
        made = []
        found = play(
            stage,
            chosen,
            lambda env: made.append(1) or make_member("lqr", env.spec, {}),
            small_plan.judge,
            seed=1,
        )
        return found.columns

    together, alone = figures(scenarios[:9]), figures(scenarios[7:8])
    assert alone["rmse"][0] == pytest.approx(together["rmse"][7], rel=1e-6)
    assert alone["recovery_seconds"][0] == together["recovery_seconds"][7]


class Slow:
    """Answer as another policy does, after so many seconds of a clock of its own."""

    def __init__(self, policy, clock, seconds):
        self.policy, self.clock, self.seconds = policy, clock, seconds
        self.reads = policy.reads

    def initial_state(self, num_rows):
        return self.policy.initial_state(num_rows)

    def act(self, obs, state, rng, *, deterministic=False):
        self.clock.now += self.seconds
        return self.policy.act(obs, state, rng, deterministic=deterministic)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def in_real_time(plan, seconds, num=3, **options):
    clock = Clock()
    stage = Stage(plan.task, options, real_time=True)
    found = play(
        stage,
        plan.scenarios()[:num],
        lambda env: Slow(make_member("lqr", env.spec, {}), clock, seconds),
        plan.judge,
        seed=0,
        clock=clock,
    )
    return found


def test_compute_time_costs(small_plan):
    scenarios = small_plan.scenarios()[:3]
    free = play(
        Stage(small_plan.task),
        scenarios,
        lambda env: make_member("lqr", env.spec, {}),
        small_plan.judge,
        seed=0,
    )
    at_once, slow, slower = (in_real_time(small_plan, s) for s in (0.0, 0.012, 0.03))
    # A decision that takes no time costs nothing.
    assert at_once.columns["rmse"] == pytest.approx(free.columns["rmse"], rel=1e-5)
    assert (slow.columns["rmse"] != at_once.columns["rmse"]).all()
    assert (slower.columns["rmse"] != slow.columns["rmse"]).all()
    thrown = in_real_time(small_plan, 0.09)  # each strong action is held for five steps
    assert thrown.columns["terminated"].tolist() == [1.0] * 3
    assert thrown.columns["score"].tolist() == [0.0] * 3
    # Steps are 20 ms: 12 ms meet them, 30 ms do not.
    assert slow.columns["deadline_misses"].tolist() == [0.0] * 3
    assert slower.columns["deadline_misses"].tolist() == [1.0] * 3
    assert slow.columns["act_p99_ms"] == pytest.approx(np.full(3, 12.0))
    assert slow.act_seconds == pytest.approx(np.full(3 * 49, 0.012))
    # Two steps for each decision, the first being free: 49 steps hold 25 more.
    assert len(slower.act_seconds) == 3 * 25


def test_compute_time_acts_like_a_delay_of_the_actuators(small_plan):
    late = in_real_time(small_plan, 0.01)
    delayed = play(
        Stage(small_plan.task),
        [
            dataclasses.replace(s, options={**s.options, "latency": (0.01, 0.01)})
            for s in small_plan.scenarios()[:3]
        ],
        lambda env: make_member("lqr", env.spec, {}),
        small_plan.judge,
        seed=0,
    )
    # But for the first step, which the clock of real time gives for free.
    assert late.columns["rmse"] == pytest.approx(delayed.columns["rmse"], rel=0.05)


def test_a_summary_counts_both_sets_apart(played):
    summary = summarise(played[1])
    assert summary.counts == {NOMINAL: 14, FAR: 4}
    assert set(summary.figures[NOMINAL]) == {"lqr", "weak"}
    # lqr without preview lags behind the moving target.
    own = summary.figures[NOMINAL]
    assert own["lqr"]["rmse"].value < own["weak"]["rmse"].value
    assert summary.figures[FAR]["lqr"]["rmse"].value == np.inf
    assert [pair.where for pair in summary.pairs] == [NOMINAL, FAR]
    nominal = summary.pairs[0]
    assert nominal.lead.above and nominal.improvement.value > 0.5
    assert nominal.p_holm == pytest.approx(min(1.0, 2 * nominal.p))
    winner = next(w for w in summary.winners if w.grid == "nominal")
    assert winner.best == "lqr" and winner.clear and winner.count == 6
    few = next(w for w in summary.winners if w.grid == "speed")
    assert few.count == 4 and not few.clear
    text = json.dumps(summary.to_dict(), allow_nan=False)
    assert "Infinity" not in text


@pytest.mark.parametrize(
    ("low", "p", "said"),
    [
        (0.1, 0.01, "<b>lqr</b> scores highest"),
        (-0.1, 0.2, "<b>lqr</b> and <b>weak</b> are not told apart"),
        (0.1, 0.2, "<b>lqr</b> and <b>weak</b> are not told apart"),
        (-0.1, 0.01, "<b>lqr</b> and <b>weak</b> differ by scenario, but neither surely leads"),
    ],
)
def test_the_verdict_says_no_more_than_interval_and_test(played, low, p, said):
    summary = summarise(played[1])
    pairs = tuple(
        dataclasses.replace(pair, lead=Estimate(0.1, low, 0.3), p_holm=p) for pair in summary.pairs
    )
    first = verdict(dataclasses.replace(summary, pairs=pairs))[0]
    assert first.startswith(f"Nominal: {said}")


def test_limits_are_said(played):
    said = " ".join(summarise(played[1]).limits)
    for part in ("14 nominal scenarios are few", "Tuning", "did not count", "no robot was run"):
        assert part in said
    table = played[1]
    learned = tuple(
        dataclasses.replace(e, learned=True, members=(*e.members, "b") if i else e.members)
        for i, e in enumerate(table.plan.entrants)
    )
    plan = dataclasses.replace(table.plan, entrants=learned)
    said = " ".join(summarise(dataclasses.replace(table, plan=plan)).limits)
    assert "lqr has one training seed" in said and "weak has 2 training seeds" in said


def test_another_comparison_in_the_folder_is_refused(small_plan, played, tmp_path):
    other = dataclasses.replace(small_plan, seed=5)
    with pytest.raises(ValueError, match="holds another comparison: seed differ"):
        run(other, make_member, played[0])
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="no comparison and not empty"):
        run(small_plan, make_member, tmp_path)


def test_episodes_as_parquet(played, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_table(played[1], tmp_path / "a.parquet")
    write_table(played[1], tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    rows = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == 36
    assert rows[0]["controller"] == "lqr" and rows[0]["scenario"] == "nominal/all/0"
    assert rows[0]["recovered"] is None and rows[6]["axis/push"] == "0.3"
    assert rows[0]["score"] == pytest.approx(float(played[1].figure(0, "score")[0, 0]))


def test_what_does_not_fit_is_said_before_anything_is_played(small_plan):
    def refuse(name, spec, options):
        if name == "weak":
            raise RuntimeError("mat1 and mat2 shapes\ncannot be multiplied")
        return make_member("lqr", spec, options)

    plan = dataclasses.replace(
        small_plan, entrants=(Entrant("a", ("lqr",)), Entrant("b", ("weak",)))
    )
    with pytest.raises(ValueError, match="weak does not fit quadrotor-track: mat1 and mat2 shapes"):
        check(plan, refuse)
    grids = parse_grids("task: quadrotor-track\ngrids: {a: {axes: {command.speed: [1]}}}", "x.yaml")
    with pytest.raises(ValueError, match="no command 'speed'; its commands are length, width"):
        check(Plan(grids, (Entrant("lqr", ("lqr",)),)), make_member)


def test_plans_check_themselves(small_plan):
    with pytest.raises(ValueError, match="two controllers are called 'a'"):
        Plan(small_plan.grids, (Entrant("a", ("lqr",)), Entrant("a", ("nmpc",))))
    with pytest.raises(ValueError, match="option 'payload' is the scenarios' to set"):
        Plan(small_plan.grids, (Entrant("a", ("lqr",), {"payload": (1.0, 1.0)}),))
    with pytest.raises(ValueError, match="at least one controller"):
        Plan(small_plan.grids, ())


def test_times_are_thinned_but_the_longest_stays():
    values = np.arange(100.0)
    assert thinned(values, 100) is values
    assert len(thinned(values, 10)) == 11 and thinned(values, 10).max() == 99.0


def test_two_training_seeds_are_two_members(small_plan, tmp_path):
    plan = dataclasses.replace(
        small_plan,
        grids=small_plan.grids.chosen(["nominal"]),
        entrants=(
            Entrant("pair", ("lqr", "lqr:preview=1"), learned=True),
            Entrant("lqr", ("lqr",)),
        ),
    )
    table = run(plan, make_member, tmp_path / "c", jobs=1)
    assert table.figure(0, "score").shape == (2, 6) and table.figure(1, "score").shape == (1, 6)
    np.testing.assert_array_equal(table.figure(0, "score")[0], table.figure(1, "score")[0])
    score = summarise(table).figures[NOMINAL]["pair"]["score"]
    assert score.high - score.low > 0.0


def test_a_policy_may_be_any_object(small_plan):
    class Hover:
        reads = frozenset({"policy"})

        def initial_state(self, num_rows):
            return {}

        def act(self, obs, state, rng, *, deterministic=False):
            return PolicyOutput(torch.full((len(obs["seat"]), 4), 1.7))

    found = play(
        small_plan.stage(0),
        small_plan.scenarios()[:2],
        lambda env: Hover(),
        small_plan.judge,
        seed=0,
    )
    assert found.columns["action_rate"].tolist() == [0.0, 0.0]
    assert found.traces["path"].shape == (2, 240, 4)
