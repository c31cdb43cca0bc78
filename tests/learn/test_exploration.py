"""How the first moves of self-play are varied."""

import pytest
import torch

from simrl.core.policy import PolicyOutput
from simrl.learn.exploration import ExplorationConfig, ExploringPolicy


class Sure:
    """Search in every second row and play slot 2; prefer slot 0 three times as much as slot 1."""

    reads = frozenset({"state"})

    def initial_state(self, num_rows):
        return {"own": torch.arange(num_rows)}

    def act(self, obs, state, rng, *, deterministic=False):
        rows = len(obs["action_mask"])
        policy = torch.tensor([0.75, 0.25, 0.0]).repeat(rows, 1)
        policy[1::2] = torch.nan
        searched = torch.arange(rows) % 2 == 0
        extras = {
            "searched": searched,
            "search_policy": policy,
            "search_policy_value": torch.zeros(rows),
        }
        return PolicyOutput(torch.full((rows, 1), 2), {"own": state["own"] + 1}, extras)


def play(config, rows=4000, moves=3, deterministic=False):
    policy = ExploringPolicy(Sure(), config)
    assert policy.reads == {"state", "action_mask"}
    mask = torch.ones(rows, 4, dtype=torch.bool)
    mask[:, 3] = False
    state = policy.initial_state(rows)
    rng = torch.Generator().manual_seed(0)
    actions = []
    for _ in range(moves):
        output = policy.act({"action_mask": mask}, state, rng, deterministic=deterministic)
        state = output.state
        actions.append(output.action[:, 0])
    assert torch.equal(state["own"], torch.arange(rows) + moves)
    return actions


def test_first_moves_are_drawn_and_later_ones_are_the_searchs():
    drawn, again, later = play(ExplorationConfig(sampled_moves=2, random_share=0.0))
    for action in (drawn, again):
        shares = torch.bincount(action[::2], minlength=4) / 2000
        # Deviation of a share: sqrt(0.75 x 0.25 / 2000) = 0.0097.
        assert shares[:2].tolist() == pytest.approx([0.75, 0.25], abs=0.04)
    assert (later == 2).all()
    assert (drawn[1::2] == 2).all()  # it did not search there


def test_some_games_open_with_random_moves():
    config = ExplorationConfig(sampled_moves=0, random_share=0.6, random_moves=2)
    drawn, again, later = play(config)
    # 0.6 of the games open at random, with one or two moves alike: 0.2 each of what is legal.
    shares = torch.bincount(drawn[::2], minlength=4) / 2000
    assert shares.tolist() == pytest.approx([0.2, 0.2, 0.6, 0.0], abs=0.04)
    assert shares[3] == 0
    shares = torch.bincount(again[::2], minlength=4) / 2000
    assert shares.tolist() == pytest.approx([0.1, 0.1, 0.8, 0.0], abs=0.04)
    assert (later == 2).all()
    # Whoever plays at random in its second move opened at random in its first.
    second = (again != 2)[::2]
    assert torch.bincount(drawn[::2][second], minlength=3).min() > 100


def test_random_openings_come_before_moves_that_are_sampled():
    drawn, again, _ = play(ExplorationConfig(sampled_moves=2, random_share=1.0, random_moves=1))
    shares = torch.bincount(drawn[::2], minlength=4) / 2000
    assert shares.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0], abs=0.04)
    shares = torch.bincount(again[::2], minlength=4) / 2000
    assert shares.tolist() == pytest.approx([0.75, 0.25, 0.0, 0.0], abs=0.04)


def test_a_low_temperature_sharpens():
    drawn = play(ExplorationConfig(sampled_moves=1, random_share=0.0, temperature=0.5))[0]
    # Squares: 9 to 1.
    shares = torch.bincount(drawn[::2], minlength=4) / 2000
    assert shares.tolist() == pytest.approx([0.9, 0.1, 0.0, 0.0], abs=0.03)


def test_deterministic_play_is_not_varied():
    assert all((action == 2).all() for action in play(ExplorationConfig(), deterministic=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampled_moves": -1}, "sampled_moves must not be negative"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"random_moves": -2}, "random_moves must not be negative"),
        ({"random_share": 2.0}, "random_share must be from 0 to 1"),
    ],
)
def test_settings_that_are_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        ExplorationConfig(**change)
