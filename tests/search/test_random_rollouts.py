"""Random rollouts against what random play is known to give."""

import time
from functools import cache

import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.search.config import SearchConfig, UctConfig
from simrl.search.evaluators import UniformEvaluator
from simrl.search.model import Evaluation
from simrl.search.random_rollouts import RolloutConfig, RolloutEvaluator
from simrl.search.search import search
from simrl.search.turn_model import TurnModel

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]


@cache
def game(name="tic-tac-toe"):
    plugin = env_plugin(name)
    return plugin.dynamics(plugin.config()), make_env(name, 1).spec


GAME = game()


@cache
def start(name):
    return make_env(name, 1).reset(0)["state"].clone()


def position(moves, name="tic-tac-toe"):
    """Play moves from the start; return the row of the snapshot `[1, S]`."""
    rules, state = game(name)[0].turn_rules, start(name).clone()
    for move in moves:
        rules.play(state.numpy()[0], move, np.zeros(2, np.float32))
    return state


@cache
def expected(board, mover):
    """Return what random play gives `mover` (1 or 2) on a board of 9 numbers."""
    other = 3 - mover
    if any(all(board[cell] == other for cell in line) for line in LINES):
        return -1.0
    free = [cell for cell in range(9) if board[cell] == 0]
    if not free:
        return 0.0
    after = [(*board[:cell], mover, *board[cell + 1 :]) for cell in free]
    return -sum(expected(b, other) for b in after) / len(free)


def board_of(moves):
    board = [0] * 9
    for index, move in enumerate(moves):
        board[move] = index % 2 + 1
    return tuple(board), len(moves) % 2 + 1


def test_the_first_player_wins_585_of_1000_random_games_of_tic_tac_toe():
    # Known: of random games the first player wins 737/1260, loses 363/1260: 0.2968 in the mean.
    assert expected((0,) * 9, 1) == pytest.approx((737 - 363) / 1260)
    evaluator = RolloutEvaluator(*game(), RolloutConfig(rollouts=20_000))
    found = evaluator(position([]), torch.Generator().manual_seed(0))
    # The deviation of one game is 0.89, of the mean 0.0063.
    assert float(found.value[0]) == pytest.approx(374 / 1260, abs=0.025)


def test_values_are_those_of_whoever_moves():
    cases = [[4], [0, 4], [1, 4, 3], [0, 3, 1, 4], [0, 1, 4], [2, 0, 6, 8]]
    evaluator = RolloutEvaluator(*game(), RolloutConfig(rollouts=10_000))
    states = torch.cat([position(moves) for moves in cases])
    found = evaluator(states, torch.Generator().manual_seed(1)).value
    wanted = [expected(*board_of(moves)) for moves in cases]
    assert found.tolist() == pytest.approx(wanted, abs=0.04)
    assert max(wanted) > 0.1 and min(wanted) < -0.4


def test_priors_are_uniform_over_what_is_legal():
    evaluator = RolloutEvaluator(*game("connect-four"))
    found = evaluator(
        position([3, 3, 3, 3, 3, 3], "connect-four"), torch.Generator().manual_seed(0)
    )
    assert found.logits.tolist() == [[0, 0, 0, -torch.inf, 0, 0, 0]]
    assert found.actions is None and evaluator.num_slots == 7


def test_ended_positions_are_worth_nothing():
    evaluator = RolloutEvaluator(*game(), RolloutConfig(rollouts=3))
    found = evaluator(position([0, 3, 1, 4, 2]), torch.Generator().manual_seed(0))
    assert found.value.tolist() == [0.0]
    assert found.logits.tolist() == [[-torch.inf] * 9]


def test_discount_counts_plies():
    # Cells 7 and 8 are left, the first player is to move: 8 wins for it at once, after 7 the other
    # fills the board: 0.  Half the games pay, whatever gamma: the win comes undiscounted.
    last_two = [0, 1, 2, 3, 4, 6, 5]
    second = position([*last_two])  # X O X / O X X / O . .: the second player is to move
    evaluator = RolloutEvaluator(*game(), RolloutConfig(rollouts=4000, gamma=0.5))
    found = evaluator(second, torch.Generator().manual_seed(0))
    # It plays 7 or 8; after 7 the first player takes 8 and has 0, 4, 8 (and 2, 5, 8): -1, one ply
    # later, discounted once.  After 8 the first player's 7 makes no line: 0.
    assert float(found.value[0]) == pytest.approx(0.5 * -1 * 0.5, abs=0.03)


class Constant:
    """Judge every position with one value; keep what was asked."""

    num_slots = 9

    def __init__(self, value):
        self.value, self.asked = value, []

    def __call__(self, state, rng):
        self.asked.append(state.clone())
        return Evaluation(torch.zeros(len(state), 9), torch.full((len(state),), self.value))


