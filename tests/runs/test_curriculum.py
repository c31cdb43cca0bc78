"""Curricula: when stages change, that resumed runs continue in their stage, and wrong settings."""

from dataclasses import replace

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.learn.loop import LoopConfig, Progress
from simrl.learn.ppo import PPOConfig
from simrl.nn import ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.random import RandomPolicy
from simrl.runs.config import TrainConfig, from_dict, to_dict
from simrl.runs.curriculum import Curriculum, CurriculumConfig
from simrl.runs.training import Additions, build_run, resume_run, start_run

SECONDS = ({"seconds": 0.1}, {"seconds": 0.2}, {})
"""Stages of the balancing task: episodes of 5 steps, of 10, and of the run's own 15."""
STAGES = CurriculumConfig(SECONDS, metric="length", promote=4.5, episodes=8)


def make(options):
    return make_env("cartpole-balance", 4, **{"seconds": 0.3, **options})


def build(config):
    curriculum = Curriculum(config, make)
    env = curriculum.env()
    seating = Seating.self_play(env, RandomPolicy(env.spec))
    engine = RolloutEngine(env, seating, seed=0, observers=[curriculum])
    curriculum.engine = engine
    return curriculum, engine


def test_a_stage_follows_when_enough_episodes_went_well():
    curriculum, engine = build(STAGES)
    lengths = []
    for _ in range(4):
        lengths.append(engine.env.spec.max_steps)
        engine.collect(5)
        assert curriculum.after_update(Progress(), {})["curriculum/stage"] == curriculum.stage
    # Four environments end once in five steps: the eighth episode is the second update's.  In the
    # next stage they end after ten.
    assert lengths == [5, 5, 10, 10]
    engine.collect(10)
    curriculum.after_update(Progress(), {})
    assert engine.env.spec.max_steps == 15
    engine.collect(60)
    curriculum.after_update(Progress(), {})
    assert curriculum.stage == 2  # the last one stays


def test_a_stage_is_given_up_where_it_goes_badly():
    curriculum, engine = build(replace(STAGES, promote=14.5, demote=12.0, first=1))
    engine.collect(20)
    curriculum.after_update(Progress(), {})
    assert (curriculum.stage, engine.env.spec.max_steps) == (0, 5)
    engine.collect(20)
    curriculum.after_update(Progress(), {})
    assert curriculum.stage == 0  # there is none before


def test_episodes_that_a_change_cuts_off_do_not_count():
    curriculum, engine = build(STAGES)
    engine.collect(7)  # each environment ended one episode and is within its second
    assert len(curriculum.state_dict()["recent"]) == 4
    engine.replace_env(make({"seconds": 0.2}))
    engine.collect(9)
    assert len(curriculum.state_dict()["recent"]) == 4
    buffer = engine.collect(1)
    assert buffer.truncated.all()


def config(**options):
    return TrainConfig(
        env="cartpole-balance",
        env_options={"seconds": 0.3},
        num_envs=4,
        net=ActorCriticConfig(hidden=(8,)),
        ppo=PPOConfig(minibatch_size=20, epochs=1),
        loop=LoopConfig(unroll=5, steps=20 * 12, checkpoint_updates=1),
        curriculum=replace(STAGES, **options),
    )


def weights(run):
    return list(run.loop.learner.net.parameters())


def test_a_resumed_run_continues_in_its_stage(tmp_path):
    straight = start_run(config(), tmp_path / "straight")
    straight.loop.run()
    assert straight.loop.parts["curriculum"].stage == 2
    stopped = start_run(config(), tmp_path / "stopped")
    stopped.loop.run(stop=lambda: stopped.loop.progress.updates == 3)
    assert stopped.loop.parts["curriculum"].stage == 1
    resumed = resume_run(tmp_path / "stopped")
    assert resumed.loop.engine.env.spec.max_steps == 10
    resumed.loop.run()
    for left, right in zip(weights(straight), weights(resumed), strict=True):
        assert torch.equal(left, right)


def test_configs_survive_yaml():
    assert from_dict(TrainConfig, to_dict(config())) == config()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stages": ()}, "at least one stage"),
        ({"first": 3}, "from 0 to 2"),
        ({"episodes": 0}, "at least 1"),
        ({"demote": 5.0}, "demote must be below promote"),
        ({"metric": "beauty"}, "the metrics are rmse, .*, return, length"),
        ({"stages": ({"second": 1},)}, "stage 0 of the curriculum has no option 'second'"),
    ],
)
def test_wrong_settings_are_told(wrong, message):
    with pytest.raises(ValueError, match=message):
        build_run(config(**wrong))


def test_a_learned_reward_takes_no_curriculum():
    with pytest.raises(ValueError, match="has no curriculum"):
        build_run(config(), None, Additions(env=make({})))


def test_environments_that_differ_do_not_replace_each_other():
    _, engine = build(STAGES)
    with pytest.raises(ValueError, match="its observations differ"):
        engine.replace_env(make_env("quadrotor-hover", 4))
    with pytest.raises(ValueError, match="2 environments cannot replace 4"):
        engine.replace_env(make_env("cartpole-balance", 2))
