"""The single-agent tasks and their known optima."""

import numpy as np
import pytest
import torch

from simrl.core.checks import random_action
from simrl.core.plugins import make_env, make_scripted
from simrl_envs.toy.rules.double_integrator import DoubleIntegratorConfig, optimal_gain
from simrl_envs.toy.streams import first_states


def test_identity_pays_for_the_shown_number():
    env = make_env("identity", 50)
    obs = env.reset(0)
    for _ in range(10):
        shown = obs["policy"][:, 0].argmax(-1)
        answer = shown.clone()
        answer[:10] = (answer[:10] + 1) % 4
        step = env.step(answer.view(50, 1, 1))
        assert step.reward[:, 0].tolist() == [0.0] * 10 + [1.0] * 40
        obs = step.obs


def test_identity_heads_optimum_and_shares():
    env = make_env("identity-heads", 200)
    obs = env.reset(0)
    parts = obs["policy"][:, 0].split([4, 6, 5], dim=-1)
    wanted = torch.stack([part.argmax(-1) for part in parts], dim=-1)
    used = env.spec.actions.used(obs["action_mask"][:, 0], wanted[:, 0])
    # Buttons 0..3 use 1, 2, 2, 3 heads.
    assert torch.equal(used.sum(-1), torch.tensor([1, 2, 2, 3])[wanted[:, 0]])
    start = env.snapshot()
    best = env.step((wanted * used)[:, None]).reward[:, 0]
    assert (best == 1.0).all()
    # A wrong direction, where another is legal, costs its share: 1/2 or, with three heads, 1/3.
    obs = env.restore(start)
    legal = env.spec.actions.head_mask(obs["action_mask"][:, 0], 1).clone()
    legal[torch.arange(200), wanted[:, 1]] = False
    wrong = wanted.clone()
    wrong[:, 1] = torch.where(legal.any(-1), legal.int().argmax(-1), wanted[:, 1])
    missed = used[:, 1] & legal.any(-1)
    reward = env.step((wrong * used)[:, None]).reward[:, 0]
    expected = torch.where(missed, 1 - 1 / used.sum(-1), 1.0)
    assert torch.allclose(reward, expected)
    assert missed.sum() > 50


def test_identity_heads_wrong_button_pays_nothing():
    env = make_env("identity-heads", 200)
    obs = env.reset(1)
    action = random_action(env.spec, obs, torch.Generator().manual_seed(0))
    wrong = action[:, 0, 0] != obs["policy"][:, 0, :4].argmax(-1)
    assert (env.step(action).reward[wrong, 0] == 0).all()
    assert wrong.any()


def test_identity_continuous_costs_the_mean_square():
    env = make_env("identity-continuous", 3)
    shown = env.reset(0)["policy"].clone()
    offset = torch.tensor([0.0, 0.1, 0.2]).view(3, 1, 1)
    start = env.snapshot()
    reward = env.step((shown + offset).clamp(-1, 1)).reward[0]
    assert reward.abs().max() < 1e-7
    # An action beyond its bounds counts as the bound.
    env.restore(start)
    reward = env.step(torch.full((3, 1, 2), 7.0)).reward[:, 0]
    assert torch.allclose(reward, -(1 - shown[:, 0]).square().mean(-1), atol=1e-6)


def test_memory_shows_the_cue_once_and_asks_later():
    env = make_env("memory", 40, delay=3)
    obs = env.reset(0)
    cue = obs["policy"][:, 0, :4].argmax(-1).clone()
    assert (obs["policy"][:, 0].sum(-1) == 1).all()
    for step_index in range(3):
        step = env.step(torch.zeros(40, 1, 1, dtype=torch.int64))
        assert not step.done.any() and (step.reward == 0).all()
        assert (step.obs["policy"][:, 0, :4] == 0).all()
        assert (step.obs["policy"][:, 0, 4] == (step_index == 2)).all()
    answer = cue.clone()
    answer[:5] = (answer[:5] + 1) % 4
    step = env.step(answer.view(40, 1, 1))
    assert step.terminated.all()
    assert step.reward[:, 0].tolist() == [0.0] * 5 + [1.0] * 35
    assert sorted(cue.unique().tolist()) == [0, 1, 2, 3]


def test_lqr_reaches_the_riccati_cost():
    config = DoubleIntegratorConfig()
    _, p = optimal_gain(config)
    env, policy = make_env("double-integrator", 20), make_scripted("double-integrator", "lqr")
    obs = env.reset(0)
    start = obs["policy"][:, 0].double().numpy()
    total = np.zeros(20)
    for _ in range(100):
        action = policy.act({"policy": obs["policy"][:, 0]}, {}, torch.Generator()).action
        step = env.step(action[:, None])
        total -= step.reward[:, 0].double().numpy()
        obs = step.obs
    assert step.truncated.all()
    # Over 10 s the remaining cost-to-go is below float32; the bound on the force is not reached.
    assert np.allclose(total, np.einsum("bi,ij,bj->b", start, p, start), rtol=1e-4)


def test_double_integrator_by_hand():
    env = make_env("double-integrator", 1)
    x, v = env.reset(0)["policy"][0, 0].double().tolist()
    step = env.step(torch.tensor([[[2.0]]]))
    # h = 0.1: x + 0.1 v + 0.005 * 2, v + 0.1 * 2; cost x^2 + 0.1 v^2 + 0.1 * 4.
    assert step.obs["policy"][0, 0].tolist() == pytest.approx([x + 0.1 * v + 0.01, v + 0.2])
    assert step.reward_terms[0, 0].tolist() == pytest.approx([x * x, v * v, 4.0])
    assert step.reward[0, 0].item() == pytest.approx(-(x * x + 0.1 * v * v + 0.4))


def test_streams_match_the_published_splitmix64():
    # The first three outputs of SplitMix64 from the state 1234567, as its reference code prints.
    from simrl_envs.toy.streams import _bits

    rows = np.zeros(1, [("rng", np.uint64)])
    rows["rng"] = 1234567
    assert _bits(rows, 3)[0].tolist() == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]


def test_row_streams_are_distinct_and_independent_of_their_number():
    many = first_states(7, 1000)
    assert len(set(many.tolist())) == 1000
    assert (first_states(7, 10) == many[:10]).all()
    assert not set(many.tolist()) & set(first_states(8, 1000).tolist())
