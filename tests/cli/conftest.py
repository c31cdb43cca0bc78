"""A small trained run that the commands can be tried on."""

import pytest

from simrl.cli import main
from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.training import start_run
from simrl.selfplay.league import LeagueConfig


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder of a tic-tac-toe run with a league and two evaluations; do not write into it."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = TrainConfig(
        env="tic-tac-toe",
        num_envs=16,
        seed=3,
        net=ActorCriticConfig(hidden=(16,)),
        ppo=PPOConfig(minibatch_size=128, epochs=1),
        loop=LoopConfig(unroll=8, steps=1500),
        league=LeagueConfig(
            self_share=0.5, scripted_share=0.25, scripted=("tactical",), snapshot_steps=400
        ),
        evaluation=EvalConfig(opponents=("tactical", "random"), games=10),
    )
    run = start_run(config, folder)
    run.evaluation.evaluate(run.loop.progress)
    run.loop.run()
    run.evaluation.evaluate(run.loop.progress)
    run.loop.save()
    if run.loop.writer is not None:
        run.loop.writer.close()
    return folder


@pytest.fixture
def simrl(capsys):
    """Run the command line; return its exit code, output and error output."""

    def call(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # --help and mistyped options leave through the parser
            code = end.code or 0
        said = capsys.readouterr()
        return code, said.out, said.err

    return call
