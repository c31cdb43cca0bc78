"""Players that search, by the names that people type."""

import json

import pytest

from simrl.core.checks import check_policy
from simrl.core.plugins import make_env
from simrl.core.replay import load_replay
from simrl.rollout.evaluate import evaluate
from simrl.runs.policies import named_policy, named_run
from simrl.search.policy import SearchPolicy


def player(name, env="tic-tac-toe", **options):
    return named_policy(name, make_env(env, 1, **options).spec, options)


def test_mcts_keeps_the_contract_of_policies():
    policy = player("mcts:40:reuse=true", "connect-four")
    check_policy(policy, make_env("connect-four", 3), rows_independent=False)
    check_policy(player("mcts:30"), make_env("tic-tac-toe", 3), rows_independent=False)


@pytest.mark.parametrize(
    ("name", "simulations", "exploration", "rollouts", "seconds"),
    [
        ("mcts", 1000, 2.0, 1, 0.0),
        ("mcts:64", 64, 2.0, 1, 0.0),
        ("mcts:64:exploration=1.5:rollouts=3", 64, 1.5, 3, 0.0),
        ("mcts:seconds=0.5:simulations=9", 9, 2.0, 1, 0.5),
    ],
)
def test_options_reach_the_search(name, simulations, exploration, rollouts, seconds):
    policy = player(name)
    assert isinstance(policy, SearchPolicy)
    search = policy.config.search
    assert (search.simulations, search.uct.exploration, search.seconds) == (
        simulations,
        exploration,
        seconds,
    )
    assert search.rule == "uct" and search.solve
    assert policy.evaluator.config.rollouts == rollouts and policy.evaluator.config.look_ahead == 2


def test_mcts_beats_whoever_looks_one_move_ahead():
    env = make_env("connect-four", 8)
    opponent = {"tactical": player("tactical", "connect-four")}
    result = evaluate(env, player("mcts:300", "connect-four"), opponent, games=16, seed=0)
    assert result.score("tactical").wins >= 14


def test_more_simulations_beat_fewer():
    env = make_env("connect-four", 8)
    few = {"few": player("mcts:20", "connect-four")}
    result = evaluate(env, player("mcts:800", "connect-four"), few, games=16, seed=0)
    assert result.score("few").wins >= 12


def test_a_run_searches(trained):
    policy = player(f"search:{trained}@newest:12:rule=puct")
    assert policy.config.search.simulations == 12 and policy.config.search.rule == "puct"
    assert policy.config.search.puct.dirichlet_fraction == 0.0
    check_policy(policy, make_env("tic-tac-toe", 3))
    noisy = player(f"search:{trained}:noise=true").config.search
    assert noisy.simulations == 64 and noisy.gumbel.scale == 1.0
    assert player(f"search:{trained}").config.search.gumbel.scale == 0.0


def test_commands_take_searching_players(simrl, trained, tmp_path):
    words = ("--opponents", f"mcts:30,search:{trained}:8", "--games", 4, "--json")
    code, out, err = simrl("evaluate", f"search:{trained}:simulations=4", *words)
    assert code == 0, err
    assert list(json.loads(out)["opponents"]) == ["mcts:30", f"search:{trained}:8"]
    replay = tmp_path / "game.jsonl"
    code, out, err = simrl("play", f"search:{trained}:4", "mcts:20", "--out", replay)
    assert code == 0, err
    assert load_replay(replay).policies == ("search:tiny:4", "mcts:20")


@pytest.mark.parametrize(
    ("name", "env", "problem"),
    [
        ("mcts:0", "tic-tac-toe", "simulations must be at least 1, got 0"),
        ("mcts:speed=3", "tic-tac-toe", "mcts has no option 'speed'; its options are simulations,"),
        ("mcts:exploration=much", "tic-tac-toe", "mcts: exploration must be a number"),
        ("mcts:fast", "tic-tac-toe", "an option is NAME=VALUE, got 'fast'"),
        ("mcts", "rock-paper-scissors", "one agent moves at a time, not rock-paper-scissors"),
        ("search:nowhere", "tic-tac-toe", "search:nowhere: give a run's folder, 'nowhere' is none"),
        ("search", "tic-tac-toe", "search:: give a run's folder"),
        ("openspiel:9", "rock-paper-scissors", "cannot be translated for OpenSpiel"),
        ("openspiel:sims=9", "tic-tac-toe", "openspiel has no option 'sims'"),
        ("mtcs:9", "tic-tac-toe", r"unknown policy 'mtcs:9'; .*mcts:\.\.\., search:\.\.\."),
    ],
)
def test_what_does_not_fit_gets_one_clear_error(name, env, problem):
    if name.startswith("openspiel"):
        pytest.importorskip("pyspiel")
    with pytest.raises(ValueError, match=problem):
        player(name, env)


def test_a_run_of_another_game_is_refused(trained):
    with pytest.raises(ValueError, match="was trained in tic-tac-toe, it cannot play connect-four"):
        player(f"search:{trained}", "connect-four")
    with pytest.raises(ValueError, match="search has no option 'depth'"):
        player(f"search:{trained}:depth=3")
    with pytest.raises(ValueError, match="unknown rule 'best'; the choices are"):
        player(f"search:{trained}:rule=best")


def test_openspiel_plays():
    pytest.importorskip("pyspiel")
    assert player("openspiel:9").config.simulations == 9
    check_policy(player("openspiel:9"), make_env("tic-tac-toe", 2), rows_independent=False)


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("runs/a", ("runs/a", "")),
        ("runs/a@best", ("runs/a", "best")),
        ("search:runs/a", ("runs/a", "")),
        ("search:runs/a@12000:64:rule=uct", ("runs/a", "12000")),
        ("search:runs/a:64", ("runs/a", "")),
        ("tactical", ("tactical", "")),
        ("mcts:64", ("mcts:64", "")),
        ("mppi:runs/a", ("runs/a", "")),
        ("cem:runs/a=1@best:horizon=8:noise=[0.1]", ("runs/a=1", "best")),
        ("mppi:horizon=8", ("mppi:horizon=8", "")),
        ("lqr:state_weights={qpos: 1}", ("lqr:state_weights={qpos: 1}", "")),
    ],
)
def test_the_run_in_a_name(name, run):
    assert named_run(name) == run


def test_numbers_between_colons_are_no_emoji(simrl, tmp_path):
    words = ("--env", "tic-tac-toe", "--out", tmp_path / "game.jsonl")
    code, out, _ = simrl("play", "mcts:100", "mcts:100:solve=false", *words)
    assert code == 0 and "mcts:100:solve=false" in out.replace("\n", "")
