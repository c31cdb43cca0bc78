"""Every promise of a dynamics function, broken on purpose: check_dynamics has to notice."""

import pytest
import torch

from simrl.core.checks import CheckFailed, check_dynamics
from simrl.core.plugins import env_plugin, make_env


class Sound:
    def __init__(self):
        plugin = env_plugin("tic-tac-toe")
        self.inner = plugin.dynamics(plugin.config())

    def step(self, state, action):
        return self.alter(state, *self.inner.step(state, action))

    def alter(self, state, after, reward, discount):
        return after, reward, discount


class WrongState(Sound):
    def alter(self, state, after, reward, discount):
        after[:, 16] = 0  # the first cell
        return after, reward, discount


class WrongReward(Sound):
    def alter(self, state, after, reward, discount):
        return after, -reward, discount


class NeverEnds(Sound):
    def alter(self, state, after, reward, discount):
        return after, reward, torch.ones_like(discount)


class ChangesState(Sound):
    def alter(self, state, after, reward, discount):
        state.copy_(after)
        return after, reward, discount


class ChangesAction(Sound):
    def step(self, state, action):
        result = self.inner.step(state, action)
        action.zero_()
        return result


class Remembers(Sound):
    calls = 0

    def alter(self, state, after, reward, discount):
        self.calls += 1
        return after, reward + self.calls, discount


class MixesRows(Sound):
    def alter(self, state, after, reward, discount):
        return after, reward + len(state), discount


class WrongShape(Sound):
    def alter(self, state, after, reward, discount):
        return after, reward[:, 0], discount


class EndedGoesOn(Sound):
    def alter(self, state, after, reward, discount):
        return after, torch.where(discount[:, None] == 0, 1.0, reward), discount


class EndedLoses(Sound):
    """Show another board at the end than the environment's final_obs."""

    def alter(self, state, after, reward, discount):
        after[discount == 0, 16:25] = 0
        return after, reward, discount


class ShowsAnotherBoard(Sound):
    def observe(self, state):
        shown = dict(self.inner.observe(state))
        shown["policy"] = -shown["policy"]
        return shown


class ShowsTooLittle(Sound):
    def observe(self, state):
        return {"policy": self.inner.observe(state)["policy"]}


BROKEN = [
    (WrongState, r"next state of dynamics against snapshot\(\)"),
    (WrongReward, "reward of dynamics against env"),
    (NeverEnds, "discount of dynamics against env"),
    (ChangesState, "changed the state that it was given"),
    (ChangesAction, "changed the action that it was given"),
    (Remembers, "the same inputs again gave another reward"),
    (MixesRows, "its last row alone gave another reward"),
    (WrongShape, "reward must be torch.float32"),
    (EndedGoesOn, "reward of dynamics against env"),
    (EndedLoses, "of the ended state of dynamics against final_obs"),
    (ShowsAnotherBoard, "group 'policy' of observe against env"),
    (ShowsTooLittle, r"observe shows no group '.*', only \['policy'\]"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_broken_dynamics_is_found(broken, message):
    with pytest.raises(CheckFailed, match=message):
        check_dynamics(broken(), make_env("tic-tac-toe", 6))


def test_sound_dynamics_passes():
    check_dynamics(Sound(), make_env("tic-tac-toe", 6))


def test_an_ended_state_has_to_stay():
    class Moves(Sound):
        def step(self, state, action):
            after, reward, discount = self.inner.step(state, action)
            over = state[:, 12] != 0  # the mark "ended", after 8 bytes of stream and 4 of count
            after[over, 8] += 1
            return after, reward, discount

    with pytest.raises(CheckFailed, match="an ended state did not stay"):
        check_dynamics(Moves(), make_env("tic-tac-toe", 6))
