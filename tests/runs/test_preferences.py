"""Runs on a learned reward: resumed bit for bit, started from other runs, answered by people."""

import dataclasses
import shutil

import pytest
import torch

from simrl.learn.checkpoint import Checkpoints
from simrl.learn.loop import LoopConfig
from simrl.learn.metrics import read_metrics
from simrl.learn.ppo import PPOConfig
from simrl.nn.actor_critic import ActorCriticConfig
from simrl.preferences.collect_loop import QueryConfig
from simrl.preferences.relabel import RelabelConfig
from simrl.preferences.reward_model import RewardModelConfig
from simrl.preferences.reward_training import RewardTrainerConfig
from simrl.preferences.store.planning import CheckRates
from simrl.runs.config import EvalConfig, TrainConfig
from simrl.runs.page import PageConfig
from simrl.runs.policies import load_run_policy
from simrl.runs.preference_presets import PRESETS, preset
from simrl.runs.preferences import (
    PreferenceConfig,
    build_preferences,
    preference_config,
    resume_preferences,
    start_preferences,
)
from simrl.runs.preferences_report import preference_figures
from simrl.runs.training import build_run, resume_run, start_run
from simrl.runs.weights import start_from

STEPS = 1600


def train_config(env="double-integrator", steps=STEPS, every=1000, **changes) -> TrainConfig:
    return TrainConfig(
        env=env,
        num_envs=8,
        seed=5,
        net=ActorCriticConfig(hidden=(16,)),
        ppo=PPOConfig(minibatch_size=64, epochs=2, normalise_value=True, gamma=0.9),
        loop=LoopConfig(unroll=10, steps=steps, checkpoint_updates=every),
        evaluation=EvalConfig(games=2, every_minutes=1000.0),
        **changes,
    )


def small(**changes) -> PreferenceConfig:
    config = PreferenceConfig(
        train=train_config(),
        teacher="noisy",
        queries=QueryConfig(
            labels=40, first=10, per_round=6, segment=6, recording=3, pool=200, selection="k-centre"
        ),
        model=RewardModelConfig(hidden=(16,)),
        fit=RewardTrainerConfig(epochs=3, batch_size=16),
    )
    return dataclasses.replace(config, **changes)


def tensors(folder) -> dict[str, torch.Tensor]:
    _, state = Checkpoints(folder / "checkpoints").load_newest()
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


@pytest.mark.parametrize("mode", ["replace", "add"])
def test_resume_continues_bit_for_bit(tmp_path, mode):
    config = small(relabel=RelabelConfig(mode=mode))
    start_preferences(config, tmp_path / "whole").run.loop.run()
    part = start_preferences(config, tmp_path / "parts").run.loop
    part.run(stop=lambda: part.progress.steps >= 800)  # in the middle of a recording
    assert len(part.parts["preferences"].recorder.state_dict()["steps"]) > 0
    resumed = resume_preferences(tmp_path / "parts")
    assert 0 < resumed.loop.source.asked < 40
    resumed.run.loop.run()
    one, two = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert one.keys() == two.keys() and len(one) > 60
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    assert resumed.loop.source.asked == 40
    figures = preference_figures(tmp_path / "parts")
    assert figures["prefs/asked"] == figures["prefs/answered"] == 40
    assert {"reward/accuracy", "prefs/correlation"} <= figures.keys()


def test_a_network_of_the_added_reward_plays_as_a_policy(tmp_path):
    run = start_preferences(small(relabel=RelabelConfig(mode="add")), tmp_path / "run").run
    run.loop.run(stop=lambda: True)
    policy = load_run_policy(tmp_path / "run")
    assert policy.net.spec.value_groups == ("state", "effort", "preference")
    own = run.net.state_dict()
    assert all(torch.equal(own[name], value) for name, value in policy.net.state_dict().items())


def test_a_new_value_group_starts_at_zero_beside_the_trained_ones(tmp_path):
    plain = start_run(train_config(steps=400), tmp_path / "plain")
    plain.loop.run()
    config = small(relabel=RelabelConfig(mode="add"))
    begun = dataclasses.replace(config.train, init=str(tmp_path / "plain"))
    config = dataclasses.replace(config, train=begun)
    net = build_preferences(config).run.net
    obs = {"policy": torch.randn(7, 2)}
    old, new = plain.policy.net.value(obs, {}), net.value(obs, {})
    assert new.shape == (7, 3) and torch.allclose(new[:, :2], old, atol=1e-6)
    assert bool((new[:, 2] == 0).all())
    generator = torch.Generator()
    actions = [
        n.act_step(obs, {})[0].sample(generator.manual_seed(1))[0] for n in (plain.policy.net, net)
    ]
    assert torch.equal(*actions)
    other = build_run(train_config("pendulum")).policy.net
    with pytest.raises(ValueError, match="was trained in double-integrator, not in pendulum"):
        start_from(other, str(tmp_path / "plain"))
    wide = dataclasses.replace(train_config(), net=ActorCriticConfig(hidden=(32,)))
    with pytest.raises(ValueError, match="does not fit this run's"):
        start_from(build_run(wide).net, str(tmp_path / "plain"))


