"""Masks of discrete actions, laid out by hand."""

import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head

# Two buttons; a direction of 3; a target of 2 that depends on the button.
ACTIONS = DiscreteActions(
    (Head("button", 2), Head("direction", 3), Head("target", 2, conditional=True)),
    selector="button",
)
# buttons | directions | targets of button 0, of button 1 | used by button 0, by button 1
MASK = torch.tensor([1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 1], dtype=torch.bool)


def test_layout_of_the_flat_mask():
    assert ACTIONS.mask_slices == (slice(0, 2), slice(2, 5), slice(5, 9))
    assert ACTIONS.used_slice == slice(9, 15)
    assert ACTIONS.mask_size == 15


def test_conditional_head_depends_on_the_choice():
    choice = torch.tensor([0, 1])
    mask = MASK.expand(2, -1)
    assert ACTIONS.head_mask(mask, 1).tolist() == [[False, True, True]] * 2
    assert ACTIONS.head_mask(mask, 2, choice).tolist() == [[False, False], [True, False]]
    used = ACTIONS.used(mask, choice)
    assert used.tolist() == [[True, True, False], [True, False, True]]
    with pytest.raises(ValueError, match="'target' depends on the choice"):
        ACTIONS.head_mask(mask, 2)


@pytest.mark.parametrize(
    ("action", "legal"),
    [
        ([0, 1, 0], [True, True, True]),  # button 0 uses no target
        ([0, 0, 0], [True, False, True]),  # direction 0 is masked
        ([1, 0, 0], [True, True, True]),  # button 1 uses no direction
        ([1, 0, 1], [True, True, False]),  # target 1 is masked for button 1
        ([0, 3, 0], [True, False, True]),  # out of range
        ([2, 1, 0], [False, True, True]),  # out of range; the other heads as for button 0
        ([-1, 1, 0], [False, True, True]),
    ],
)
def test_legality_by_hand(action, legal):
    assert ACTIONS.legal(MASK, torch.tensor(action)).tolist() == legal


def test_check_names_environment_agent_head_and_value():
    mask, action = MASK.expand(2, 2, -1), torch.tensor([[[0, 1, 0]] * 2] * 2)
    ACTIONS.check(mask, action, "game")
    action[1, 0] = torch.tensor([1, 0, 1])
    message = "game: environment 1, agent 0: value 1 of head 'target' is not legal; .* are \\[0\\]"
    with pytest.raises(ValueError, match=message):
        ACTIONS.check(mask, action, "game")


def test_without_selector_every_head_counts():
    plain = DiscreteActions((Head("a", 2), Head("b", 3)))
    assert plain.mask_size == 5 and plain.used_slice is None
    assert plain.used(torch.ones(5, dtype=torch.bool), torch.tensor(0)).tolist() == [True, True]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DiscreteActions(()), "at least one head"),
        (lambda: DiscreteActions((Head("a", 2),), selector="b"), "must be the first"),
        (lambda: DiscreteActions((Head("a", 2), Head("b", 2, True))), "needs a selector"),
        (lambda: DiscreteActions((Head("a", 2, True),), "a"), "first head cannot be conditional"),
        (lambda: ContinuousActions((0.0,), (1.0, 2.0)), "the same length"),
        (lambda: ContinuousActions((1.0,), (1.0,)), "below its high"),
    ],
)
def test_errors_of_specs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
