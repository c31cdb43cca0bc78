"""Policies by the names that people type."""

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.runs.policies import named_policy


def act(name):
    env = make_env("double-integrator", 2)
    obs = env.reset(seed=3)
    policy = named_policy(name, env.spec, {})
    rows = {group: obs[group] if group == "state" else obs[group][:, 0] for group in policy.reads}
    rows["seat"] = torch.zeros(2, dtype=torch.int64)
    state = policy.initial_state(2)
    return policy.act(rows, state, torch.Generator().manual_seed(0), deterministic=True).action


def test_options_follow_the_name_of_a_controller():
    assert not torch.equal(act("mppi:samples=4"), act("mppi:samples=64:horizon=9"))
    assert torch.equal(act("mppi:samples=64"), act("mppi:samples=64"))


def test_a_value_may_be_a_mapping_with_colons():
    weights = "lqr:state_weights={qpos: [4], qvel: 1}:preview=9"
    assert not torch.equal(act(weights), act("lqr:preview=9"))
    # The same weights in other words: numbers stand for all of their part.
    assert torch.equal(act(weights), act("lqr:state_weights={qpos: 4.0, qvel: [1e0]}:preview=9"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mppi:sampels=4", "mppi has no option 'sampels'; its options are .*samples"),
        ("mppi:samples", "an option is NAME=VALUE, got 'samples'"),
        ("lqr:preview=few", "lqr: preview must be a whole number, got 'few'"),
        ("lqr:control_weights=0.5", "lqr: control_weights must be a list of numbers, got 0.5"),
        ("mpi:samples=4", "unknown policy 'mpi:samples=4'"),
    ],
)
def test_a_mistyped_controller_gets_one_clear_error(name, problem):
    with pytest.raises(ValueError, match=problem):
        act(name)
