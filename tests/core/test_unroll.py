"""Stepping whole action sequences through a model."""

import pytest
import torch

from simrl.core import Dynamics, RolloutDynamics, unroll


class Adder:
    """state' = state + action, reward = state', ends at 3."""

    def step(self, state, action):
        state = state + action[:, 0]
        return state, state.clone(), (state[:, 0] < 3).float()


class NativeAdder(Adder):
    def rollout(self, state, actions):
        states = state[:, None] + actions[:, :, 0].cumsum(1)
        return states, states.clone(), torch.full(states.shape[:2], 7.0)


def test_unroll_steps_a_model_that_only_steps():
    # From 0 and 1, actions 1, 2: states 1, 3 and 2, 4; the second step of both ends the task.
    state = torch.tensor([[0.0], [1.0]])
    actions = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1).expand(2, 2, 1, 1)
    states, rewards, discounts = unroll(Adder(), state, actions)
    assert states.tolist() == [[[1.0], [3.0]], [[2.0], [4.0]]]
    assert rewards.tolist() == states.tolist()
    assert discounts.tolist() == [[1.0, 0.0], [1.0, 0.0]]


def test_unroll_prefers_the_native_rollout():
    assert isinstance(Adder(), Dynamics)
    assert not isinstance(Adder(), RolloutDynamics)
    _, _, discounts = unroll(NativeAdder(), torch.zeros(1, 1), torch.ones(1, 2, 1, 1))
    assert discounts.tolist() == [[7.0, 7.0]]


@pytest.mark.parametrize("shape", [(2, 3, 1), (1, 3, 1, 1), (2, 0, 1, 1)])
def test_unroll_refuses_actions_that_do_not_fit(shape):
    with pytest.raises(ValueError, match="expected actions"):
        unroll(Adder(), torch.zeros(2, 1), torch.zeros(shape))