@pytest.mark.parametrize(("plies", "sign"), [(1, -1), (2, 1), (3, -1)])
def test_stopped_rollouts_are_judged_where_they_stop(plies, sign):
    leaf = Constant(0.25)
    config = RolloutConfig(rollouts=5, max_plies=plies, gamma=0.5)
    evaluator = RolloutEvaluator(*game(), config, leaf=leaf)
    found = evaluator(position([]).repeat(3, 1), torch.Generator().manual_seed(0))
    # Nobody can win within three plies; who moves there sees 0.25, halved each ply.
    assert found.value.tolist() == [sign * 0.25 * 0.5**plies] * 3
    asked = torch.cat(leaf.asked)
    assert len(asked) == 15 and set((asked[:, 16:25] != 0).sum(-1).tolist()) == {plies}


def test_rollouts_that_end_before_they_are_stopped_are_not_judged_again():
    leaf = Constant(1.0)
    evaluator = RolloutEvaluator(*game(), RolloutConfig(rollouts=400, max_plies=1), leaf=leaf)
    # X to move at X X . / O O . / . . .: one of five moves wins; after the others the leaf says 1
    # to the opponent.  Mean: (1 - 4) / 5.
    found = evaluator(position([0, 3, 1, 4]), torch.Generator().manual_seed(0))
    assert float(found.value[0]) == pytest.approx(-0.6, abs=0.15)
    assert 250 < len(torch.cat(leaf.asked)) < 400


def test_without_a_leaf_a_stopped_rollout_counts_what_was_paid():
    evaluator = RolloutEvaluator(*game(), RolloutConfig(rollouts=4000, max_plies=1))
    found = evaluator(position([0, 3, 1, 4]), torch.Generator().manual_seed(0))
    assert float(found.value[0]) == pytest.approx(0.2, abs=0.03)


def _search(evaluator, moves, copies=1, **changes):
    dynamics, spec = GAME
    config = SearchConfig(**{"simulations": 200, "rule": "uct", **changes})
    state = torch.cat([position(m) for m in moves]).repeat(copies, 1)
    rng = torch.Generator().manual_seed(5)
    return search(TurnModel(dynamics, spec), evaluator, state, config, rng)


def test_the_same_seed_gives_the_same_search():
    evaluator = RolloutEvaluator(*game())
    one, two = (_search(evaluator, [[], [4]]) for _ in range(2))
    assert torch.equal(one.visits, two.visits) and torch.equal(one.q, two.q)
    # Rows draw their own numbers: equal positions are searched apart.
    twins = _search(evaluator, [[], []])
    assert not torch.equal(twins.visits[0], twins.visits[1])


def test_the_value_at_the_root_is_the_mean_of_the_rollouts_below():
    # With one simulation a slot, the slot's value is one rollout: over many roots, random play's.
    evaluator = RolloutEvaluator(*game())
    many = _search(evaluator, [[]], copies=4000, simulations=9)
    assert many.visits.tolist() == [[1] * 9] * 4000
    wanted = [-expected(*board_of([cell])) for cell in range(9)]
    assert many.q.mean(0).tolist() == pytest.approx(wanted, abs=0.06)


def test_a_depth_limit_judges_the_same_positions_again():
    evaluator = RolloutEvaluator(*game())
    found = _search(evaluator, [[]], simulations=20_000, max_depth=1, uct=UctConfig(100.0))
    wanted = [-expected(*board_of([cell])) for cell in range(9)]
    assert found.q[0].tolist() == pytest.approx(wanted, abs=0.09)
    assert int(found.tree.count[0]) == 10


def test_time_ends_a_search():
    dynamics, spec = game("connect-four")
    model, evaluator = TurnModel(dynamics, spec), RolloutEvaluator(dynamics, spec)
    state, rng = position([], "connect-four"), torch.Generator().manual_seed(0)
    search(model, evaluator, state, SearchConfig(simulations=2, rule="uct"), rng)  # it loads code
    config = SearchConfig(simulations=300_000, seconds=0.3, rule="uct")
    begin = time.perf_counter()
    found = search(model, evaluator, state, config, rng)
    assert time.perf_counter() - begin < 3.0
    assert 64 <= found.simulations < 300_000
    assert int(found.visits.sum()) == found.simulations
    config = SearchConfig(simulations=1000, seconds=1e-9, rule="uct")
    assert search(model, evaluator, state, config, rng).simulations == 64  # a few, at the least


