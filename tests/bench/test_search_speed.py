"""Check that mctx is measured on the same game: connect four in jax against our rules."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from simrl.core.seeding import torch_generator
from simrl.search import NetworkEvaluator, TurnModel

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts" / "bench"))

import search_speed
from search_studies import speed_games

jax = pytest.importorskip("jax")


def test_connect_four_in_jax_is_the_same_game() -> None:
    dynamics, spec = speed_games.uniform_game()
    model, rng = TurnModel(dynamics, spec), torch_generator(0, "moves")
    state = speed_games.positions(model, 300)
    seen, legal = model.view.look(state)
    action = (torch.rand(legal.shape, generator=rng) * legal).argmax(-1)
    step = model.step(state, action[:, None], rng)
    after, won, full = speed_games._play(seen[:, :84].numpy(), jax.numpy.asarray(action.numpy()))
    expected = model.view.look(step.state)[0][:, :84].numpy()
    np.testing.assert_array_equal(np.asarray(after), expected)
    np.testing.assert_array_equal(np.asarray(won), step.reward.numpy() == 1.0)
    assert (step.reward == 1.0).sum() > 3
    over = np.asarray(won) | np.asarray(full)
    np.testing.assert_array_equal(over, step.discount.numpy() == 0.0)


def test_network_in_jax_is_the_same_network() -> None:
    dynamics, spec = speed_games.uniform_game()
    model, net = TurnModel(dynamics, spec), search_speed.make_net(spec)
    state = speed_games.positions(model, 50)
    seen, legal = model.view.look(state)
    logits, value, may = speed_games._judge(speed_games._weights(net), seen[:, :84].numpy())
    judged = NetworkEvaluator(net, dynamics, spec)(state, torch_generator(0, "unused"))
    np.testing.assert_array_equal(np.asarray(may), legal.numpy())
    here = legal.numpy()
    np.testing.assert_allclose(np.asarray(logits)[here], judged.logits.numpy()[here], atol=1e-5)
    np.testing.assert_allclose(np.asarray(value), judged.value.numpy(), atol=1e-5)


def test_kilobyte_game_keeps_the_contract_of_its_rules() -> None:
    dynamics, spec = speed_games.kilobyte_game()
    model, rng = TurnModel(dynamics, spec), torch_generator(0, "moves")
    state = torch.randint(2, (4, spec.state_size), generator=rng, dtype=torch.uint8)
    seen = dynamics.observe(state)
    rows = torch.arange(4)
    mover = dynamics.mover(state)
    look, legal = model.view.look(state)
    torch.testing.assert_close(look, seen["policy"][rows, mover])
    assert torch.equal(legal, seen["action_mask"][rows, mover, :7])
    joint = torch.full((4, 2, 1), 7)
    joint[rows, mover] = 3
    step = model.step(state, torch.full((4, 1), 3), rng)
    assert torch.equal(step.state, dynamics.step(state, joint)[0])
    assert step.discount.tolist() == [-1.0] * 4
