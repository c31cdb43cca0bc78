"""A person's keys and clicks become legal actions of the toys."""

import pytest
import torch

from simrl.core.controls import Click, Controls, PersonInput
from simrl.core.plugins import make_controls, make_env

NAMES = ["cart-pole", "pendulum", "double-integrator", "tic-tac-toe", "connect-four"]


@pytest.mark.parametrize("name", NAMES)
def test_the_contract(name):
    controls = make_controls(name)
    assert isinstance(controls, Controls)
    assert controls.reads <= {"policy", "action_mask", "state"}
    assert all(key and what for key, what in controls.keys)


def test_an_environment_without_controls_says_so():
    with pytest.raises(ValueError, match="counting has no controls"):
        make_controls("counting")


def test_cart_pole_is_pushed_by_arrows_and_keeps_the_last_push():
    controls = make_controls("cart-pole")
    right, left = frozenset({"arrowright"}), frozenset({"a"})
    assert controls.action({}, 0, PersonInput()).tolist() == [0]
    assert controls.action({}, 0, PersonInput(held=right)).tolist() == [1]
    assert controls.action({}, 0, PersonInput()).tolist() == [1]
    assert controls.action({}, 0, PersonInput(held=left)).tolist() == [0]
    # A tap between two steps counts, though the key is up again.
    assert controls.action({}, 0, PersonInput(pressed=("arrowright",))).tolist() == [1]
    controls.reset()
    assert controls.action({}, 0, PersonInput()).tolist() == [0]


def test_the_left_arrow_turns_the_pendulum_to_the_left_of_the_picture():
    env = make_env("pendulum", 1)
    env.reset(0)
    controls = make_controls("pendulum")
    action = controls.action({}, 0, PersonInput(held=frozenset({"arrowleft"})))
    assert action.tolist() == [2.0]  # anticlockwise: positive by the environment's convention
    half = controls.action({}, 0, PersonInput(held=frozenset({"arrowright", "shift"})))
    assert half.tolist() == [-1.0]
    assert controls.action({}, 0, PersonInput()).tolist() == [0.0]
    env.step(action[None, None])


def test_boards_take_clicks_on_legal_cells_and_wait_for_them():
    env = make_env("tic-tac-toe", 1)
    obs = env.reset(0)
    controls = make_controls("tic-tac-toe")
    first = {"action_mask": obs["action_mask"][0, 0]}
    second = {"action_mask": obs["action_mask"][0, 1]}
    assert controls.action(second, 1, PersonInput()).tolist() == [9]  # not its turn: wait
    assert controls.action(first, 0, PersonInput()) is None
    # The right column's middle cell is number 5 of 0 to 8.
    move = controls.action(first, 0, PersonInput(clicks=(Click(0.9, 0.5),)))
    assert move.tolist() == [5]
    obs = env.step(torch.tensor([[[5], [9]]])).obs
    second = {"action_mask": obs["action_mask"][0, 1]}
    taken = PersonInput(clicks=(Click(0.9, 0.5),))
    assert controls.action(second, 1, taken) is None
    both = PersonInput(clicks=(Click(0.0, 1.0), Click(0.9, 0.5)))
    assert controls.action(second, 1, both).tolist() == [6]  # lower left


def test_connect_four_takes_the_column():
    env = make_env("connect-four", 1)
    obs = env.reset(0)
    row = {"action_mask": obs["action_mask"][0, 0]}
    click = PersonInput(clicks=(Click(3.5 / 7, 0.1),))
    assert make_controls("connect-four").action(row, 0, click).tolist() == [3]
