"""A run that was killed and resumed ends with the same bits as one that was left alone."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from simrl.learn.checkpoint import Checkpoints
from simrl.learn.loop import LoopConfig
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.runs.config import EvalConfig, TrainConfig, save_config
from simrl.runs.evaluation import drop_evaluations_after, read_evaluations
from simrl.runs.training import resume_run, start_run
from simrl.selfplay.league import LeagueConfig

STEPS = 2048


def small(env: str, recurrent: str) -> TrainConfig:
    return TrainConfig(
        env=env,
        num_envs=8,
        seed=5,
        net=ActorCriticConfig(hidden=(16,), recurrent=recurrent, recurrent_width=16),
        ppo=PPOConfig(
            minibatch_size=64,
            epochs=2,
            learning_rate_schedule="linear",
            normalise_value=True,
        ),
        loop=LoopConfig(unroll=8, steps=STEPS, checkpoint_updates=1),
        league=LeagueConfig(
            self_share=0.5, snapshot_steps=256, max_snapshots=3, seated_snapshots=1
        ),
        evaluation=EvalConfig(opponents=("random",), games=2, every_minutes=1000.0),
    )


def final_tensors(folder) -> dict[str, torch.Tensor]:
    step, state = Checkpoints(folder / "checkpoints").load_newest()
    assert step >= STEPS
    flat = {}

    def visit(value, path):
        if isinstance(value, torch.Tensor):
            flat[path] = value
        elif isinstance(value, dict):
            for key, item in value.items():
                visit(item, f"{path}/{key}")
        elif isinstance(value, list):
            for index, item in enumerate(value):
                visit(item, f"{path}/{index}")

    visit(state["parts"], "")
    return flat


def assert_same(one, other):
    first, second = final_tensors(one), final_tensors(other)
    assert first.keys() == second.keys()
    assert len(first) > 20
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []


@pytest.mark.parametrize(("env", "recurrent"), [("connect-four", "none"), ("tic-tac-toe", "lstm")])
def test_resume_continues_bit_for_bit(tmp_path, env, recurrent):
    config = small(env, recurrent)
    start_run(config, tmp_path / "whole").loop.run()
    part = start_run(config, tmp_path / "parts")
    part.loop.run(stop=lambda: part.loop.progress.steps >= STEPS // 2)
    assert part.loop.progress.steps < STEPS
    resume_run(tmp_path / "parts").loop.run()
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_two_thousand_steps_equal_one_thousand_kill_and_resume(tmp_path):
    config = small("moba-1v1", "lstm")
    start_run(config, tmp_path / "whole").loop.run()
    save_config(config, tmp_path / "config.yaml")
    program = (
        "import sys, time, torch; torch.set_num_threads(1)\n"
        "from simrl.runs.config import load_config\n"
        "from simrl.runs.training import start_run\n"
        "run = start_run(load_config(sys.argv[1]), sys.argv[2])\n"
        "while run.loop.progress.steps < 1024: run.loop.update()\n"
        "print('half', flush=True)\n"
        "while True: run.loop.update(); time.sleep(0.3)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "config.yaml"), str(tmp_path / "parts")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    newest = Checkpoints(tmp_path / "parts" / "checkpoints").steps()[-1]
    assert newest >= 1024
    if newest >= STEPS:
        pytest.fail("the process was killed too late for this test to mean anything")
    resume_run(tmp_path / "parts").loop.run()
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_the_same_seed_gives_the_same_bits_and_another_does_not(tmp_path):
    config = small("tic-tac-toe", "none")
    for name in ("one", "two"):
        start_run(config, tmp_path / name).loop.run()
    start_run(dataclasses.replace(config, seed=6), tmp_path / "three").loop.run()
    assert_same(tmp_path / "one", tmp_path / "two")
    one, three = final_tensors(tmp_path / "one"), final_tensors(tmp_path / "three")
    assert any(not torch.equal(one[name], three[name]) for name in one)


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    start_run(small("tic-tac-toe", "none"), tmp_path / "run")
    with pytest.raises(ValueError, match="holds a run already"):
        start_run(small("tic-tac-toe", "none"), tmp_path / "run")


def test_resuming_nothing_names_the_folder(tmp_path):
    with pytest.raises(ValueError, match="is not a run"):
        resume_run(tmp_path)


def test_evaluations_of_a_stretch_that_was_cut_off_are_forgotten(tmp_path):
    lines = [{"step": step, "minutes": 1.0, "return": 0.0} for step in (10, 20, 30)]
    path = tmp_path / "evaluation.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    drop_evaluations_after(tmp_path, 20)
    assert [line["step"] for line in read_evaluations(tmp_path)] == [10, 20]
