import numpy as np
import pytest
import torch

from simrl.core import PolicyOutput, load_replay
from simrl.rollout import (
    ActTimer,
    NanGuard,
    NonFiniteError,
    Observer,
    RolloutEngine,
    Seating,
    TrajectoryRecorder,
    load_trajectory,
    record_replay,
    replay_to,
)
from simrl.rollout.recorder import save_into


def test_act_timer_counts_calls_and_rows(toy):
    env = toy.Env((3, 2), agents=2)
    timer = ActTimer()
    seating = Seating.versus(env, toy.Fixed(1), toy.Fixed(2))
    engine = RolloutEngine(env, seating, seed=0, observers=[timer])
    for _ in range(5):
        engine.step()
    times = timer.summary()
    assert set(times) == {"a", "b"}
    assert times["a"].calls == 5 and times["a"].rows == 2
    assert 0 < times["a"].p50_ms <= times["a"].p99_ms < 1000
    assert engine.timing.steps == 5
    assert 0 < engine.timing.env_s + engine.timing.act_s < engine.timing.total_s


def test_nan_guard_names_the_reward_and_saves_the_step(toy, tmp_path):
    env = toy.Env((9, 9, 9), agents=2)
    engine = RolloutEngine(
        env, Seating.self_play(env, toy.Fixed(4)), seed=0, observers=[NanGuard(tmp_path)]
    )
    engine.collect(2)
    env.poison = (1, 1)
    with pytest.raises(
        NonFiniteError, match=r"reward is not finite at step 2, environment 1, a.*1;"
    ):
        engine.collect(2)
    with np.load(tmp_path / "nonfinite-step-2.npz") as saved:
        assert np.argwhere(np.isnan(saved["reward"])).tolist() == [[1, 1]]
        assert saved["action"].shape == (3, 2, 1) and (saved["action"] == 4).all()
        # The environment has moved, so what it shows now is not called what was acted on.
        assert np.array_equal(saved["next_obs/policy"], env.policy_obs)
        assert "obs/policy" not in saved


def test_nan_guard_names_observation_and_action(toy):
    env = toy.Env((9, 9), agents=2)
    seating = Seating.versus(env, toy.Fixed(1), toy.Fixed(2))
    engine = RolloutEngine(env, seating, seed=0, observers=[NanGuard()])
    engine.step()
    env.policy_obs[1, 0, 2] = torch.inf
    with pytest.raises(NonFiniteError, match=r"obs\['policy'\] is .* environment 1, agent 0"):
        engine.step()

    class Broken(toy.Fixed):
        def act(self, obs, state, rng, *, deterministic=False):
            action = torch.zeros(len(obs["seat"]), 1)
            action[-1] = torch.nan
            return PolicyOutput(action, state)

    env = toy.Env((9, 9), agents=2, continuous=True)
    seating = Seating.self_play(env, Broken(), name="mpc")
    engine = RolloutEngine(env, seating, seed=0, observers=[NanGuard()])
    with pytest.raises(NonFiniteError, match=r"the action of 'mpc' .* environment 1, agent 1"):
        engine.step()
    assert env.actions == []  # stopped before the environment moved


def test_nan_guard_does_not_mind_a_sum_that_overflows(toy):
    env = toy.Env((9,))
    engine = RolloutEngine(env, Seating.self_play(env, toy.Fixed()), seed=0, observers=[NanGuard()])
    engine.step()
    env.policy_obs.fill_(3e38)
    engine.step()


def test_an_observer_that_sees_nothing_is_a_mistake(toy):
    env = toy.Env()
    with pytest.raises(ValueError, match="it has none of on_act, on_step, on_episodes"):
        RolloutEngine(env, Seating.self_play(env, toy.Fixed()), seed=0, observers=[Observer()])


