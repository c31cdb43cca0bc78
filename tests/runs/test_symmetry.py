"""Mirror images of boards, against the rules themselves."""

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl.runs.symmetry import mirror_symmetry


@pytest.mark.parametrize("name", ["connect-four", "tic-tac-toe"])
def test_mirrored_moves_lead_to_the_mirrored_position(name):
    env, other = make_env(name, 64), make_env(name, 64)
    symmetry = mirror_symmetry(env.spec)
    obs, seen = env.reset(0), other.reset(0)
    rng = np.random.default_rng(0)
    for _ in range(12):
        for group in ("policy", "action_mask"):
            assert torch.equal(seen[group], obs[group][..., symmetry.obs[group]])
        weight = torch.from_numpy(rng.random(obs["action_mask"].shape)) * obs["action_mask"]
        action = weight.argmax(-1, keepdim=True)
        # Slot i of the mirror is slot `slots[i]` of the original, and the other way round.
        mirrored = symmetry.slots[action]
        step, image = env.step(action), other.step(mirrored)
        obs, seen = step.obs, image.obs
        assert torch.equal(step.reward, image.reward)
        assert torch.equal(step.terminated, image.terminated)


def test_a_mirror_image_of_a_mirror_image_is_the_position():
    symmetry = mirror_symmetry(make_env("connect-four", 1).spec)
    assert symmetry.slots.tolist() == [6, 5, 4, 3, 2, 1, 0, 7]
    for order in (*symmetry.obs.values(), symmetry.slots):
        assert torch.equal(order[order], torch.arange(len(order)))


@pytest.mark.parametrize("name", ["cart-pole", "rock-paper-scissors"])
def test_what_is_no_board(name):
    with pytest.raises(ValueError, match=f"{name} shows no board"):
        mirror_symmetry(make_env(name, 1).spec)
