"""The studies of searches judge by right answers: the exact solver and the questions it makes."""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from simrl.core.plugins import env_plugin, make_env

SCRIPTS = Path(__file__).parents[2] / "scripts" / "bench"


@pytest.fixture(scope="module")
def studies():
    """Import the studies as the benchmark does: from its own folder."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        from search_studies import connect_four, connect_four_solver
    finally:
        sys.path.remove(str(SCRIPTS))
    return connect_four, connect_four_solver


@pytest.fixture(scope="module")
def solver(studies):
    return studies[1].Solver()


def columns(text):
    return [int(digit) - 1 for digit in text]


# Positions of the test sets that John Tromp's and Pascal Pons's solvers are measured by, columns
# from 1, and who wins: the sign of their score for the player to move.
PUBLISHED = {
    "2252576253462244111563365343671351441": -1,
    "7422341735647741166133573473242566": 1,
    "23163416124767223154467471272416755633": 0,
    "65214673556155731566316327373221417": -1,
    "12514726155174536522772517671": -1,
    "326615663752621323655335514271": 1,
    "74425337641465475671176741236615215533": 0,
    "34441157374153736716346556774311552222": 0,
    "7172212567451542223676134464437761515": 0,
    "24617524315172127": 1,
    "17516442226766": 1,
    "43745416472735": -1,
    "427631264721": 1,
    "335662333565": -1,
    "157564142155": -1,
    "33375546411": -1,
    "265756512": -1,
    "35544262": 1,
}


@pytest.mark.parametrize("moves", PUBLISHED)
def test_published_positions(solver, moves):
    assert solver.value(columns(moves)) == PUBLISHED[moves]


LINES = env_plugin("connect-four").dynamics(env_plugin("connect-four").config()).rules.lines


@cache
def brute_force(board, heights, mover):
    """Return the value to `mover` (1 or 2) by trying everything; `board` is 42 cells from above."""
    cells = np.array(board)
    if (cells[LINES] == 3 - mover).all(-1).any():
        return -1
    best = None
    for column in range(7):
        if heights[column] < 6:
            cell = (5 - heights[column]) * 7 + column
            after = (*board[:cell], mover, *board[cell + 1 :])
            higher = (*heights[:column], heights[column] + 1, *heights[column + 1 :])
            value = -brute_force(after, higher, 3 - mover)
            best = value if best is None else max(best, value)
    return 0 if best is None else best


def place(moves):
    board, heights = [0] * 42, [0] * 7
    for index, column in enumerate(moves):
        board[(5 - heights[column]) * 7 + column] = index % 2 + 1
        heights[column] += 1
    return tuple(board), tuple(heights), len(moves) % 2 + 1


def random_games(studies, stones, count, seed):
    """Play at random until `count` games reach so many stones unfinished."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < count:
        moves = studies[0].random_game(rng, stones, careful=len(found) % 2 == 0)
        if moves is not None:
            found.append(moves)
    return found


def test_endgames_against_brute_force(studies, solver):
    values = []
    for stones in (34, 35, 36, 41):
        for moves in random_games(studies, stones, 12, seed=stones):
            values.append(solver.value(moves))
            assert values[-1] == brute_force(*place(moves)), moves
            for column, value in enumerate(solver.move_values(moves)):
                board, heights, mover = place([*moves, column] if value is not None else moves)
                assert (value is None) == (heights[column] == 6 and len(moves) == sum(heights))
                if value is not None:
                    assert value == -brute_force(board, heights, mover), (moves, column)
    assert {-1, 0, 1} == set(values)


def test_a_position_and_its_mirror_image_are_worth_the_same(studies, solver):
    for moves in random_games(studies, 16, 10, seed=1):
        mirrored = [6 - column for column in moves]
        values, other = solver.move_values(moves), solver.move_values(mirrored)
        assert values == other[::-1]
        assert solver.value(moves) == max(value for value in values if value is not None)


def test_what_cannot_be_solved_is_refused(solver):
    with pytest.raises(ValueError, match="move 6: column 0 cannot be played"):
        solver.value([0] * 7)
    with pytest.raises(ValueError, match="move 0: column 7 cannot be played"):
        solver.value([7])
    with pytest.raises(ValueError, match="move 6: column 0 ends the game"):
        solver.value([0, 1, 0, 1, 0, 1, 0])


def test_questions_have_right_and_wrong_answers(studies):
    connect_four, _ = studies
    asked = connect_four.questions(40, seed=5)
    assert asked == connect_four.questions(40, seed=5) != connect_four.questions(40, seed=6)
    boards = set()
    for question in asked:
        assert len(question.moves) in connect_four.STONES
        legal = {column for column, value in enumerate(question.values) if value is not None}
        assert question.right and question.right < legal
        board = place(question.moves)[0]
        mirror = tuple(np.array(board).reshape(6, 7)[:, ::-1].ravel().tolist())
        assert board not in boards and mirror not in boards
        boards.add(board)


def test_positions_are_the_same_in_the_environment(studies):
    connect_four, _ = studies
    asked = connect_four.questions(10, seed=5)
    rows = connect_four.states(asked)
    env = make_env("connect-four", 10)
    env.reset(0)
    env.restore(rows)
    offset = connect_four.game().rules.record.fields["owner"][1]
    for row, question in zip(rows, asked, strict=True):
        assert row[offset : offset + 42].tolist() == list(place(question.moves)[0])
    legal = env.restore(rows)["action_mask"]
    mover = torch.tensor([len(question.moves) % 2 for question in asked])
    for index, question in enumerate(asked):
        open_columns = [value is not None for value in question.values]
        assert legal[index, mover[index], :7].tolist() == open_columns


def test_both_searches_answer_and_are_counted_right(studies):
    pytest.importorskip("pyspiel")
    connect_four, _ = studies
    asked = connect_four.questions(30, seed=5)
    ours, theirs = (
        ask(asked, 400, 0) for ask in (connect_four.our_moves, connect_four.their_moves)
    )
    for moves in (ours, theirs):
        assert all(q.values[move] is not None for q, move in zip(asked, moves, strict=True))
        assert connect_four.right_shares(asked, [moves]).mean() > 0.7
    perfect = [min(question.right) for question in asked]
    wrong = [
        next(c for c in range(7) if q.values[c] is not None and c not in q.right) for q in asked
    ]
    shares = connect_four.right_shares(asked, [perfect, wrong, perfect, perfect])
    assert shares.tolist() == [0.75] * 30
