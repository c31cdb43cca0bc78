"""Games that are recorded position by position, with outcomes known by hand."""

import pytest
import torch

from simrl.core.plugins import make_env
from simrl.core.policy import PolicyOutput
from simrl.learn.replay import Positions
from simrl.learn.self_play import SelfPlayRecorder
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating

GROUPS = frozenset({"policy", "action_mask"})


class Script:
    """Play the moves of a script, one for each step of an episode; say what a search would."""

    reads = GROUPS

    def __init__(self, moves):
        self.moves = torch.tensor(moves)

    def initial_state(self, num_rows):
        return {"step": torch.zeros(num_rows, dtype=torch.int64)}

    def act(self, obs, state, rng, *, deterministic=False):
        step = state["step"]
        wait = obs["action_mask"].shape[1] - 1
        moving = ~obs["action_mask"][:, wait]
        action = torch.where(moving, self.moves[step], wait)
        policy = torch.nn.functional.one_hot(action, wait + 1)[:, :wait].float()
        value = 0.1 * step + obs["seat"]
        extras = {"searched": moving, "search_policy": policy, "search_policy_value": value}
        return PolicyOutput(action[:, None], {"step": step + 1}, extras)


def record(moves, num_envs, steps, *, env="tic-tac-toe", gamma=1.0):
    """Return the games that ended, as they were handed on, and the recorder."""
    games = []
    made = make_env(env, num_envs)
    recorder = SelfPlayRecorder(made.spec, num_envs, GROUPS, games.append, gamma=gamma)
    seating = Seating.self_play(made, Script(moves), train=False)
    engine = RolloutEngine(made, seating, seed=0, observers=[recorder])
    for _ in range(steps):
        engine.step()
    return games, recorder, engine


def test_a_game_won_by_the_first_player():
    # Blue takes 0, 1, 2 (the upper row), red 3 and 4: blue wins with the fifth stone.
    games, recorder, _ = record([0, 3, 1, 4, 2], 2, 5)
    assert recorder.searched == 10
    (both,) = games
    assert len(both) == 10
    game = both.rows(torch.arange(5))
    assert game.outcome.tolist() == [1.0, -1.0, 1.0, -1.0, 1.0]
    assert game.seat.tolist() == [0, 1, 0, 1, 0]
    assert torch.allclose(game.value, torch.tensor([0.0, 1.1, 0.2, 1.3, 0.4]))
    assert game.policy.argmax(-1).tolist() == [0, 3, 1, 4, 2]
    # Before its fifth stone blue sees its own on 0 and 1, and red's on 3 and 4.
    seen = game.obs["policy"][4]
    assert seen[:9].nonzero().flatten().tolist() == [0, 1]
    assert seen[9:18].nonzero().flatten().tolist() == [3, 4]
    assert torch.equal(both.rows(torch.arange(5, 10)).obs["policy"], game.obs["policy"])


def test_discounted_outcomes():
    games, _, _ = record([0, 3, 1, 4, 2], 1, 5, gamma=0.5)
    assert games[0].outcome.tolist() == [1 / 16, -1 / 8, 1 / 4, -1 / 2, 1.0]


def test_a_draw_and_games_that_still_run():
    # The board fills without a line: X O X / X O O / O X X.
    moves = [0, 1, 2, 4, 3, 5, 7, 6, 8]
    games, recorder, _ = record(moves, 3, 12)
    assert recorder.searched == 36
    (ended,) = games
    assert len(ended) == 27
    assert ended.outcome.abs().sum() == 0
    # What was searched can be searched again: the kept state is the position before the move.
    env = make_env("tic-tac-toe", 27)
    env.reset(0)
    shown = env.restore(ended.state)["policy"]
    assert torch.equal(shown[torch.arange(27), ended.seat], ended.obs["policy"])


def test_long_games_make_room():
    # Columns filled one after the other; nobody gets four until the room has grown past 16.
    moves = [0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 2, 3, 2, 3, 2, 3, 3, 2, 3, 2, 3, 2]
    games, recorder, engine = record(moves, 1, len(moves) - 4, env="connect-four")
    assert recorder.searched == 20
    assert games == []
    state = recorder.state_dict()
    assert state["open"]["value"].shape == (1, 20)
    again = SelfPlayRecorder(engine.env.spec, 1, GROUPS, games.append)
    again.load_state_dict(state)
    assert again.searched == 20
    for name, value in again.state_dict()["open"].items():
        assert torch.equal(value, state["open"][name]), name


def test_an_episode_that_a_time_limit_cut_takes_the_searchs_value():
    env = make_env("cart-pole", 1)
    parts: list[Positions] = []
    recorder = SelfPlayRecorder(env.spec, 1, GROUPS, parts.append)

    class Balance:
        reads = GROUPS

        def initial_state(self, num_rows):
            return {}

        def act(self, obs, state, rng, *, deterministic=False):
            pole = obs["policy"]
            right = (pole[:, 2] + 0.3 * pole[:, 3] + 0.05 * pole[:, 0] + 0.1 * pole[:, 1]) > 0
            extras = {
                "searched": torch.ones(1, dtype=torch.bool),
                "search_policy": torch.nn.functional.one_hot(right.long(), 2).float(),
                "search_policy_value": torch.full((1,), 7.0),
            }
            return PolicyOutput(right.long()[:, None], {}, extras)

    engine = RolloutEngine(
        env, Seating.self_play(env, Balance(), train=False), seed=0, observers=[recorder]
    )
    while not parts:
        step = engine.step()
    if not bool(step.truncated[0]):
        pytest.fail("the pole fell: this test needs an episode that lasts")
    assert set(parts[0].outcome.tolist()) == {7.0}