def test_nothing_is_learned_while_there_is_no_reward(tmp_path):
    """The policy keeps its weights until the first answers are in."""
    built = build_preferences(small())
    before = {k: v.clone() for k, v in built.run.net.state_dict().items()}
    built.run.loop.update()
    assert not built.loop.ready and built.run.loop.progress.steps == 80
    after = built.run.net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    while not built.loop.ready:
        metrics = built.run.loop.update()
    assert metrics["prefs/answered"] >= 10 and "loss/policy" in metrics
    assert not torch.equal(before["head.weight"], built.run.net.state_dict()["head.weight"])


def test_a_run_continues_when_the_one_it_began_with_is_gone(tmp_path):
    plain = start_run(train_config(steps=400), tmp_path / "plain")
    plain.loop.run()
    config = dataclasses.replace(train_config(steps=400), init=str(tmp_path / "plain"))
    start_run(config, tmp_path / "run").loop.run()
    shutil.rmtree(tmp_path / "plain")
    longer = dataclasses.replace(config, loop=dataclasses.replace(config.loop, steps=800))
    run = resume_run(tmp_path / "run", longer)
    assert run.loop.progress.steps >= 400
    run.loop.run()
    assert run.loop.progress.steps >= 800


def test_config_goes_through_its_file(tmp_path):
    config = small(terms={"effort": -1.0})
    start_preferences(config, tmp_path / "run")
    assert preference_config(tmp_path / "run") == config
    start_run(train_config(), tmp_path / "plain")
    with pytest.raises(ValueError, match=r"does not learn its reward: it has no preferences.yaml"):
        preference_config(tmp_path / "plain")
    (tmp_path / "run" / "preferences.yaml").write_text("teacher: god\n")
    with pytest.raises(ValueError, match="unknown teacher 'god'; the teachers are oracle"):
        preference_config(tmp_path / "run")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_build(name):
    if name.startswith("moba"):
        pytest.skip("the MOBA compiles for long; its path has a slow test of its own")
    config = preset(name)
    assert preset(name) == config
    small_run = dataclasses.replace(config, train=dataclasses.replace(config.train, num_envs=2))
    built = build_preferences(small_run)
    assert built.loop.config.labels >= 50


def test_unknown_preset_lists_the_presets():
    with pytest.raises(ValueError, match="unknown preset 'go'; the presets are pendulum"):
        preset("go")


def human_run(folder, *, relabel=None, every=1, **changes):
    """Start a run that asks people, with clips that nobody draws."""
    queries = dataclasses.replace(small().queries, open=5, **changes)
    config = small(teacher="human", queries=queries, train=train_config(every=every))
    built = start_preferences(
        dataclasses.replace(config, relabel=relabel or RelabelConfig()), folder
    )
    built.people.answers.submit = lambda ids: None
    built.people.answers.poll_seconds = 0.0
    built.people.answers.checks = CheckRates(gold=0.0, repeat=0.0, attention=0.0)
    return built


def answer(people, count, choice="first"):
    """Answer questions as the one person of local mode."""
    user = people.store.local_user()
    for _ in range(count):
        lease = people.store.lease(user.id)
        people.store.answer(user.id, lease.id, f"key{lease.id}", {"choice": choice}, seconds=1.0)


