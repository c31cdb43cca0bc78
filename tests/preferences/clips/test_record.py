"""Clips are spread over policies, sides and episodes, and play again as they were recorded."""

from collections import Counter

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env, make_scripted
from simrl.core.replay import Replay
from simrl.preferences.clips.clip import config_hash_of
from simrl.preferences.clips.cut import ClipSource, clip_metrics, cut_clip
from simrl.preferences.clips.record import clip_steps, record_clips
from simrl.preferences.clips.render import go_to_start
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.random import RandomPolicy
from simrl.rollout.recorder import TrajectoryRecorder
from simrl.rollout.seating import Seating


def random_policy(env, **options):
    return RandomPolicy(make_env(env, 1, **options).spec)


def check_replay(clip):
    """Play a clip from its snapshot and compare every number with what was recorded."""
    env = make_env(clip.env, 1, **clip.env_options)
    obs = env.restore(torch.from_numpy(clip.snapshot)[None])
    for action in clip.lead:
        obs = env.step(torch.from_numpy(action)[None]).obs
    for t, action in enumerate(clip.action):
        np.testing.assert_array_equal(obs["policy"][0, clip.seat].numpy(), clip.obs[t])
        step = env.step(torch.from_numpy(action)[None])
        np.testing.assert_array_equal(step.reward[0].numpy(), clip.reward[t])
        assert bool(step.terminated[0]) == clip.terminated[t]
        assert bool(step.truncated[0]) == clip.truncated[t]
        obs = step.obs


@pytest.mark.parametrize(
    ("env", "seconds"),
    [("cart-pole", 0.5), ("pendulum", 1.0), ("connect-four", 3.0), ("car-lane", 1.0)],
)
def test_clips_play_again_as_recorded(library, env, seconds):
    policies = {"random": random_policy(env)}
    ids = record_clips(library, env, {}, policies, count=6, seconds=seconds, seed=1, play_steps=120)
    assert len(set(ids)) == 6
    for clip in map(library.get, ids):
        check_replay(clip)
        assert clip.config_hash == config_hash_of(env, {})


def test_a_robots_clips_play_again_as_recorded(library):
    pytest.importorskip("mujoco")
    env = "quadrotor-hover"
    policies = {"random": random_policy(env)}
    for name in record_clips(library, env, {}, policies, count=3, steps=8, seed=2, play_steps=60):
        check_replay(library.get(name))


def test_the_mobas_clips_play_again_as_recorded(library):
    policies = {"random": random_policy("moba-1v1")}
    ids = record_clips(library, "moba-1v1", {}, policies, count=4, steps=12, seed=3, play_steps=48)
    clips = [library.get(name) for name in ids]
    assert {clip.seat for clip in clips} == {0, 1}
    for clip in clips:
        check_replay(clip)


def test_policies_sides_and_episodes_get_equal_shares(library):
    tactical = make_scripted("tic-tac-toe", "tactical")
    policies = {"tactical": tactical, "random": random_policy("tic-tac-toe")}
    ids = record_clips(library, "tic-tac-toe", {}, policies, count=16, seconds=2, seed=0)
    clips = [library.get(name) for name in ids]
    judged = Counter((clip.policies[clip.seat], clip.seat) for clip in clips)
    assert judged == {(name, seat): 4 for name in policies for seat in (0, 1)}
    met = Counter((clip.policies[clip.seat], clip.policies[1 - clip.seat]) for clip in clips)
    assert met == {(a, b): 4 for a in policies for b in policies}
    assert len({clip.episode for clip in clips}) == 16


def test_opponents_are_not_judged(library):
    policies = {"tactical": make_scripted("tic-tac-toe", "tactical")}
    ids = record_clips(
        library,
        "tic-tac-toe",
        {},
        policies,
        opponents={"random": random_policy("tic-tac-toe")},
        count=4,
        steps=3,
        seed=0,
    )
    for clip in map(library.get, ids):
        assert clip.policies[clip.seat] == "tactical"
        assert clip.policies[1 - clip.seat] == "random"


def test_the_same_seed_gives_the_same_clips(library):
    def record(seed):
        policies = {"random": random_policy("cart-pole")}
        return record_clips(
            library, "cart-pole", {}, policies, count=5, steps=10, seed=seed, play_steps=60
        )

    assert record(7) == record(7)
    assert not set(record(8)) & set(record(7))


def test_episodes_of_different_recordings_have_different_names(library):
    def episodes(length):
        policies = {"random": random_policy("cart-pole")}
        ids = record_clips(
            library, "cart-pole", {}, policies, count=4, steps=length, seed=0, play_steps=60
        )
        return {library.meta(name)["episode"] for name in ids}

    assert not episodes(8) & episodes(9)


