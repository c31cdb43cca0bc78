"""B-Pref's scripted teachers against numbers worked by hand."""

import dataclasses

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.preferences.segment import SegmentBatch
from simrl.preferences.teachers import TEACHERS, ScriptedTeacher, TeacherConfig, teacher_config

SPEC = make_env("pendulum", 1).spec


def segments(*rewards, length=None, terminated=None, terms=None):
    """Make segments of three steps with these rewards."""
    reward = torch.tensor(rewards, dtype=torch.float32)
    size, steps = reward.shape
    return SegmentBatch(
        obs=torch.zeros(size, steps, 3),
        action=torch.zeros(size, steps, 1),
        reward=reward,
        reward_terms=torch.zeros(size, steps, 0) if terms is None else terms,
        length=torch.full((size,), steps) if length is None else torch.tensor(length),
        terminated=torch.zeros(size, dtype=torch.bool)
        if terminated is None
        else torch.tensor(terminated),
        episode=torch.arange(size),
    )


def teacher(name, margin=0.0, seed=0, **changes):
    config = dataclasses.replace(teacher_config(name), **changes)
    result = ScriptedTeacher(config, SPEC, seed=seed)
    result.margin = margin
    return result


def many(count):
    """Make `count` pairs of which the first is better by one."""
    return segments(*[[1.0, 1.0, 0.0]] * count), segments(*[[1.0, 0.0, 0.0]] * count)


def test_constants_are_those_of_the_paper():
    perfect = TeacherConfig(beta=-1.0, gamma=1.0, mistake=0.0, skip=0.0, equal=0.0)
    assert teacher_config("oracle") == perfect
    assert list(TEACHERS) == ["oracle", "mistake", "noisy", "skip", "myopic", "equal"]
    changed = {"mistake": 0.1, "noisy": 1.0, "skip": 0.1, "myopic": 0.9, "equal": 0.1}
    field = {"mistake": "mistake", "noisy": "beta", "skip": "skip", "myopic": "gamma"}
    for name, value in changed.items():
        expected = dataclasses.replace(perfect, **{field.get(name, "equal"): value})
        assert teacher_config(name) == expected


def test_oracle_names_the_larger_sum_and_halves_a_tie():
    first = segments([1, 0, 0], [0, 0, 1], [2, -1, 0])
    second = segments([0, 0, 2], [0, 0, 0], [0, 0, 1])
    oracle = teacher("oracle")
    assert oracle.answer(first, second).tolist() == [0.0, 1.0, 0.5]
    assert (oracle.asked, oracle.answered) == (3, 3)
    assert teacher("oracle", tie=1.0).answer(first, second).tolist() == [0.0, 1.0, 1.0]


def test_steps_that_did_not_happen_count_nothing():
    first = segments([1, 9, 9], length=[1], terminated=[True])
    second = segments([1, 1, 0])
    assert teacher("oracle").answer(first, second).tolist() == [0.0]


def test_mistake_turns_a_tenth_of_the_labels():
    wrong = 1 - teacher("mistake").answer(*many(20_000)).mean()
    assert abs(wrong - 0.1) < 0.007  # three standard errors are 0.0064


def test_noisy_follows_the_logistic_function():
    # A gap of 1 at beta 1: 1 / (1 + 1/e) = 0.731059.
    right = teacher("noisy").answer(*many(20_000)).mean()
    assert abs(right - 0.731059) < 0.0095


def test_skip_refuses_where_both_are_poor_and_counts_apart():
    first = segments([1, 0, 0], [0, 0, 1], [0, 1, 0])
    second = segments([0, 0, 0], [2, 0, 0], [1, 0, 0])
    skip = teacher("skip", margin=10.0)  # threshold 1: the larger return must be above 1
    label = skip.answer(first, second)
    assert torch.isnan(label).tolist() == [True, False, True] and label[1] == 0.0
    assert (skip.asked, skip.answered) == (3, 1)
    # A threshold that is not positive skips nothing, as in B-Pref.
    assert not torch.isnan(teacher("skip", margin=-10.0).answer(first, second)).any()


def test_myopic_is_swayed_by_the_end():
    # The first has 2.0 early, the second 1.7 late: 2 * 0.81 = 1.62 against 1.7.
    first, second = segments([2, 0, 0]), segments([0, 0, 1.7])
    assert teacher("oracle").answer(first, second).tolist() == [1.0]
    assert teacher("myopic").answer(first, second).tolist() == [0.0]
    # After a termination the absorbing steps lie between: 2.0 at step 1 of 3 still weighs 0.9.
    ended = segments([0, 2, 0], length=[2], terminated=[True])
    assert teacher("myopic").answer(ended, second).tolist() == [1.0]  # 1.8 against 1.7
    # A time limit leaves none: the last step that there is weighs 1.
    cut = segments([0, 1.6, 0], length=[2])
    assert teacher("myopic").answer(cut, segments([0, 1.7, 0])).tolist() == [1.0]  # 1.6 to 1.53


def test_equal_overrides_whatever_was_labelled():
    first, second = segments([1, 0, 0], [5, 0, 0]), segments([0, 0, 1.5], [0, 0, 3])
    equal = teacher("equal", margin=10.0)  # a threshold of 1
    assert equal.answer(first, second).tolist() == [0.5, 1.0]
    # It looks at the plain sums, before the weights, and comes after mistakes.
    mixed = teacher("equal", margin=10.0, gamma=0.1, mistake=1.0)
    assert mixed.answer(first, second).tolist() == [0.5, 1.0]  # 5 * 0.01 < 3, turned round


def test_skip_wins_over_equal():
    both = teacher("skip", margin=10.0, equal=0.1)
    assert torch.isnan(both.answer(segments([0, 0, 0.5]), segments([0, 0, 0.4]))).all()


def test_margin_is_the_mean_reward_of_a_step_times_the_steps():
    oracle = teacher("oracle")
    # 3 + 1 over 3 + 1 steps is 1 a step; three steps make 3.
    oracle.observe(segments([1, 1, 1], [1, 0, 0], length=[3, 1], terminated=[False, True]))
    assert oracle.margin == 3.0


def test_a_teacher_can_judge_by_reward_terms():
    spec = make_env("double-integrator", 1).spec  # terms position, velocity, effort
    effort = ScriptedTeacher(TeacherConfig(terms={"effort": -1.0}), spec)
    terms = torch.zeros(2, 3, 3)
    terms[0, 0, 2], terms[1, 0, 0] = 1.0, 9.0
    both = segments([5, 5, 5], [0, 0, 0], terms=terms)
    one, two = torch.tensor([0]), torch.tensor([1])
    assert effort.answer(both.select(one), both.select(two)).tolist() == [0.0]
    with pytest.raises(ValueError, match="no reward term 'kills'; its terms are position, velo"):
        ScriptedTeacher(TeacherConfig(terms={"kills": 1.0}), spec)


def test_unknown_teacher_names_the_six():
    with pytest.raises(ValueError, match="unknown teacher 'god'; the teachers are oracle, mist"):
        teacher_config("god")


def test_state_continues_bit_for_bit():
    one, two = teacher("noisy", seed=3), teacher("noisy", seed=4)
    one.answer(*many(10))
    two.load_state_dict(one.state_dict())
    assert torch.equal(one.answer(*many(50)), two.answer(*many(50)))
    assert (two.asked, two.answered) == (60, 60)
