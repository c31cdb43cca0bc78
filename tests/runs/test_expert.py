"""Runs of expert iteration: they learn tic-tac-toe, resume bit for bit, and are rated."""

import dataclasses
import itertools

import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.learn.checkpoint import Checkpoints, flatten
from simrl.learn.expert_iteration import ExpertIterationConfig
from simrl.learn.loop import LoopConfig
from simrl.learn.metrics import read_metrics
from simrl.learn.search_learner import SearchLearnerConfig
from simrl.rollout.evaluate import evaluate
from simrl.runs.config import EvalConfig, run_config
from simrl.runs.evaluation import read_evaluations
from simrl.runs.expert import (
    build_expert,
    expert_config,
    resume_expert,
    start_expert,
)
from simrl.runs.expert_elo import elo_curve, snapshot_weights
from simrl.runs.expert_presets import preset
from simrl.runs.expert_search import Game
from simrl.runs.policies import named_policy
from simrl.search.config import SearchConfig

STEPS = 4000


def small(**changes):
    config = preset("tic-tac-toe")
    return dataclasses.replace(
        config,
        num_envs=16,
        seed=5,
        net=dataclasses.replace(config.net, hidden=(16,)),
        search=SearchConfig(simulations=8),
        play=dataclasses.replace(config.play, simulations=8),
        capacity=2000,
        learner=SearchLearnerConfig(minibatch_size=64),
        loop=LoopConfig(unroll=8, steps=STEPS, checkpoint_updates=4),
        snapshot_steps=1000,
        evaluation=EvalConfig(opponents=("random",), games=4, every_minutes=1000.0),
        **changes,
    )