class NoCompiledRules:
    def __init__(self):
        dynamics, _ = game()
        self.step, self.observe, self.mover = dynamics.step, dynamics.observe, dynamics.mover
        self.turn_rules = None


def test_wins_at_hand_are_taken_without_a_rollout():
    config = RolloutConfig(rollouts=2, look_ahead=1)
    evaluator = RolloutEvaluator(*GAME, config)
    # X X . / O O . / . . .: X to move wins at 2 alone; with O to move, O would win at 5.
    found = evaluator(position([0, 3, 1, 4]), torch.Generator().manual_seed(0))
    assert found.value.tolist() == [1.0]
    assert found.logits.isfinite().tolist() == [[False, False, True] + [False] * 6]
    # Nobody can win yet: as without.
    first = evaluator(position([]), torch.Generator().manual_seed(0))
    plain = RolloutEvaluator(*GAME, RolloutConfig(rollouts=2))
    same = plain(position([]), torch.Generator().manual_seed(0))
    assert torch.equal(first.value, same.value) and torch.equal(first.logits, same.logits)


def test_a_win_at_hand_proves_a_node_when_it_is_made():
    # X . . / O . . / . . X with O to move.  After 7 X wins at 4, and the node of 7 is proven by
    # one simulation; what blocks (4) is not.
    evaluator = RolloutEvaluator(*GAME, RolloutConfig(look_ahead=1))
    found = _search(evaluator, [[0, 3, 8]], simulations=6, solve=True)
    child = found.tree.child[0, 0]
    status = found.tree.status[0]
    assert int(found.visits.sum()) == 6
    proven = [cell for cell in range(9) if child[cell] > 0 and status[child[cell]] == 3]
    assert proven == [1, 2, 5, 6, 7] and found.q[0, proven].tolist() == [-1.0] * 5
    assert int(found.slot[0]) == 4
    found = _search(evaluator, [[0, 3, 8]], simulations=6)  # nothing is proven without solve
    assert not bool((found.tree.status[0, : found.tree.count[0]] == 3).any())


def test_moves_that_let_the_other_win_at_once_are_left_out():
    evaluator = RolloutEvaluator(*GAME, RolloutConfig(look_ahead=2))

    def ask(moves):
        return evaluator(position(moves), torch.Generator().manual_seed(0))

    # X O . / . . . / X . .: O must block at 3.
    assert ask([0, 1, 6]).logits.isfinite().nonzero()[:, 1].tolist() == [3]
    # X O . / O . . / X . X: X threatens 4 and 7: whatever O does loses, and keeps its prior.
    lost = ask([0, 1, 6, 3, 8])
    assert lost.value.tolist() == [-1.0]
    assert lost.logits.isfinite().nonzero()[:, 1].tolist() == [2, 4, 5, 7]
    # X . . / O O . / X . .: X must block at 5.
    assert ask([0, 3, 6, 4]).logits.isfinite().nonzero()[:, 1].tolist() == [5]
    # X X . / O O . / . . .: a win goes before a block: X wins at 2, though O threatens 5.
    won = ask([0, 3, 1, 4])
    assert won.value.tolist() == [1.0] and won.logits.isfinite().nonzero()[:, 1].tolist() == [2]


def test_looking_ahead_proves_a_lost_node():
    evaluator = RolloutEvaluator(*GAME, RolloutConfig(look_ahead=2))
    found = _search(evaluator, [[0, 1, 6, 3]], simulations=5, solve=True)
    # X O . / O . . / X . .: X to move; 8 threatens 4 and 7, so the node of 8 is proven lost to O.
    child, status = found.tree.child[0, 0], found.tree.status[0]
    assert int(found.slot[0]) in (4, 8) and float(found.value[0]) == 1.0
    assert int(status[0]) == 3 and int(status[child[found.slot[0]]]) == 3


def test_what_cannot_be_rolled_out_is_refused():
    dynamics, spec = game()
    with pytest.raises(ValueError, match="tic-tac-toe: random rollouts need compiled rules"):
        RolloutEvaluator(NoCompiledRules(), spec)
    with pytest.raises(ValueError, match="leaf evaluator judges rollouts that max_plies stops"):
        RolloutEvaluator(dynamics, spec, leaf=UniformEvaluator(dynamics, spec))
    for wrong, message in (
        ({"rollouts": 0}, "rollouts must be at least 1, got 0"),
        ({"max_plies": -1}, "max_plies must be at least 0, got -1"),
        ({"look_ahead": 3}, "look_ahead must be 0, 1 or 2, got 3"),
        ({"gamma": 0.0}, r"gamma must be in 0\.\.1, got 0\.0"),
    ):
        with pytest.raises(ValueError, match=message):
            RolloutConfig(**wrong)
