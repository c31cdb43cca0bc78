"""Proven values: OpenSpiel's three positions of tic-tac-toe, and games that are never lost."""

from functools import cache

import pytest
import torch

from simrl.core.plugins import env_plugin, make_env
from simrl.search.config import SearchConfig, UctConfig
from simrl.search.evaluators import MixedEvaluator, UniformEvaluator
from simrl.search.random_rollouts import RolloutConfig, RolloutEvaluator
from simrl.search.search import search
from simrl.search.turn_model import TurnModel

LINES = [(0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6)]
PLUGIN = env_plugin("tic-tac-toe")
DYNAMICS, SPEC = PLUGIN.dynamics(PLUGIN.config()), make_env("tic-tac-toe", 1).spec
MODEL = TurnModel(DYNAMICS, SPEC)
WIN, DRAW, LOSS = 1, 0, -1
PROVEN = 3


def won(board, player):
    return any(all(board[cell] == player for cell in line) for line in LINES)


@cache
def solve(board):
    """Return the value of a board (tuple of 0, 1, 2) to who moves, by trying everything."""
    mover = board.count(1) - board.count(2) + 1
    if won(board, 3 - mover):
        return LOSS
    moves = [cell for cell in range(9) if board[cell] == 0]
    return max((-solve(put(board, cell)) for cell in moves), default=DRAW)


def put(board, cell):
    mover = board.count(1) - board.count(2) + 1
    return (*board[:cell], mover, *board[cell + 1 :])


def row(board):
    """Return a board as a row of the snapshot: stream, steps, ended, nine owners, winner."""
    state = torch.zeros(26, dtype=torch.uint8)
    state[8] = 9 - board.count(0)
    state[16:25] = torch.tensor(board, dtype=torch.uint8)
    return state


def ask(boards, evaluator, seed=0, **changes):
    config = SearchConfig(**{"simulations": 2000, "rule": "uct", "solve": True, **changes})
    states = torch.stack([row(board) for board in boards])
    return search(MODEL, evaluator, states, config, torch.Generator().manual_seed(seed))


def rollouts(count=1):
    return RolloutEvaluator(DYNAMICS, SPEC, RolloutConfig(rollouts=count))


def in_rounds(count=1):
    """Judge alike, in calls from Python: the path of every evaluator."""
    return MixedEvaluator(rollouts(count), UniformEvaluator(DYNAMICS, SPEC), 0.0)


# The positions of OpenSpiel's mcts_test with the moves that it expects there; 1 is x, 2 is o.
FIXTURES = {
    "draw": ((2, 0, 0, 0, 1, 0, 0, 0, 1), DRAW, {2, 6}),
    "loss": ((2, 2, 1, 0, 1, 0, 0, 0, 1), LOSS, {3, 5, 6, 7}),
    "win": ((0, 1, 0, 0, 0, 0, 0, 0, 2), WIN, {2}),
}


@pytest.mark.parametrize("make", [rollouts, in_rounds])
@pytest.mark.parametrize(
    ("name", "rule"), [(name, "uct") for name in FIXTURES] + [("loss", "puct"), ("win", "puct")]
)
def test_positions_of_openspiel_are_solved(name, rule, make):
    board, value, expected = FIXTURES[name]
    assert solve(board) == value
    kept = {c for c in range(9) if not board[c] and -solve(put(board, c)) == value}
    assert expected <= kept
    for seed in range(3):
        found = ask([board], make(20), seed, rule=rule, simulations=4000, uct=UctConfig(2.0))
        assert int(found.tree.status[0, 0]) == PROVEN
        assert float(found.value[0]) == value
        if name == "win":  # other moves win as well, given time
            assert int(found.slot[0]) in kept
        else:
            assert int(found.slot[0]) in expected
        # What is proven of the moves is true.
        for cell in range(9):
            child = int(found.tree.child[0, 0, cell])
            if child > 0 and int(found.tree.status[0, child]) in (1, PROVEN):
                assert float(found.q[0, cell]) == -solve(put(board, cell))


def test_openspiel_says_the_same_of_its_positions():
    pyspiel = pytest.importorskip("pyspiel")
    moves = {"draw": [4, 0, 8], "loss": [4, 0, 8, 1, 2], "win": [1, 8]}
    game = pyspiel.load_game("tic_tac_toe")
    for name, (_, value, expected) in FIXTURES.items():
        state = game.new_initial_state()
        for move in moves[name]:
            state.apply_action(move)
        evaluator = pyspiel.RandomRolloutEvaluator(20, 42)
        bot = pyspiel.MCTSBot(game, evaluator, 2.0, 10_000, 10, True, 42, False)
        root = bot.mcts_search(state)
        assert root.outcome[root.player] == value
        assert root.best_child().action in expected


def test_every_position_of_tic_tac_toe_is_solved_right():
    boards, level = [], {(0,) * 9}
    while level:
        boards += sorted(level)
        after = {put(b, c) for b in level for c in range(9) if not b[c]}
        level = {b for b in after if not won(b, 1) and not won(b, 2) and 0 in b}
    boards = [board for board in boards if board.count(0) <= 6]
    assert len(boards) == 4520 - (1 + 9 + 72)  # known: 4,520 positions are not over
    found = ask(boards, rollouts(), simulations=3000, uct=UctConfig(2.0))
    proven = found.tree.status[:, 0] == PROVEN
    assert bool(proven.all())
    assert found.value.tolist() == [solve(board) for board in boards]
    after = [put(board, slot) for board, slot in zip(boards, found.slot.tolist(), strict=True)]
    assert [-solve(board) for board in after] == found.value.tolist()


@pytest.mark.parametrize("seat", [0, 1])
@pytest.mark.parametrize("solves", [True, False])
def test_it_loses_to_nobody(seat, solves):
    """Answer every reply that any player could give: no game is lost, so none to a perfect one."""
    level, lost, games = {(0,) * 9}, 0, 0
    if seat == 1:
        level = {put(board, cell) for board in level for cell in range(9)}
    while level:
        boards = sorted(level)
        found = ask(boards, rollouts(), solve=solves, simulations=2000)
        level = set()
        for board, slot in zip(boards, found.slot.tolist(), strict=True):
            mine = put(board, slot)
            assert solve(mine) <= DRAW, (board, slot)  # to the other, who is to move
            if won(mine, seat + 1) or 0 not in mine:
                games += 1
                continue
            for cell in (c for c in range(9) if not mine[c]):
                theirs = put(mine, cell)
                lost += won(theirs, 2 - seat)
                games += 0 not in theirs
                if not won(theirs, 2 - seat) and 0 in theirs:
                    level.add(theirs)
    assert lost == 0 and games > 10
