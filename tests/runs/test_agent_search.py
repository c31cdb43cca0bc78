"""A run as an agent that searches, from options that people type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from simrl.core.plugins import make_env
from simrl.learn.policy import NetworkPolicy
from simrl.rollout.evaluate import evaluate
from simrl.runs.agent_search import agent_search_player
from simrl.runs.config import TrainConfig
from simrl.runs.presets import preset
from simrl.runs.training import start_run

RPS = "rock-paper-scissors"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a few hundred steps, in which two agents act at once."""
    folder = tmp_path_factory.mktemp("runs") / "rps"
    config: TrainConfig = preset("connect-four")
    config = replace(
        config,
        env=RPS,
        env_options={"rounds": 3},
        num_envs=4,
        league=None,
        loop=replace(config.loop, unroll=8, steps=128, minutes=None),
        evaluation=replace(config.evaluation, opponents=("random",), games=2),
    )
    start_run(config, folder).loop.run()
    return folder


def test_options_reach_the_search_and_it_plays(run):
    env = make_env(RPS, 2, rounds=3)
    options = {"candidates": 3, "depth": 2, "every": 2, "confidence": 3.0, "enemy": "random"}
    player = agent_search_player(run, "newest", options, env.spec, {"rounds": 3})
    assert player.every == 2 and player.planner.config.depth == 2
    assert len(player.model.initial_memory(1)) == 0 and player.model.gamma > 0.9
    bare = NetworkPolicy(player.model.net)
    assert evaluate(env, player, {"bare": bare}, games=2, seed=0).score("bare").games == 2


def test_an_unknown_option_or_another_game_is_named(run):
    env = make_env(RPS, 1)
    with pytest.raises(ValueError, match="no option 'depths'; its options are candidates"):
        agent_search_player(run, "newest", {"depths": 2}, env.spec, {})
    with pytest.raises(ValueError, match="depth"):
        agent_search_player(run, "newest", {"depth": "far"}, env.spec, {})
    with pytest.raises(ValueError, match="cannot search in identity"):
        agent_search_player(run, "newest", {}, make_env("identity", 1).spec, {})
