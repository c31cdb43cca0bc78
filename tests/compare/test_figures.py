"""The figures of an episode, worked out by hand."""

import math

import numpy as np
import pytest

from simrl.compare.figures import episode_figures, push_end, recovery, score, violations
from simrl.compare.judge import Judge
from simrl.compare.signals import Signals, place_of
from simrl.core.plugins import env_plugin, make_config, make_env

STEP = 0.1


def test_violations_by_hand():
    series = {"tilt": np.array([0.0, 0.6, 0.9, 0.2, 0.7]), "torque": np.array([1, 1, 0, 0, 0.0])}
    found = violations(series, {"tilt": 0.5, "torque": 0.999}, STEP)
    # Tilt passes its limit twice, for 3 steps, by 0.4 at most; torque once, for 2 steps.
    assert found["tilt_violations"] == 2 and found["tilt_violation_seconds"] == pytest.approx(0.3)
    assert found["tilt_over"] == pytest.approx(0.4)
    assert found["torque_violations"] == 1
    # At the second step both do: 4 steps in all.
    assert found["violations"] == 3 and found["violation_seconds"] == pytest.approx(0.4)


def test_no_violation_is_none():
    found = violations({"tilt": np.array([0.1, 0.2])}, {"tilt": 0.5}, STEP)
    assert found == {
        "violations": 0.0,
        "violation_seconds": 0.0,
        "tilt_violations": 0.0,
        "tilt_violation_seconds": 0.0,
        "tilt_over": 0.0,
    }


def test_recovery_by_hand():
    judge = Judge(recovered=0.2, steady=0.3)
    #         push ends at 0.2;  back for one step at 0.4, for good from 0.6 on
    error = np.array([0.0, 0.9, 0.8, 0.5, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1])
    assert recovery(error, STEP, 0.2, judge) == pytest.approx(0.4)
    assert recovery(np.zeros(10), STEP, 0.2, judge) == 0.0
    assert math.isnan(recovery(error[:8], STEP, 0.2, judge))  # not long enough to be steady
    assert math.isnan(recovery(np.ones(10), STEP, 0.2, judge))
    assert math.isnan(recovery(np.ones(2), STEP, 5.0, judge))  # it ended before the push did


def test_scores_by_hand():
    judge = Judge(worst=0.4)
    assert score({"rmse": 0.1, "success": 0.0}, judge, terminated=False) == pytest.approx(0.75)
    assert score({"rmse": 0.9, "success": 1.0}, judge, terminated=False) == 0.0
    assert score({"rmse": 0.0, "success": 1.0}, judge, terminated=True) == 0.0
    assert score({"success": 1.0}, judge, terminated=False) == 1.0
    assert score({"rmse": 0.1, "success": 1.0}, Judge(), terminated=False) == 1.0


def test_an_episodes_figures_by_hand():
    spec = make_env("quadruped-velocity", 1).spec  # steps of 0.02 s
    step, judge = spec.step_seconds, Judge(worst=1.0, settle=0.04)
    series = {
        "error": np.array([9.0, 9.0, 0.3, 0.4]),  # the first two are left out
        "power": np.array([100.0, 200.0, 300.0, 400.0]),
        "speed": np.array([10.0, 10.0, 10.0, 10.0]),
    }
    found = episode_figures(
        series,
        np.array([7.0, 1.0, 2.0, 3.0]),
        spec=spec,
        judge=judge,
        limits={},
        terminated=False,
        success=None,
        pushed_until=None,
    )
    assert found["rmse"] == pytest.approx(math.sqrt((0.09 + 0.16) / 2))
    assert found["cvar"] == 0.4  # 5 % of two values is one
    assert found["energy"] == pytest.approx(1000 * step)
    assert found["mean_power"] == pytest.approx(250)
    weight = spec.physics["mass"] * spec.physics["gravity"]
    assert found["cost_of_transport"] == pytest.approx(1000 * step / (weight * 40 * step))
    assert found["action_rate"] == 2.0  # what stands before the first action is no change
    assert found["success"] == 1.0
    assert "recovery_seconds" not in found and "violations" not in found