class TestPeople:
    """Answers go through a real store; nobody draws the clips."""

    def test_answers_teach_whenever_they_come(self, tmp_path):
        built = human_run(tmp_path / "run", wait=3)
        loop, people = built.run.loop, built.people
        loop.run(stop=lambda: loop.progress.updates >= 6 or built.loop.waits)
        assert built.loop.source.asked == 10 and built.loop.waits and not built.loop.ready
        answer(people, 4)
        answer(people, 1, "incomparable")
        loop.update()
        assert built.loop.ready and len(built.loop.data) == 4
        questions = people.store.questions("compare")
        pair = questions[0].clips
        assert torch.equal(
            built.loop.data.first.obs[0], people.library.segments([pair[0]], 6).obs[0]
        )
        assert built.loop.data.label.tolist() == [1.0] * 4
        assert questions[0].batch == "run" and questions[0].provenance["clips"][0]["seed"] == 5
        clip = people.library.get(pair[0])
        assert clip.policies == ("learner",) and len(clip.action) == 6
        people.close()

    def test_an_answer_taken_back_is_forgotten(self, tmp_path):
        built = human_run(tmp_path / "run")
        loop, people = built.run.loop, built.people
        loop.run(stop=lambda: built.loop.source.asked > 0)
        answer(people, 3)
        loop.update()
        assert len(built.loop.data) == 3 and built.loop.source.answered == 3
        people.store.undo(people.store.local_user().id)
        loop.update()
        assert len(built.loop.data) == 2 and built.loop.source.answered == 2
        answer(people, 1, "tie")
        loop.update()
        assert built.loop.data.label.tolist() == [1.0, 1.0, 0.5]
        people.close()

    def test_a_killed_run_loses_no_answer(self, tmp_path):
        built = human_run(tmp_path / "run")
        loop = built.run.loop
        loop.run(stop=lambda: built.loop.source.asked > 0)
        answer(built.people, 2)
        loop.update()  # saves two answers
        answer(built.people, 3, "second")  # the run dies before it sees these
        asked = built.loop.source.asked
        built.people.close()
        again = resume_preferences(tmp_path / "run")
        again.people.answers.submit = lambda ids: None
        assert again.loop.source.asked == asked and again.loop.source.answered == 2
        again.run.loop.update()
        assert sorted(again.loop.data.label.tolist()) == [0.0, 0.0, 0.0, 1.0, 1.0]
        assert len(again.loop.data.key.unique()) == 5
        again.people.close()

    def test_questions_that_measure_people_are_not_learned_from(self, tmp_path):
        built = human_run(tmp_path / "run")
        loop, people = built.run.loop, built.people
        people.answers.checks = CheckRates(gold=0.0, repeat=0.0, attention=1.0)
        loop.run(stop=lambda: built.loop.source.asked > 0)
        assert len(people.store.questions("compare")) == 20
        assert built.loop.source.asked == built.loop.source.open == 10
        answer(people, 20)
        loop.update()
        assert len(built.loop.data) == built.loop.source.answered == 10
        people.close()
        again = resume_preferences(tmp_path / "run")
        assert again.loop.source.asked >= 10 and again.loop.source.answered == 10
        again.people.close()

    def test_no_more_questions_wait_than_allowed(self, tmp_path):
        built = human_run(tmp_path / "run")
        built.run.loop.run(stop=lambda: built.run.loop.progress.updates >= 15)
        assert built.loop.source.asked == 10  # the first round; more would be due by now
        answer(built.people, 8)
        built.run.loop.update()
        built.run.loop.update()
        assert built.loop.source.asked == 16 and built.loop.source.open == 8
        assert any("prefs/open" in line for line in read_metrics(tmp_path / "run"))
        built.people.close()

    def test_clips_hold_the_terms_of_the_environment_beside_an_added_reward(self, tmp_path):
        built = human_run(tmp_path / "run", relabel=RelabelConfig(mode="add"))
        built.run.loop.run(stop=lambda: built.loop.source.asked > 0)
        clips = [q.clips[0] for q in built.people.store.questions("compare")]
        clip = built.people.library.get(clips[0])
        assert clip.reward_terms.shape[-1] == 3
        assert clip.metrics.keys() == {"return", "position", "velocity", "effort"}
        answer(built.people, 3)
        built.run.loop.update()
        assert len(built.loop.data) == 3
        built.people.close()

    def test_clips_that_a_killed_run_had_not_drawn_are_drawn(self, tmp_path, monkeypatch):
        built = human_run(tmp_path / "run")
        built.run.loop.run(stop=lambda: built.loop.source.asked > 0)
        answer(built.people, 2)
        waiting = built.people.store.questions("compare", "open")
        built.people.close()
        again = resume_preferences(tmp_path / "run").people
        drawn = []
        monkeypatch.setattr(again.renderer, "submit", drawn.extend)
        monkeypatch.setattr("simrl.runs.people._serve", None)  # the page itself is not wanted
        again.serve(PageConfig(port=0))
        again.close()
        assert len(waiting) == 8
        assert drawn == [clip for question in waiting for clip in question.clips]

    def test_a_skipped_question_holds_nothing_up(self, tmp_path):
        built = human_run(tmp_path / "run", wait=10)
        loop, store = built.run.loop, built.people.store
        loop.run(stop=lambda: built.loop.source.asked > 0)
        person = store.local_user().id
        skipped = store.lease(person)
        store.skip(skipped, person)
        answer(built.people, 9)
        built.loop.learn()
        assert store.lease(person) is None  # whoever waited here would wait for ever
        assert built.loop.source.open == 0 and not built.loop.waits and not built.loop.ready
        loop.run(stop=lambda: built.loop.source.asked > 10)
        other = store.add_user("other", "long enough a password").id
        lease = store.lease(other)
        assert lease.question.id == skipped.question.id
        store.answer(other, lease.id, "late", {"choice": "second"}, seconds=1.0)
        built.loop.learn()
        assert built.loop.ready and built.loop.data.label.tolist() == [1.0] * 9 + [0.0]
        built.people.close()

    def test_a_run_that_dies_before_its_first_checkpoint_is_resumed(self, tmp_path, monkeypatch):
        """Waiting is no training, so no checkpoint is due however long people take."""

        class Killed(BaseException):
            pass

        def die(seconds):
            raise Killed

        built = human_run(tmp_path / "run", wait=3, every=1000)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr("simrl.runs.people.time.sleep", die)
            built.run.loop.run()
        answer(built.people, 5)
        built.people.close()
        again = resume_preferences(tmp_path / "run")
        again.people.answers.submit = lambda ids: None
        again.run.loop.update()
        assert len(again.loop.data) == 5 and again.loop.ready
        again.people.close()

    def test_a_run_knows_its_questions_wherever_its_folder_is(self, tmp_path, monkeypatch):
        built = human_run(tmp_path / "run")
        built.run.loop.run(stop=lambda: built.loop.source.asked > 0)
        built.people.close()
        (tmp_path / "run").rename(tmp_path / "moved")
        monkeypatch.chdir(tmp_path / "moved")
        again = resume_preferences(".")
        again.people.answers.submit = lambda ids: None
        assert again.loop.source.asked == again.loop.source.open == 10
        answer(again.people, 2)
        again.run.loop.update()
        assert len(again.loop.data) == 2
        again.people.close()

    def test_people_need_a_folder(self):
        with pytest.raises(ValueError, match="give the run a folder"):
            build_preferences(small(teacher="human"))