def test_clips_are_full_or_whole_episodes(library):
    # Under random play a pole falls after some 20 steps, so 40 steps hold whole episodes alone.
    policies = {"random": random_policy("cart-pole")}
    ids = record_clips(
        library, "cart-pole", {}, policies, count=12, steps=40, seed=4, play_steps=200
    )
    clips = [library.get(name) for name in ids]
    for clip in clips:
        assert clip.num_steps == 40 or clip.terminated[-1]
        if clip.num_steps < 40:  # the whole of it: the start is within 0.05 of the middle
            assert np.abs(clip.obs[0]).max() <= 0.05
    assert any(clip.num_steps < 40 for clip in clips)


def test_options_reach_the_environment_and_the_clip(library):
    options = {"max_steps": 15}
    policies = {"balance": make_scripted("cart-pole", "balance", **options)}
    ids = record_clips(library, "cart-pole", options, policies, count=4, steps=30, seed=0)
    for clip in map(library.get, ids):
        assert clip.num_steps == 15 and clip.truncated[-1]
        assert clip.env_options == options
        assert clip.config_hash == config_hash_of("cart-pole", options)


def test_figures_of_a_clip(library):
    spec = make_env("double-integrator", 1).spec
    reward, terms = np.array([1.0, 2.0]), np.array([[1.0, 0.0, 5.0], [2.0, 0.5, 5.0]])
    figures = clip_metrics(spec, reward, terms, {"success": 1.0, "time": np.nan})
    assert figures == {
        "return": 3.0,
        "position": 3.0,
        "velocity": 0.5,
        "effort": 10.0,
        "episode/success": 1.0,
    }


def test_the_episodes_own_figures_are_in_clips_that_end_it(library):
    policies = {"tactical": make_scripted("tic-tac-toe", "tactical")}
    opponents = {"random": random_policy("tic-tac-toe")}
    ids = record_clips(
        library, "tic-tac-toe", {}, policies, opponents=opponents, count=8, steps=12, seed=1
    )
    metas = [library.meta(name) for name in ids]
    assert all(meta["terminated"] for meta in metas)
    outcomes = [meta["metrics"]["episode/outcome"] for meta in metas]
    assert outcomes == [meta["metrics"]["return"] for meta in metas]


def test_bad_requests_are_named(library):
    policies = {"random": random_policy("cart-pole")}

    def record(**changes):
        asked = {"count": 2, "steps": 5, "seed": 0, "play_steps": 20} | changes
        record_clips(library, "cart-pole", {}, policies, **asked)

    with pytest.raises(ValueError, match="count and a policy, at least 1 each"):
        record(count=0)
    with pytest.raises(ValueError, match="by either seconds or steps"):
        record(seconds=1.0)
    with pytest.raises(ValueError, match="one team"):
        record(opponents=policies)
    with pytest.raises(ValueError, match=r"the play gave \d+ clips"):
        record(count=500)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        record(steps=0)


def test_lengths_in_seconds():
    cart_pole, tic_tac_toe = (make_env(name, 1).spec for name in ("cart-pole", "tic-tac-toe"))
    assert clip_steps(cart_pole, seconds=1.0) == 50
    assert clip_steps(tic_tac_toe, seconds=3.0) == 6
    assert clip_steps(cart_pole, seconds=1e-6) == 1
    with pytest.raises(ValueError, match="seconds must be positive"):
        clip_steps(cart_pole, seconds=0.0)


def test_a_clip_cannot_cross_an_episodes_end():
    env = make_env("cart-pole", 2)
    found = []
    recorder = TrajectoryRecorder(env, 60, found.append)
    seating = Seating.self_play(env, random_policy("cart-pole"), train=False)
    engine = RolloutEngine(env, seating, seed=0, observers=[recorder])
    for _ in range(60):
        engine.step()
    source = ClipSource(env.spec, {}, 0)
    end = int(np.flatnonzero(found[0].terminated[:, 1])[0])

    def cut(t, steps):
        return cut_clip(found[0], 1, t, steps, 0, source=source, policies=("random",), episode="e")

    check_replay(cut(end + 1, 5))
    check_replay(cut(end - 3, 4))
    with pytest.raises(ValueError, match="within one episode"):
        cut(end - 3, 5)
    with pytest.raises(ValueError, match="t below 60"):
        cut(60, 1)


def test_a_clip_of_other_rules_is_noticed(library):
    policies = {"random": random_policy("cart-pole")}
    (name,) = record_clips(library, "cart-pole", {}, policies, count=1, steps=5, seed=0)
    clip = library.get(name)
    env = make_env("cart-pole", 1)
    go_to_start(clip, env)
    changed = clip.obs.copy()
    changed[0, 2] += 0.01
    with pytest.raises(ValueError, match="begins otherwise"):
        go_to_start(type(clip)(**{**vars(clip), "obs": changed}), env)


def test_replays_are_not_told_who_played(library):
    from simrl.preferences.clips.render import replay_of

    policies = {"tactical": make_scripted("tic-tac-toe", "tactical")}
    (name,) = record_clips(library, "tic-tac-toe", {}, policies, count=1, steps=3, seed=0)
    replay = replay_of(library.get(name), make_env("tic-tac-toe", 1))
    assert isinstance(replay, Replay)
    assert replay.policies == ()
    assert replay.seat == library.get(name).seat
