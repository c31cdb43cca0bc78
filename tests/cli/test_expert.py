"""`simrl expert` trains, resumes and rates, and its runs work with the other commands."""

import json

import pytest

from simrl.cli import COMMANDS
from simrl.core.plugins import make_env
from simrl.learn.checkpoint import Checkpoints
from simrl.runs.config import run_config
from simrl.runs.expert import expert_config
from simrl.runs.policies import named_policy
from simrl.search.policy import quiet

SMALL = (
    "--num-envs",
    "16",
    "--search.simulations",
    "4",
    "--play.simulations",
    "4",
    "--snapshot-steps",
    "500",
    "--evaluation.games",
    "4",
    "--iteration.warmup",
    "300",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("expert") / "run"


@pytest.fixture
def trained(simrl, folder):
    """The folder of a short run, trained by the command once."""
    if not folder.exists():
        code, said, wrong = simrl(
            "expert", "train", "tic-tac-toe", "--out", folder, "--steps", "1500", *SMALL
        )
        assert (code, wrong) == (0, "")
        assert f"run folder: {folder}" in said
        assert "tactical" in said
        assert f"simrl report {folder}" in said
    return folder


def test_training_and_going_on(simrl, trained):
    steps = Checkpoints(trained / "checkpoints").steps()
    assert steps[-1] >= 1500
    code, _, _ = simrl(
        "expert", "train", "tic-tac-toe", "--resume", trained, "--steps", steps[-1] + 500
    )
    assert code == 0
    assert Checkpoints(trained / "checkpoints").steps()[-1] >= steps[-1] + 500


def test_the_other_commands_take_the_run(simrl, trained):
    code, said, wrong = simrl("evaluate", trained, "--games", "4", "--opponents", "random")
    assert (code, wrong) == (0, "")
    assert "random" in said
    code, _, _ = simrl("play", trained, "random", "--out", trained / "replays" / "game.jsonl")
    assert code == 0
    code, _, _ = simrl("watch", trained, "--gif", trained / "game.gif")
    assert (code, (trained / "game.gif").is_file()) == (0, True)
    code, _, _ = simrl("report", trained)
    assert code == 0
    assert "tic-tac-toe" in (trained / "report.html").read_text()


def test_the_run_searches_as_in_its_evaluations_unless_told_otherwise(trained):
    spec = make_env("tic-tac-toe", 1).spec
    own = named_policy(f"search:{trained}", spec, {})
    assert own.config.search == quiet(expert_config(trained).play)
    assert own.config.search.rule == "puct"
    asked = named_policy(f"search:{trained}:9:rule=gumbel", spec, {}).config.search
    assert (asked.simulations, asked.rule, asked.solve) == (9, "gumbel", True)
    assert run_config(trained).ppo.gamma == 1.0


def test_the_elo_curve(simrl, trained):
    words = ("expert", "elo", trained, "--snapshots", "2", "--games", "4", "--opponents", "random")
    code, said, _ = simrl(*words, "--json")
    assert code == 0
    players = [point["player"] for point in json.loads(said)]
    assert players[1:] == ["last", "random"]
    code, said, _ = simrl(*words)
    assert code == 0
    assert "last" in said


def test_help(simrl):
    assert "expert" in COMMANDS
    code, said, _ = simrl("expert", "--help")
    assert code == 0
    for words in ("connect-four", "tic-tac-toe", "simrl expert elo RUN", "--resume"):
        assert words in said
    code, said, _ = simrl("expert", "train", "connect-four", "--help")
    assert code == 0
    assert "--search.simulations" in said
    assert "Simulations of each position" in said
    assert "--ppo" not in said
    assert simrl("expert")[0] == 2
    code, said, _ = simrl("list")
    assert code == 0
    assert "simrl expert train PRESET" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learn"], "unknown action 'learn'; the actions are train, elo"),
        (["train", "chess"], "unknown preset 'chess'; the presets are connect-four, tic-tac-toe"),
        (["train", "--out", "x"], "name a preset first"),
        (["train", "tic-tac-toe", "--search.rule", "random"], "random"),
        (["train", "tic-tac-toe", "--minutes", "1", "--steps", "5"], "not both"),
        (["train", "tic-tac-toe", "--resume", "x", "--num-envs", "3"], "keeps its config"),
        (["train", "tic-tac-toe", "--resume", "nowhere"], "it has no expert.yaml"),
        (["elo", "nowhere"], "it has no expert.yaml"),
    ],
)
def test_mistakes_are_one_line(simrl, words, message):
    code, _, wrong = simrl("expert", *words)
    assert code == 2
    assert message in wrong
    assert "Traceback" not in wrong
