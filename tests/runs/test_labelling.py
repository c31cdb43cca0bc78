"""Questions about clips: every clip in turn, no pair twice, checks that measure people."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl.preferences.clips import Clip, ClipLibrary
from simrl.preferences.reward_files import save_reward_model
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.store import LabelStore
from simrl.runs.labelling import QuestionConfig, choose_pairs, make_questions, store_place


def pole_clip(number, env="cart-pole"):
    """A clip of two steps whose return is its number."""
    obs = np.full((2, 4), number / 100, np.float32)
    return Clip(
        env=env,
        env_options={},
        seat=0,
        policies=("random",),
        seed=number,
        config_hash="0" * 16,
        step_seconds=0.02,
        episode=f"e/{number}",
        snapshot=np.zeros(48, np.uint8),
        lead=np.zeros((0, 1, 1), np.int64),
        obs=obs,
        action=np.zeros((2, 1, 1), np.int64),
        reward=np.full((2, 1), number / 2, np.float32),
        reward_terms=np.zeros((2, 1, 0), np.float32),
        terminated=np.zeros(2, bool),
        truncated=np.zeros(2, bool),
        metrics={"return": float(number)},
    )


@pytest.fixture
def library(tmp_path):
    found = ClipLibrary(tmp_path)
    for number in range(10):
        found.add(pole_clip(number))
    return found


@pytest.fixture
def store(tmp_path):
    pytest.importorskip("sqlalchemy")
    with LabelStore.open(tmp_path / "labels.db") as opened:
        yield opened


def plain(**changes):
    return QuestionConfig(**{"repeat": 0.0, "attention": 0.0} | changes)


def asked(store, kind="compare"):
    return [question.clips for question in store.questions(kind)]


def test_every_clip_takes_part_equally_and_no_pair_comes_twice(store, library):
    assert make_questions(store, library, plain(count=15)) == 15
    pairs = asked(store)
    assert len({frozenset(pair) for pair in pairs}) == 15
    assert all(len(set(pair)) == 2 for pair in pairs)
    counts = Counter(itertools.chain(*pairs))
    # 15 pairs of 10 clips: three matchings of five, so every clip three times, were none repeated.
    assert set(counts) == set(library.ids())
    assert max(counts.values()) - min(counts.values()) <= 2


def test_the_count_is_what_there_is_to_be(store, library):
    assert make_questions(store, library, plain(count=5)) == 5
    assert make_questions(store, library, plain(count=5)) == 0
    assert make_questions(store, library, plain(count=8)) == 3
    assert len({frozenset(pair) for pair in asked(store)}) == 8


def test_all_pairs_are_found_and_then_no_more(store, library):
    assert make_questions(store, library, plain(count=1000)) == 45
    assert len({frozenset(pair) for pair in asked(store)}) == 45
    assert make_questions(store, library, plain(count=1000)) == 0


def test_clips_of_different_environments_are_not_compared(store, library):
    others = {library.add(pole_clip(number, "other")) for number in range(20, 26)}
    assert make_questions(store, library, plain(count=40)) == 40
    for first, second in asked(store):
        assert (first in others) == (second in others)
    assert any(first in others for first, _ in asked(store))


@pytest.mark.parametrize("kind", ["rate", "thumbs", "moment", "text", "live", "correct"])
def test_other_kinds_ask_about_each_clip_once(store, library, kind):
    config = plain(kind=kind, count=7, low=0, high=3, learner="tamer", prompt="Well?")
    assert make_questions(store, library, config) == 7
    assert make_questions(store, library, plain(kind=kind, count=20)) == 3
    questions = store.questions(kind)
    assert sorted(clip for question in questions for clip in question.clips) == sorted(
        library.ids()
    )
    assert questions[0].prompt == "Well?"
    settings = {"rate": {"low": 0, "high": 3}, "live": {"learner": "tamer"}}
    assert questions[0].settings == settings.get(kind, {})


def test_only_what_people_can_control_is_corrected(store, tmp_path):
    library = ClipLibrary(tmp_path / "robots")
    library.add(pole_clip(0, "quadrotor-hover"))
    with pytest.raises(ValueError, match="no clips that questions of kind correct"):
        make_questions(store, library, plain(kind="correct"))


def test_questions_say_where_their_clips_come_from(store, library):
    make_questions(store, library, plain(count=1, overlap=3))
    (question,) = store.questions()
    assert question.overlap == 3
    for clip, row in zip(question.clips, question.provenance["clips"], strict=True):
        assert row["snapshot"] == clip
        assert row["env"] == "cart-pole"
        assert row["policies"] == ["random"]


def test_gold_questions_are_those_that_the_return_decides(store, library):
    make_questions(store, library, plain(count=20, gold=1.0))
    gold = [question for question in store.questions() if question.gold is not None]
    assert gold
    for question in gold:
        returns = [library.meta(clip)["metrics"]["return"] for clip in question.clips]
        # The best tenth of ten clips against the worst: 9 against 0.
        assert sorted(returns) == [0.0, 9.0]
        better = "first" if returns[0] > returns[1] else "second"
        assert question.gold == {"choice": better}


def test_checks_are_strewn_in(store, library):
    config = QuestionConfig(count=30, repeat=1.0, attention=1.0)
    assert make_questions(store, library, config) == 30
    questions = store.questions()
    assert sum(question.attention for question in questions) == 30
    assert sum(question.repeat_of is not None for question in questions) > 15
    assert make_questions(store, library, config) == 0  # checks do not count


def test_k_centre_spreads_the_pairs(library):
    metas = {clip: library.meta(clip) for clip in library.ids()}
    config = plain(select="k-centre", count=3)
    pairs = choose_pairs(library, metas, set(), 3, config)
    assert len({frozenset(pair) for pair in pairs}) == 3


def test_disagreement_asks_a_reward_model(library, tmp_path):
    spec = make_env("cart-pole", 1).spec
    torch.manual_seed(0)
    ensemble = RewardEnsemble(spec, RewardModelConfig(members=3, hidden=(8,)))
    save_reward_model(ensemble, tmp_path / "model")
    metas = {clip: library.meta(clip) for clip in library.ids()}
    config = plain(select="disagreement", count=4, reward_model=tmp_path / "model")
    chosen = choose_pairs(library, metas, set(), 4, config)
    assert len(chosen) == 4

    def spread(pairs):
        one, two = (library.segments([pair[side] for pair in pairs], 2) for side in (0, 1))
        with torch.no_grad():
            logit = ensemble.segment_returns(one) - ensemble.segment_returns(two)
        return logit.sigmoid().std(0, correction=0).tolist()

    # 32 random pairs were offered out of 45; the chosen are among the most disputed of all.
    everything = list(itertools.combinations(library.ids(), 2))
    assert min(spread(chosen)) > np.median(spread(everything))


def test_bad_wishes_are_named(store, library, tmp_path):
    with pytest.raises(ValueError, match="the rule entropy needs a reward model"):
        make_questions(store, library, plain(select="entropy"))
    with pytest.raises(ValueError, match="holds no two clips"):
        make_questions(store, ClipLibrary(tmp_path / "empty"), plain())
    with pytest.raises(ValueError, match="compare nothing"):
        plain(kind="rate", select="k-centre")
    with pytest.raises(ValueError, match="lowest rating must be below"):
        plain(kind="rate", low=5)
    with pytest.raises(ValueError, match="at least 1"):
        plain(count=0)


def test_where_labels_are(tmp_path):
    assert store_place(tmp_path) == str(tmp_path / "labels.db")
    assert store_place(tmp_path / "new") == str(tmp_path / "new" / "labels.db")
    assert store_place(tmp_path, str(tmp_path / "other.db")) == str(tmp_path / "other.db")
    assert store_place(tmp_path, "postgresql://h/n") == "postgresql://h/n"
