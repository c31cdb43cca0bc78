"""Stored judgements teach as live ones do."""

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl.preferences.clips import Clip, ClipLibrary, config_hash_of
from simrl.preferences.live.teach import _PersonTime, teach
from simrl.preferences.tamer import TamerConfig, TamerLearner


def random_clip(steps, seed):
    """Record random play of cart-pole until the pole falls, or `steps` are over."""
    env = make_env("cart-pole", 1)
    obs = env.reset(seed)
    rng = np.random.default_rng(seed)
    snapshot = env.snapshot()[0].numpy().copy()
    seen, actions, ended = [], [], []
    while len(actions) < steps and not (ended and ended[-1]):
        action = torch.tensor([[[int(rng.integers(2))]]])
        seen.append(obs["policy"][0, 0].numpy().copy())
        actions.append(action[0].numpy())
        step = env.step(action)
        obs = step.obs
        ended.append(bool(step.terminated[0]))
    count = len(actions)
    return Clip(
        env="cart-pole",
        env_options={},
        seat=0,
        policies=("random",),
        seed=seed,
        config_hash=config_hash_of("cart-pole", {}),
        step_seconds=0.02,
        episode=f"test/{seed}",
        snapshot=snapshot,
        lead=np.stack(actions)[:0],
        obs=np.stack(seen),
        action=np.stack(actions),
        reward=np.ones((count, 1), np.float32),
        reward_terms=np.zeros((count, 1, 0), np.float32),
        terminated=np.array(ended),
        truncated=np.zeros(count, bool),
    )


def test_time_passes_for_the_person_at_the_speed_of_play():
    # 2 s of the game at half speed are 4 s, the next 3 s at threefold speed 1 s, and so on.
    clock = _PersonTime([2.0, 5.0], [0.5, 3.0])
    assert [clock(t) for t in (0.0, 1.0, 2.0, 3.5, 5.0, 8.0)] == pytest.approx(
        [0.0, 2.0, 4.0, 4.5, 5.0, 6.0]
    )
    assert _PersonTime([], [])(1.5) == 1.5


def test_a_learner_is_taught_by_an_answer(tmp_path):
    library = ClipLibrary(tmp_path)
    clips, events, begin = [], [], 0.0
    for seed in range(8):
        clip = random_clip(60, seed)
        clips.append([begin, library.add(clip)])
        for number, action in enumerate(clip.action[:, 0, 0], 1):
            # Right is praised and left blamed, 15 ms after each step is seen, at a tenth of the
            # speed: 0.15 s for the person, while the step is still on the screen.
            events.append([begin + number * 0.02 + 0.015, 1.0 if action else -1.0])
        begin += clip.num_steps * 0.02
    value = {"events": events, "speeds": [0.1] * len(events), "clip": clips[0][1], "clips": clips}
    spec = make_env("cart-pole", 1).spec
    config = TamerConfig(delay=(0.0, 0.1), learning_rate=1e-2, replays=1)
    learner = TamerLearner(spec, config, seed=0)
    figures = teach(learner, value, library)
    assert figures["count"] == len(events)
    assert figures["credited"] == 1.0
    obs = torch.from_numpy(random_clip(60, 99).obs)
    right = learner.model(obs, torch.ones(len(obs), 1, dtype=torch.int64)).detach()
    left = learner.model(obs, torch.zeros(len(obs), 1, dtype=torch.int64)).detach()
    assert float((right > left).float().mean()) > 0.95
    assert float(right.mean()) > 0.5
    assert float(left.mean()) < -0.5
