"""Search on the real 1v1 MOBA: both corners, everybody's memory, and dice that nobody foresees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simrl.core.plugins import env_plugin, make_config, make_env
from simrl.core.seeding import torch_generator
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.rollout import RolloutEngine, Seating
from simrl.search.agent_model import AgentModel
from simrl.search.agent_policy import AgentSearchConfig, AgentSearchPolicy
from simrl.search.lookahead import LookaheadConfig, rollout_returns
from simrl_envs.moba.config import MobaConfig, config_tables
from simrl_envs.moba.records import game_dtype

ENV = "moba-1v1"
NET = ActorCriticConfig(
    hidden=(16,),
    encoder=EncoderConfig(table_width=8, map_channels=()),
    recurrent="lstm",
    recurrent_width=8,
    attention_heads={"target": "targets"},
    attention_width=8,
)
SHORT = AgentSearchConfig(
    LookaheadConfig(candidates=4, plan=2, depth=3, rollouts=2, rounds=1), every=2
)
DICE = int(game_dtype(config_tables(MobaConfig()).shape).fields["rng"][1])
FIRST_WAVE = 140
"""Decisions after which creeps stand on the lane."""


def reseed(game: Tensor, rng: torch.Generator) -> Tensor:
    game = game.clone()
    dice = torch.randint(0, 2**32, (len(game), 1), generator=rng)
    game[:, DICE : DICE + 8] = dice.view(torch.uint8)
    return game


@pytest.fixture(scope="module")
def parts():
    """A model with a small untrained network, and games a while after their start."""
    env = make_env(ENV, 4, threads=1)
    plugin = env_plugin(ENV)
    dynamics = plugin.dynamics(make_config(plugin.config, {"threads": 1}, ENV))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = ActorCritic(env.spec, NET).eval()
    model = AgentModel(dynamics, env.spec, net, gamma=0.99, reseed=reseed)
    engine = RolloutEngine(env, Seating.self_play(env, NetworkPolicy(net), train=False), seed=0)
    for _ in range(FIRST_WAVE):
        engine.step()
    state = engine.state_dict()
    memory = {name: value.unflatten(0, (4, 2)) for name, value in state["states"]["policy"].items()}
    situation = model.situation(state["env"], torch.tensor([0, 1, 0, 1]), memory)
    return model, situation


def test_it_plays_both_corners_and_the_same_seed_gives_the_same_game(parts):
    model, _ = parts

    def play(seed):
        env = make_env(ENV, 4, threads=1)
        policy = AgentSearchPolicy.looking_ahead(model, SHORT)
        bare = NetworkPolicy(model.net)
        engine = RolloutEngine(env, Seating.versus(env, policy, bare), seed=seed)
        for _ in range(12):
            engine.step()
        return env.snapshot()

    assert torch.equal(play(1), play(1))
    assert not torch.equal(play(1), play(2))


def test_situations_of_the_game_survive_packing(parts):
    model, situation = parts
    packed = model.pack(situation)
    # The game, the seat, and an LSTM's h and c of width 8 for both agents.
    assert packed.shape == (4, model.spec.state_size + 8 + 2 * 2 * 8 * 4)
    again = model.unpack(packed)
    rng = torch_generator(0, "t")
    uniform = torch.rand(4, 2, 5, generator=rng)
    one, two = (model.look(s, rng, uniform) for s in (situation, again))
    assert torch.equal(one.prior.logits, two.prior.logits)
    assert torch.equal(one.action, two.action) and torch.equal(one.value, two.value)


def test_the_reward_is_that_of_the_seat(parts):
    """The game is zero-sum: what one corner gains, the other loses under the same joint action."""
    model, situation = parts
    rng = torch_generator(0, "t")
    outlook = model.look(situation, rng)
    joint = outlook.action
    gained = []
    for seat in (0, 1):
        seats = torch.full((4,), seat)
        there = model.situation(situation.game, seats, {})
        _, reward, discount = model.advance(there, outlook, joint[:, seat])
        gained.append(reward)
        assert discount.tolist() == pytest.approx([0.99] * 4)
    assert torch.allclose(gained[0], -gained[1], atol=1e-5)


def test_a_snapshot_holds_the_dice_and_other_dice_bring_another_wave(parts):
    """Where creeps appear is drawn from the record itself: a search that kept it would know it."""
    model, situation = parts
    still = torch.zeros(4, 2, 5, dtype=torch.int64)

    def later(game):
        for _ in range(230):  # past the next wave, 30 s after the last
            game, _, _ = model.dynamics.step(game, still)
        return game

    kept = later(situation.game)
    assert torch.equal(kept, later(situation.game))
    rng = torch_generator(0, "t")
    other = model.imagine(situation, rng).game
    apart = (other != situation.game).any(0).nonzero().squeeze(1)
    assert int(apart.min()) >= DICE and int(apart.max()) < DICE + 8
    record = game_dtype(config_tables(MobaConfig()).shape)
    units = [g.numpy().reshape(-1).view(record)["units"] for g in (kept, later(other))]
    creeps = slice(2, 2 + 28)
    assert (units[0]["alive"][:, creeps] == 1).any()
    assert (units[0]["y"][:, creeps] != units[1]["y"][:, creeps]).any()


def test_rollouts_with_the_same_numbers_are_the_same(parts):
    model, situation = parts
    uniform = torch.rand(4, 4, 2, 5, generator=torch_generator(0, "t"))
    runs = [
        rollout_returns(model, situation, 4, torch_generator(seed, "t"), uniform=uniform)
        for seed in (1, 2)
    ]
    assert torch.equal(runs[0][0], runs[1][0]) and torch.equal(runs[0][1], runs[1][1])
