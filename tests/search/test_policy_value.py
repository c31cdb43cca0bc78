"""The value of what a search prefers, by hand."""

from dataclasses import replace

import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.search.config import SearchConfig
from simrl.search.evaluators import UniformEvaluator
from simrl.search.search import search
from simrl.search.turn_model import TurnModel


@pytest.fixture
def result():
    plugin = env_plugin("tic-tac-toe")
    dynamics, env = plugin.dynamics(plugin.config()), make_env("tic-tac-toe", 2)
    env.reset(0)
    evaluator = UniformEvaluator(dynamics, env.spec)
    model = TurnModel(dynamics, env.spec)
    config = SearchConfig(simulations=4)
    return search(model, evaluator, env.snapshot(), config, torch.Generator().manual_seed(0))


def test_by_hand(result):
    policy, q, visits = (torch.zeros(2, 9) for _ in range(3))
    policy[0, :3] = torch.tensor([0.5, 0.25, 0.25])
    q[0, :3] = torch.tensor([1.0, -1.0, 0.0])
    visits[0, :2] = 3
    policy[1, 4] = 1.0
    q[1, 4] = 0.5  # known without a visit
    made = replace(
        result, policy=policy, q=q, visits=visits.long(), value=torch.tensor([0.2, -1.0])
    )
    # 1/2 - 1/4 + 1/4 of the root's 0.2 for the slot that was not tried.
    assert made.policy_value.tolist() == pytest.approx([0.3, 0.5])


def test_slots_that_are_not_legal_do_not_count(result):
    q = result.q.clone()
    q[:, 8] = -torch.inf
    policy = result.policy.clone()
    policy[:, 8] = 0.0
    assert torch.isfinite(replace(result, q=q, policy=policy).policy_value).all()