GATED = ExpertIterationConfig(warmup=200, reanalyse=0.25, gate=0.55, gate_games=4, gate_updates=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A short run with reanalysis and a gate; no test goes on with it."""
    folder = tmp_path_factory.mktemp("expert") / "whole"
    run = start_expert(small(iteration=GATED), folder)
    run.loop.run()
    run.evaluation.evaluate(run.loop.progress)
    assert run.loop.writer is not None
    run.loop.writer.close()
    return folder


def tensors(folder):
    step, state = Checkpoints(folder / "checkpoints").load_newest()
    assert step >= STEPS
    return flatten(state["parts"])


def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(trained, tmp_path):
    part = start_expert(small(iteration=GATED), tmp_path / "part")
    part.loop.run(stop=lambda: part.loop.progress.steps >= STEPS // 2)
    assert part.loop.progress.steps < STEPS
    resumed = resume_expert(tmp_path / "part")
    assert resumed.expert == small(iteration=GATED)
    resumed.loop.run()
    (plain, whole), (other, again) = tensors(trained), tensors(tmp_path / "part")
    assert plain == other
    assert whole.keys() == again.keys()
    assert [name for name in whole if not torch.equal(whole[name], again[name])] == []


def test_what_a_run_leaves_in_its_folder(trained):
    lines = read_metrics(trained)
    assert lines[-1]["step"] >= STEPS
    names = set().union(*(line.keys() for line in lines))
    assert {
        "loss/policy",
        "loss/value",
        "loss/policy_kl",
        "gate/score",
        "gate/passed",
        "replay/added",
        "replay/reanalysed",
        "rollout/length",
        "time/steps_per_s",
    } <= names
    assert read_evaluations(trained)[-1]["opponents"]["random"]["wins"] >= 0
    assert run_config(trained).env == expert_config(trained).env == "tic-tac-toe"
    assert any((trained / "tensorboard").iterdir())


def test_its_network_plays_like_that_of_any_run(trained):
    env = make_env("tic-tac-toe", 4)
    named = named_policy(str(trained), env.spec, {})
    state = Checkpoints(trained / "checkpoints").load_best()
    weights = state["parts"]["learner"]["net"]
    assert all(torch.equal(x, weights[name]) for name, x in named.net.state_dict().items())
    snapshots = Checkpoints(trained / "checkpoints").load_newest()[1]["parts"]["snapshots"]
    first = next(iter(snapshots["snapshots"]))
    early = named_policy(f"{trained}@{first}", env.spec, {})
    assert not torch.equal(early.net.head.weight, named.net.head.weight)
    with pytest.raises(ValueError, match=f"its snapshots are {first}"):
        named_policy(f"{trained}@snapshot-7", env.spec, {})


def test_reanalysis_searches_the_position_again(trained):
    run = resume_expert(trained)
    again, replay = run.loop.reanalyse, run.loop.replay
    assert again is not None
    positions = replay.rows(torch.arange(600))  # more than one call takes
    policy, value = again(positions, torch.Generator().manual_seed(0))
    assert policy.shape == (600, 9)
    assert torch.allclose(policy.sum(-1), torch.ones(600), atol=1e-5)
    assert (policy[~positions.obs["action_mask"][:, :9]] == 0).all()
    assert value.abs().max() <= 1.0 + 1e-5
    # Where one move is left its outcome is known: eight simulations outweigh the network.
    last = positions.obs["action_mask"][:, :9].sum(-1) == 1
    assert int(last.sum()) > 2
    assert (value[last] - positions.outcome[last]).abs().max() < 0.2


def test_the_elo_curve_starts_at_zero_and_is_kept(trained, tmp_path):
    points = elo_curve(trained, ["random"], count=3, simulations=2, games=8)
    assert [point.player for point in points][2:] == ["last", "random"]
    assert points[0].elo == 0.0
    assert points[0].steps == 128
    assert points[2].steps >= STEPS
    assert points[3].steps is None
    assert all(point.low < point.elo < point.high for point in points)
    minutes = [point.minutes for point in points[:3]]
    assert minutes == sorted(minutes)
    assert (trained / "elo.json").is_file()
    assert list(snapshot_weights(trained, 2)) == [points[0].player, "last"]
    with pytest.raises(ValueError, match="two states"):
        snapshot_weights(trained, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"env": "moba-2v2"}, "unknown environment"),
        ({"env": "rock-paper-scissors", "mirror": False}, "is not a game of turns"),
        ({"env": "counting", "mirror": False}, "not a game of turns|one team"),
        ({"evaluation": EvalConfig(opponents=("nobody",), games=2)}, "unknown policy 'nobody'"),
        ({"env_options": {"size": 4}}, "has no option 'size'"),
    ],
)
def test_runs_that_cannot_be_built(change, message):
    config = dataclasses.replace(small(), **{"evaluation": EvalConfig(games=2), **change})
    with pytest.raises(ValueError, match=message):
        build_expert(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": 0.0}, r"gamma must be above 0 and at most 1, got 0\.0"),
        ({"capacity": 0}, "capacity must be positive"),
    ],
)
def test_settings_that_are_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(small(), **change)


def test_folders_that_hold_the_wrong_thing(trained, tmp_path):
    with pytest.raises(ValueError, match="holds a run already"):
        start_expert(small(), trained)
    with pytest.raises(ValueError, match=r"it has no expert\.yaml"):
        resume_expert(tmp_path)
    started = start_expert(small(), tmp_path / "new")
    assert started.loop.writer is not None
    started.loop.writer.close()
    with pytest.raises(ValueError, match="holds no checkpoint"):
        resume_expert(tmp_path / "new")


@pytest.mark.slow
def test_tic_tac_toe_is_learned_so_well_that_it_never_loses():
    config = dataclasses.replace(preset("tic-tac-toe"), seed=1)
    run = build_expert(config)
    run.loop.run()
    env = make_env("tic-tac-toe", 200)
    game = Game.of("tic-tac-toe", {}, env.spec)
    policy = game.measured(run.loop.learner.net, config.play)
    opponents = {name: named_policy(name, env.spec, {}) for name in ("tactical", "random")}
    result = evaluate(env, policy, opponents, games=200, seed=0)
    assert [score.losses for score in result.scores] == [0, 0]
    assert result.score("random").win_rate > 0.9
    assert lost_lines(policy, seat=0) == []
    assert lost_lines(policy, seat=1) == []


def lost_lines(policy, seat):
    """Play every line of the other side against `policy` and return those that it loses."""
    plugin = env_plugin("tic-tac-toe")
    dynamics = plugin.dynamics(plugin.config())
    env = make_env("tic-tac-toe", 1)
    env.reset(0)
    lost, lines, states = [], [()], env.snapshot()
    rng = torch.Generator().manual_seed(0)
    for turn in range(9):
        obs = dynamics.observe(states)
        mask = obs["action_mask"][:, turn % 2, :9]
        if turn % 2 == seat:
            rows = {"state": states, "action_mask": obs["action_mask"][:, seat]}
            rows["seat"] = torch.full((len(states),), seat)
            moves = policy.act(rows, {}, rng, deterministic=True).action
            chosen = [(row, int(move)) for row, move in enumerate(moves[:, 0])]
        else:
            chosen = [(row, int(move)) for row, move in mask.nonzero().tolist()]
        action = torch.full((len(chosen), 2, 1), 9)
        action[:, turn % 2, 0] = torch.tensor([move for _, move in chosen])
        states, reward, discount = dynamics.step(
            states[torch.tensor([row for row, _ in chosen])], action
        )
        lines = [(*lines[row], move) for row, move in chosen]
        lost += list(itertools.compress(lines, (reward[:, seat] < 0).tolist()))
        going = discount > 0
        states, lines = states[going], list(itertools.compress(lines, going.tolist()))
        if not lines:
            break
    return lost