@pytest.mark.slow
def test_learned_reward_teaches_the_task():
    """A policy on 60 oracle labels comes near one on the true reward."""
    config = small(teacher="oracle")
    train = dataclasses.replace(
        config.train,
        ppo=dataclasses.replace(config.train.ppo, learning_rate=3e-3, epochs=4, entropy_coef=0.0),
        loop=LoopConfig(unroll=25, steps=16_000),
        evaluation=EvalConfig(games=50, every_minutes=1000.0, deterministic=True),
    )
    built = build_preferences(
        dataclasses.replace(
            config,
            train=train,
            queries=dataclasses.replace(config.queries, labels=60, first=20, segment=10),
            model=RewardModelConfig(hidden=(32, 32)),
            fit=RewardTrainerConfig(learning_rate=1e-3, batch_size=32),
        )
    )

    def score(run):
        return run.evaluation.evaluate(run.loop.progress)["eval/return"]

    before = score(built.run)
    built.run.loop.run()
    truth = build_run(train)
    truth.loop.run()
    assert score(built.run) > before + 0.8 * (score(truth) - before)


@pytest.mark.slow
def test_moba_agent_learns_beside_its_own_reward(tmp_path):
    """A trained MOBA agent keeps its value heads, gains one for the style, and can be resumed."""
    plain = preset("moba-style").train
    league = dataclasses.replace(plain.league, scripted=("lane-pusher",))
    few = dataclasses.replace(
        plain,
        num_envs=8,
        env_options={"max_minutes": 0.5},
        league=league,
        loop=LoopConfig(unroll=16, steps=1600),
        evaluation=EvalConfig(opponents=("random-legal",), games=2, every_minutes=1000.0),
    )
    start_run(few, tmp_path / "plain").loop.run()
    config = dataclasses.replace(
        preset("moba-style"),
        train=dataclasses.replace(
            few, init=str(tmp_path / "plain"), loop=LoopConfig(unroll=16, steps=4000)
        ),
        queries=dataclasses.replace(
            preset("moba-style").queries, labels=30, first=10, per_round=10, segment=15, rows=6
        ),
        model=RewardModelConfig(hidden=(16,)),
        fit=RewardTrainerConfig(epochs=2),
    )
    built = start_preferences(config, tmp_path / "run")
    assert built.run.env.spec.value_groups[-1] == "preference"
    built.run.loop.run(stop=lambda: built.run.loop.progress.steps >= 2000)
    # Of the rows that are recorded, only the seats that train are asked about.
    trains = built.run.loop.engine.seating.trains[:6]
    assert 0 < built.loop.pool.added <= int(trains.sum()) * (2000 // 15)
    assert built.loop.pool.get(built.loop.pool.recent(4)).obs.shape == (4, 15, 472)
    resumed = resume_preferences(tmp_path / "run")
    resumed.run.loop.run()
    assert resumed.loop.ready and resumed.loop.source.asked == 30
    terms = resumed.run.loop.engine.collect(16).reward_terms
    assert terms.shape[-1] == 13 and bool((terms[..., -1] == 0).all())
    assert load_run_policy(tmp_path / "run").net.num_values == 6
