"""Nothing that a team does not see reaches its `policy` group or its masks, all through play."""

import numpy as np
import pytest
import torch

from simrl_envs.moba import MobaConfig, MobaEnv

NUM_ENVS = 16
SEEN_BY_ALL = ("hero", "last_seen_x", "last_seen_y", "last_seen_tick", "kills", "respawn_at")
"""What `policy` may know of a hero out of sight: who it is, where it was, its kills and return."""


@pytest.fixture(scope="module")
def env():
    return MobaEnv(MobaConfig(threads=1, local_map=True), NUM_ENVS)


def moments(env, lively, every, count):
    """Play from a new game and return `count` snapshots, one every `every` decisions."""
    rng = np.random.default_rng(1)
    obs, kept = env.reset(1), []
    for step in range(every * count):
        obs = env.step(lively(obs["action_mask"], rng)).obs
        if step % every == every - 1:
            kept.append(env.snapshot())
    return kept


def scramble(env, team, rng):
    """Overwrite what a team does not see of living enemy heroes and creeps; return heroes, creeps.

    Sight itself (`visible`), life and who it is stay: only what can be known by looking changes.
    """
    games, shape = env.games, env.tables.shape
    units = games["units"]
    hidden = (units["alive"] == 1) & (units["team"] != team) & (units["visible"] >> team & 1 == 0)
    hidden[:, shape.structure_start :] = False
    for name in ("x", "y", "vx", "vy", "hp", "max_hp", "attack", "armour", "resist", "slow"):
        noise = rng.uniform(1.0, 50.0, units[name].shape).astype(np.float32)
        units[name] = np.where(hidden, noise, units[name])
    for name in ("stun_until", "slow_until", "burn_until", "forced_until", "attack_ready"):
        units[name] = np.where(hidden, games["tick"][:, None] + 9, units[name])
    heroes = games["heroes"]
    unseen = hidden[:, : shape.num_heroes]
    for name in heroes.dtype.names:
        if name not in SEEN_BY_ALL:
            values = heroes[name]
            values[unseen] = rng.integers(1, 9, values[unseen].shape).astype(values.dtype)
    return int(unseen.sum()), int(hidden[:, shape.num_heroes :].sum())


@pytest.mark.parametrize("agent", [0, 1], ids=["blue", "red"])
def test_policy_and_mask_do_not_depend_on_what_is_hidden(env, lively, agent):
    rng = np.random.default_rng(agent)
    changed = np.zeros(2, np.int64)
    told = 0
    for snapshot in moments(env, lively, every=40, count=12):
        obs = env.restore(snapshot)
        before = {name: obs[name][:, agent].clone() for name in ("policy", "action_mask", "critic")}
        changed += scramble(env, agent, rng)
        obs = env.restore(env.snapshot())
        assert torch.equal(obs["policy"][:, agent], before["policy"])
        assert torch.equal(obs["action_mask"][:, agent], before["action_mask"])
        told += int((obs["critic"][:, agent] != before["critic"]).any(-1).sum())
    assert (changed > 50).all()  # heroes and creeps in the fog were there to be betrayed
    assert told > 50  # and the privileged view shows them


def test_critic_stays_in_its_ranges_and_agrees_on_what_is_seen(env, lively):
    layout = env.spec.observations["critic"]
    low = torch.tensor([c.low for b in layout.blocks for c in columns(b)])
    high = torch.tensor([c.high for b in layout.blocks for c in columns(b)])
    meetings = 0
    for snapshot in moments(env, lively, every=60, count=8):
        obs = env.restore(snapshot)
        assert bool(((obs["critic"] >= low) & (obs["critic"] <= high)).all())
        policy, critic = layout.split(obs["policy"]), layout.split(obs["critic"])
        # What a team has of its own is no secret, and what it sees is shown as it is.
        assert torch.equal(policy["own"], critic["own"])
        assert torch.equal(policy["creeps"], critic["creeps"])
        seen = policy["heroes"][..., 2] == 1
        meetings += int(seen.sum())
        assert torch.equal(policy["heroes"][seen], critic["heroes"][seen])
    assert meetings > 0


def columns(block):
    """Return the column of every float of a block."""
    if block.kind == "map":
        cells = block.shape[1] * block.shape[2]
        return [column for column in block.columns for _ in range(cells)]
    return list(block.columns) * (block.shape[0] if block.kind == "table" else 1)