def test_recorded_trajectories_come_back_and_replay_to_any_moment(toy, tmp_path):
    env = toy.Env((3, 2, 4), agents=2)
    recorder = TrajectoryRecorder(
        env, 5, save_into(tmp_path), rows=[2, 0], groups=("policy", "critic")
    )
    policy = toy.Fixed(noisy=True)
    engine = RolloutEngine(env, Seating.self_play(env, policy), seed=3, observers=[recorder])
    assert env.requests == [{"policy", "critic"}]
    for _ in range(12):
        engine.step()
    recorder.flush()
    files = sorted(tmp_path.iterdir())
    assert [f.name for f in files] == [f"trajectory-00000{i}.npz" for i in range(3)]
    second = load_trajectory(files[1])
    # Numbers go on from the highest: a file that was taken away makes none be overwritten.
    (tmp_path / "trajectory-000000.npz").rename(tmp_path / "kept.npz")
    save_into(tmp_path)(second)
    assert (tmp_path / "trajectory-000003.npz").exists()
    assert load_trajectory(files[2]).reward.shape == (2, 2, 2)
    # Steps 5 to 9.  Row 2's counts: 1 2 3 | 0 1; row 0's: 2 | 0 1 2 | 0.
    assert second.obs["policy"][:, 0, 0, 0].tolist() == [1, 2, 3, 0, 1]
    assert second.obs["policy"][:, 1, 0, 0].tolist() == [2, 0, 1, 2, 0]
    assert second.obs["critic"][:, 1, 1, 0].tolist() == [102, 100, 101, 102, 100]
    assert second.terminated[:, 1].tolist() == [True, False, False, True, False]
    assert second.reward[:, 1, 1].tolist() == [6, 2, 4, 6, 2]
    assert second.reward_terms[:, 1, 1].tolist() == [[6, 0], [2, 0], [4, 0], [6, 0], [2, 0]]
    assert (second.env, second.rows.tolist()) == ("count", [2, 0])
    assert np.array_equal(second.action[:, 1], torch.stack(env.actions)[5:10, 0].numpy())
    for t in range(5):
        again = toy.Env((3,), agents=2)
        obs = replay_to(again, second, row=1, t=t)
        assert np.array_equal(obs["policy"][0].numpy(), second.obs["policy"][t, 1])
    with pytest.raises(ValueError, match="row must be below 2 and t at most 5, got row 2"):
        replay_to(env, second, row=2, t=0)


def test_a_damaged_trajectory_is_named(tmp_path):
    path = tmp_path / "x.npz"
    path.write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(ValueError, match=r"x\.npz is not a whole trajectory"):
        load_trajectory(path)


def test_replay_is_one_episode_with_what_the_policies_said(toy, tmp_path):
    env = toy.Env((4,), agents=2)

    class Silent(toy.Fixed):
        def act(self, obs, state, rng, *, deterministic=False):
            output = super().act(obs, state, rng)
            return PolicyOutput(output.action, output.state, {"note": torch.ones(3, 2, 2)})

    seating = Seating.versus(env, toy.Fixed(1), Silent(2), names=("net", "bot"), swap_sides=False)
    replay = record_replay(env, seating, seed=1, config={"size": 3})
    replay.save(tmp_path / "r.jsonl")
    loaded = load_replay(tmp_path / "r.jsonl")
    assert loaded.policies == ("net", "bot") and loaded.env == "count"
    assert loaded.actions[:, :, 0].tolist() == [[1, 2]] * 4
    assert set(loaded.extras) == {"log_prob", "value"}  # "note" is not per row
    assert loaded.extras["value"][:, 0].tolist() == [[0, 0], [10, -1], [20, -2], [30, -3]]
    assert np.isnan(loaded.extras["value"][:, 1]).all()
    assert loaded.metrics["returns"] == [10.0, 20.0] and loaded.metrics["length"] == 4
    assert loaded.metrics["outcome"] == [-1, 1] and loaded.config == {"size": 3}
    assert np.frombuffer(loaded.snapshot).tolist() == [0, 0, 0, 0]


def test_replay_from_a_snapshot(toy):
    env = toy.Env((4, 9), agents=1)
    snapshot = torch.tensor([[2.0, 5.0, 0.0]], dtype=torch.float64)
    replay = record_replay(env, Seating.self_play(env, toy.Fixed(1)), seed=1, snapshot=snapshot)
    assert len(replay.actions) == 2 and replay.metrics["score"] == 5
    assert np.frombuffer(replay.snapshot).tolist() == [2, 5, 0]
