"""What all toys share: pictures, replays and the size of their errors."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.core.replay import Replay


def test_frames_show_the_start_and_every_move_up_to_the_last():
    env = make_env("tic-tac-toe", 1)
    env.reset(0)
    snapshot = env.snapshot()[0].numpy().tobytes()
    actions = np.full((5, 2, 1), 9)
    for ply, move in enumerate([0, 3, 1, 4, 2]):
        actions[ply, ply % 2, 0] = move
    frames = list(env_plugin("tic-tac-toe").frames(Replay("tic-tac-toe", {}, snapshot, actions)))
    assert len(frames) == 6
    assert (frames[0] == env.render(0)).all()
    # Each stone covers some of the picture that was empty before, the winning one too.
    changed = [int((a != b).any(-1).sum()) for a, b in pairwise(frames)]
    assert all(1200 < count < 6400 for count in changed)


def test_requested_groups_alone_are_returned():
    env = make_env("counting", 1)
    env.request(["policy"])
    assert set(env.reset(0)) == {"policy", "action_mask"}
    env.request(["critic", "state"])
    assert set(env.reset(0)) == {"policy", "action_mask", "critic", "state"}


def test_buffers_are_written_in_place():
    """A step allocates no observations: that is why whoever keeps one copies it."""
    env = make_env("cart-pole", 2)
    obs = env.reset(0)
    step = env.step(torch.zeros(2, 1, 1, dtype=torch.int64))
    assert step.obs["policy"].data_ptr() == obs["policy"].data_ptr()


@pytest.mark.parametrize("name", ["identity", "cart-pole"])
def test_number_of_environments_is_checked(name):
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        env_plugin(name).make(env_plugin(name).config(), 0)
