"""The loop that learns a reward beside a policy: schedule, counts, questions, what it learns."""

import dataclasses

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.preferences.collect_loop import PreferenceLoop, QueryConfig
from simrl.preferences.questions import News, ScriptedAnswers
from simrl.preferences.relabel import RelabelByReward
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.reward_training import RewardTrainer, RewardTrainerConfig
from simrl.preferences.selection import SELECTORS
from simrl.preferences.teachers import ScriptedTeacher, teacher_config
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.random import RandomPolicy

SMALL = QueryConfig(
    labels=60, first=12, per_round=8, segment=10, recording=2, pool=400, schedule="constant"
)


class Watcher(RandomPolicy):
    """Act at random, and have the buffer keep what a network would read."""

    def __init__(self, spec):
        super().__init__(spec)
        self.reads = self.reads | {"policy"}


class Played:
    """Let a random policy play under a loop; each collected buffer moves the run on."""

    def __init__(self, config=SMALL, env="pendulum", teacher="oracle", source=None, **options):
        self.env = make_env(env, 8, **options)
        spec = self.env.spec
        ensemble = RewardEnsemble(spec, RewardModelConfig(hidden=(16,)))
        trainer = RewardTrainer(ensemble, RewardTrainerConfig(epochs=3, batch_size=16))
        self.teacher = ScriptedTeacher(teacher_config(teacher), spec)
        self.loop = PreferenceLoop(
            self.env,
            trainer,
            RelabelByReward(ensemble, spec, gamma=0.9),
            source or ScriptedAnswers(self.teacher),
            config,
            seed=1,
        )
        seating = Seating.self_play(self.env, Watcher(spec))
        self.engine = RolloutEngine(self.env, seating, seed=0, observers=[self.loop.recorder])
        self.done = 0
        self.loop.fraction = lambda: self.done / 40

    def update(self, steps=10):
        self.buffer = self.engine.collect(steps)
        figures = self.loop(self.buffer)
        self.done += 1
        return figures


def test_schedules_ask_first_and_end_with_all():
    constant = dataclasses.replace(SMALL, until=0.5)
    assert [constant.due(x) for x in (0.0, 0.25, 0.5, 1.0)] == [12, 36, 60, 60]
    early = dataclasses.replace(constant, schedule="hyperbolic")
    # ln(1 + 9 / 2) / ln 10 = 0.7404 of the 48 that are left.
    assert [early.due(x) for x in (0.0, 0.25, 0.5)] == [12, 48, 60]
    few = dataclasses.replace(SMALL, labels=5)
    assert few.due(0.0) == few.due(1.0) == 5
    late = QueryConfig(labels=60, first=12, start=0.2, until=0.6, schedule="constant")
    assert [late.due(x) for x in (0.0, 0.19, 0.2, 0.4, 0.6)] == [0, 0, 12, 36, 60]


def test_nothing_is_learned_before_the_first_answers():
    played = Played()
    # 8 segments per 10 steps, handed over after 20: 26 are needed for the first 12 questions.
    assert played.update() is None and played.loop.source.asked == 0
    assert played.update() is None and played.loop.pool.added == 16
    assert played.update() is None
    figures = played.update()
    assert figures is not None and played.loop.pool.added == 32
    figures = played.loop.figures()
    assert figures["prefs/asked"] == figures["prefs/answered"] == figures["prefs/pairs"] == 12
    expected = played.loop.trainer.ensemble.reward(
        played.buffer.obs["policy"], played.buffer.action
    )
    assert torch.equal(played.buffer.reward, expected)


def test_ties_alone_make_no_reward():
    # Every segment of a cart-pole that stands pays the same: the teacher calls each pair a tie.
    played = Played(dataclasses.replace(SMALL, segment=2), env="cart-pole")
    figures = [played.update(steps=2) for _ in range(20)]
    data = played.loop.data
    decided = (data.label != 0.5).any()
    assert played.loop.source.asked >= 12 and not decided
    assert figures == [None] * 20 and played.loop.trainer.fits == 0


def test_all_labels_are_asked_and_no_more():
    played = Played()
    rounds = {played.update() and played.loop.source.asked for _ in range(40)}
    assert sorted(rounds - {None}) == [12, 20, 28, 36, 44, 52, 60]
    assert len(played.loop.data) == 60
    keys = played.loop.data.key
    assert torch.equal(keys.sort().values, torch.arange(60))


def test_skipped_questions_are_spent_but_teach_nothing():
    # Every step of a cart-pole pays 1, so what falls early is below a tenth... of a high margin.
    played = Played(env="cart-pole", teacher="skip")
    for _ in range(39):
        played.update()
        played.teacher.margin = 60.0  # threshold 6: pairs of two short ends are refused
    source = played.loop.source
    assert source.asked == 60 and 0 < source.answered < 60
    assert len(played.loop.data) == source.answered


def test_labels_name_the_better_segment():
    played = Played()
    for _ in range(39):
        played.update()
    data = played.loop.data
    gap = (data.first.reward - data.second.reward).sum(-1)
    assert torch.equal(data.label, (gap > 0).float())


@pytest.mark.parametrize("selection", SELECTORS)
def test_every_selection_asks_about_different_segments(selection):
    played = Played(dataclasses.replace(SMALL, selection=selection))
    for _ in range(39):
        played.update()
    assert len(played.loop.data) == 60
    for side in (played.loop.data.first, played.loop.data.second):
        assert len(side.obs.flatten(1).unique(dim=0)) > 20