def test_figures_that_a_task_does_not_have_are_absent():
    spec = make_env("quadrotor-track", 1).spec
    found = episode_figures(
        {},
        np.zeros(3),
        spec=spec,
        judge=Judge(worst=1.0),
        limits={},
        terminated=True,
        success=0.0,
        pushed_until=1.0,
    )
    assert set(found) == {"seconds", "success", "action_rate", "score"}
    assert found["score"] == 0.0


def test_when_a_push_is_over():
    plugin = env_plugin("quadrotor-track")

    def config(**options):
        return make_config(plugin.config, options, "q")

    assert push_end(config(push=(1.0, 1.0), push_start=2.0, push_seconds=0.3)) == pytest.approx(2.3)
    assert push_end(config(push=(1.0, 1.0))) is None  # at a random time
    assert push_end(config(push_start=2.0)) is None
    assert push_end(object()) is None


@pytest.mark.parametrize(
    ("task", "options", "names"),
    [
        ("quadrotor-track", {}, {"error", "tilt", "speed", "rmse"}),
        ("cartpole-swingup", {}, {"error", "power", "cart_distance"}),
        ("arm-reach", {"control": "torque"}, {"error", "joint_range", "torque", "power"}),
        ("quadruped-velocity", {}, {"error", "joint_range", "torque", "power", "tilt", "speed"}),
        ("car-lane", {}, {"error"}),
        ("pendulum", {}, set()),
    ],
)
def test_the_signals_of_tasks(task, options, names):
    import torch

    env = make_env(task, 3, **options)
    signals = Signals(env, Judge())
    assert set(signals.names) >= names
    env.reset(0)
    actions = env.spec.actions
    action = torch.tensor(actions.high).expand(3, 1, -1).clone()
    step = env.step(action)
    found = signals.read(step.obs["state"], action)
    assert set(found) == set(signals.names)
    assert all(value.shape == (3,) and np.isfinite(value).all() for value in found.values())


def test_signals_of_an_arm_by_its_facts():
    import torch

    env = make_env("arm-reach", 2, control="position")
    env.reset(0)
    spec, state = env.spec, env.snapshot()
    facts, parts = spec.physics, spec.physics["state"]
    hold = torch.tensor(facts["home"])[facts["qpos_index"]]
    state[:, parts["qpos"]] = torch.tensor(facts["home"])
    state[:, parts["qvel"]] = 0.0
    state[1, parts["qvel"].start] = 2.0  # rad/s in the first joint
    top = facts["joint_range"][0][1]
    state[1, parts["qpos"].start] = top + 0.25
    target = hold.repeat(2, 1).float()
    target[1, 0] = top + 0.25
    found = Signals(env, Judge()).read(state, target[:, None])
    assert found["joint_range"] == pytest.approx([0.0, 0.25], abs=1e-6)
    # At rest on its targets a servo asks for nothing; in motion for its damping alone.
    asked = facts["damping"][0] * 2.0
    assert found["torque"] == pytest.approx([0.0, asked / facts["torque_limit"][0]], abs=1e-5)
    limited = min(asked, facts["torque_limit"][0])
    assert found["power"] == pytest.approx([0.0, 2.0 * limited], rel=1e-5, abs=1e-5)


def test_an_unknown_signal_is_named():
    env = make_env("quadrotor-track", 1)
    with pytest.raises(ValueError, match=r"no signal 'lean' to limit; its signals are rmse"):
        Signals(env, Judge(limits={"lean": 1.0}))
    with pytest.raises(ValueError, match=r"no signal 'eror' for the error"):
        Signals(env, Judge(error="eror"))


def test_where_places_stand():
    quadrotor = make_env("quadrotor-track", 1).spec
    own, asked = place_of(quadrotor)
    assert own.tolist() == [0, 1, 2] and asked.tolist() == [0, 1, 2]
    car = make_env("car-lane", 1).spec
    own, asked = place_of(car)
    assert own[0] == car.physics["state"]["car"].start and asked.tolist() == [0, 1]
    assert place_of(make_env("quadruped-velocity", 1).spec) is None  # it tracks no place
    assert place_of(make_env("arm-reach", 1).spec) is None
