"""A planner can throw the game's dice anew instead of foreseeing them."""

import torch

from simrl.core.plugins import make_dynamics, make_env


def test_only_the_random_stream_changes():
    env, dynamics = make_env("moba-1v1", 3), make_dynamics("moba-1v1")
    env.reset(seed=0)
    before = env.snapshot()
    kept = before.clone()
    after = dynamics.reseed(before, torch.Generator().manual_seed(1))
    assert torch.equal(before, kept)
    changed = (after != before).any(0).nonzero().flatten()
    assert 0 < len(changed) <= 4 and int(changed.max() - changed.min()) < 4  # 32 bits
    assert len({tuple(row.tolist()) for row in after[:, changed]}) == 3
    again = dynamics.reseed(before, torch.Generator().manual_seed(1))
    assert torch.equal(after, again)
    env.restore(after)  # a game like any other
    assert torch.equal(env.snapshot(), after)