def test_disagreement_is_higher_on_what_is_asked_than_on_what_is_drawn():
    played = Played()
    for _ in range(20):
        played.update()
    loop = played.loop
    asked = []
    ask = loop.source.ask
    loop.source.ask = lambda first, second, pool: (
        asked.append((first, second)),
        ask(first, second, pool),
    )
    loop.ask()

    def spread(first, second):
        logit = loop.trainer.ensemble.logits(loop.pool.get(first), loop.pool.get(second))
        return float(torch.sigmoid(logit).std(0).mean())

    generator = torch.Generator().manual_seed(3)
    drawn = loop.pool.sample(200, generator).view(2, -1)
    assert spread(*asked[0]) > 1.2 * spread(*drawn)


def test_held_out_pairs_lie_on_one_side():
    config = dataclasses.replace(SMALL, held_out=0.4)
    played = Played(config, max_steps=20)  # many short episodes
    for _ in range(39):
        figures = played.update()
    learn, held = played.loop.data.split(0.4, played.loop.seed)
    assert len(learn) + len(held) == 60 and len(held) > 5
    assert 0.0 <= figures["reward/held_out_accuracy"] <= 1.0


def test_only_judged_seats_are_asked_about():
    env = make_env("tic-tac-toe", 8)
    spec = env.spec
    ensemble = RewardEnsemble(spec, RewardModelConfig(hidden=(8,)))
    teacher = ScriptedAnswers(ScriptedTeacher(teacher_config("oracle"), spec))
    loop = PreferenceLoop(
        env,
        RewardTrainer(ensemble),
        RelabelByReward(ensemble, spec, gamma=0.9),
        teacher,
        SMALL,
        seed=0,
    )
    loop.judged = torch.zeros(8, 2, dtype=torch.bool)
    loop.judged[3, 1] = True
    seen = []
    observe = loop.source.observe
    loop.source.observe = lambda recording: (seen.append(recording), observe(recording))
    seating = Seating.self_play(env, RandomPolicy(spec))
    RolloutEngine(env, seating, seed=0, observers=[loop.recorder]).collect(60)
    rows = {
        (int(row), int(seat))
        for part in seen
        for row, seat in zip(part.origins.row, part.origins.seat, strict=True)
    }
    assert rows == {(3, 1)} and loop.pool.added == sum(len(part.ids) for part in seen)


class SlowPeople:
    """Stand in for people: questions wait until the test answers them."""

    def __init__(self):
        self.asked, self.answered, self.waiting, self.news = 0, 0, [], News()

    @property
    def open(self):
        return len(self.waiting)

    def observe(self, recording):
        pass

    def candidates(self, pool, count, generator):
        return pool.sample(count, generator)

    def ask(self, first, second, pool):
        self.asked += len(first)
        self.waiting += [(pool.get(first), pool.get(second))]

    def poll(self):
        news, self.news = self.news, News()
        return news


def test_training_never_blocks_and_asks_no_more_than_may_wait():
    played = Played(dataclasses.replace(SMALL, open=1, wait=1), source=SlowPeople())
    for _ in range(30):
        assert played.update() is None
    assert played.loop.source.asked == 12 and played.loop.waits


def test_who_waits_for_more_answers_than_one_round_gives_is_asked_the_next():
    from simrl.preferences.questions import Answered

    people = SlowPeople()
    played = Played(dataclasses.replace(SMALL, labels=24, first=8, wait=20), source=people)
    rounds = []
    for _ in range(30):
        if played.update() is not None:
            break
        if played.loop.waits:
            first, second = people.waiting.pop()
            index = torch.arange(len(first) - 1)  # one of each round cannot be compared
            pairs = first.select(index), second.select(index)
            people.news = News(Answered(*pairs, torch.ones(len(index)), people.asked + index))
            rounds.append(len(first))
    # 24 questions of which 21 got a label: enough after three rounds, long before the schedule.
    assert rounds == [8, 8, 8] and len(played.loop.data) == 21 and played.done < 20


def test_who_waits_for_more_answers_than_all_questions_give_learns_in_the_end():
    from simrl.preferences.questions import Answered

    people = SlowPeople()
    played = Played(dataclasses.replace(SMALL, labels=8, first=8, wait=8), source=people)
    while not played.loop.waits:
        played.update()
    first, second = people.waiting.pop()
    index = torch.arange(5)  # the others cannot be compared
    pairs = first.select(index), second.select(index)
    people.news = News(Answered(*pairs, torch.ones(5), index))
    assert played.update() is not None and not played.loop.waits and len(played.loop.data) == 5


def test_an_answer_that_is_taken_back_is_forgotten():
    from simrl.preferences.questions import Answered

    people = SlowPeople()
    played = Played(source=people)
    for _ in range(6):
        played.update()
    first, second = people.waiting.pop(0)
    label = torch.ones(len(first))
    people.news = News(Answered(first, second, label, torch.arange(12)))
    assert played.update() is not None and len(played.loop.data) == 12
    people.news = News(None, torch.tensor([3, 5]))
    played.update()
    assert len(played.loop.data) == 10 and not {3, 5} & set(played.loop.data.key.tolist())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"labels": 0}, "labels must be at least 1"),
        ({"until": 1.5}, "until must be above 0"),
        ({"pool": 20}, "pool must hold at least 26 segments"),
        ({"wait": 61}, "wait must be from 0 to the number of labels, 60, got 61"),
        ({"schedule": "late"}, "unknown schedule 'late'; the schedules are constant, hyperbolic"),
        ({"selection": "best"}, "unknown selection 'best'; the rules are uniform"),
    ],
)
def test_values_that_will_not_do_are_told(change, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(SMALL, **change)
