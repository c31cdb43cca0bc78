"""What people played becomes demonstrations, masks and memory included."""

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.cloning import CloningConfig, CloningLearner
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.preferences.clips import Clip, ClipLibrary, config_hash_of
from simrl.runs.demonstrations import clip_demonstrations, person_clips


def play(moves, seat, lead, policies):
    """Play tic-tac-toe by given cells; return the clip of one seat from move `lead` on."""
    env = make_env("tic-tac-toe", 1)
    obs = env.reset(0)
    snapshot = env.snapshot()[0].numpy().copy()
    seen, actions, rewards, ended = [], [], [], []
    for number, cell in enumerate(moves):
        joint = torch.full((1, 2, 1), 9)
        joint[0, number % 2] = cell
        seen.append(obs["policy"][0, seat].numpy().copy())
        actions.append(joint[0].numpy())
        step = env.step(joint)
        obs = step.obs
        rewards.append(step.reward[0].numpy().copy())
        ended.append(bool(step.terminated[0]))
    part = slice(lead, None)
    return Clip(
        env="tic-tac-toe",
        env_options={},
        seat=seat,
        policies=policies,
        seed=0,
        config_hash=config_hash_of("tic-tac-toe", {}),
        step_seconds=0.0,
        episode="test",
        snapshot=snapshot,
        lead=np.stack(actions)[:lead],
        obs=np.stack(seen)[part],
        action=np.stack(actions)[part],
        reward=np.stack(rewards)[part],
        reward_terms=np.zeros((len(moves) - lead, 2, 0), np.float32),
        terminated=np.array(ended)[part],
        truncated=np.zeros(len(moves) - lead, bool),
    )


FIRST = [4, 0, 8, 2, 1, 7, 3, 5, 6]


def test_a_clip_is_played_again_with_its_masks():
    clip = play(FIRST, seat=0, lead=2, policies=("person", "tactical"))
    short = play([4, 1, 0, 2], seat=1, lead=0, policies=("tactical", "person"))
    data = clip_demonstrations([clip, short], {"policy", "action_mask"})
    assert data.weight.shape == (9, 2)
    assert data.weight[:, 0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1]  # the lead counts nothing
    assert data.weight[:, 1].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert data.episode_start[:, 0].tolist() == [True] + [False] * 8
    np.testing.assert_array_equal(data.obs["policy"][2:, 0].numpy(), clip.obs)
    assert data.action[:, 0, 0].tolist() == [4, 9, 8, 9, 1, 9, 3, 9, 6]
    # At its third own move the cells 4, 0, 8 and 2 are taken, so 1, 3, 5, 6 and 7 are legal.
    assert data.obs["action_mask"][4, 0].nonzero().flatten().tolist() == [1, 3, 5, 6, 7]
    assert data.action[:4, 1, 0].tolist() == [9, 1, 9, 2]


def test_a_network_learns_what_a_person_did():
    env = make_env("tic-tac-toe", 1)
    torch.manual_seed(0)
    config = ActorCriticConfig(hidden=(32,), recurrent="gru", recurrent_width=16)
    net = ActorCritic(env.spec, config)
    clip = play(FIRST, seat=0, lead=2, policies=("person", "tactical"))
    data = clip_demonstrations([clip], net.reads)
    learner = CloningLearner(net, CloningConfig(held_out=0.0, epochs=60, learning_rate=1e-2))
    learner.fit(data)
    assert learner.measure(data)["agreement"] == 1.0


def test_only_what_people_played_is_taken(tmp_path):
    library = ClipLibrary(tmp_path)
    theirs = library.add(play(FIRST, 0, 0, ("person", "tactical")))
    library.add(play(FIRST, 1, 0, ("person", "tactical")))  # judged is the other seat
    library.add(play(FIRST, 0, 2, ("tactical", "tactical")))
    assert [clip.id for clip in person_clips(tmp_path)] == [theirs]
    with pytest.raises(ValueError, match="no clips that a person played"):
        clip_demonstrations([], {"policy"})
