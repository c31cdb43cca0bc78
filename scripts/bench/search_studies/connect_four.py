"""Connect four where the move matters: how often UCT with random rollouts keeps the game's value.

Positions come from random and half-careful play; an exact solver says what each move is worth.
OpenSpiel's C++ bot searches the same positions with as many simulations, at most one rollout each,
the same constant and a solver too.  Ours also looks ahead for wins at hand; "plain" does not, and
differs from OpenSpiel's in code alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from search_studies.connect_four_solver import WIDTH, Solver, board, playable, wins_at
from studies import Measured

from simrl.core.dynamics import TurnDynamics
from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import child_seed, numpy_generator, torch_generator
from simrl.rollout.intervals import mean_interval, wilson
from simrl.search.config import SearchConfig, UctConfig
from simrl.search.random_rollouts import RolloutConfig, RolloutEvaluator
from simrl.search.search import search
from simrl.search.turn_model import TurnModel

POSITIONS = 1000
POSITIONS_SEED = 0
STONES = range(14, 23)
CAREFUL = 0.5
"""Share of games in which both win at once where they can, and block where they must."""
EXPLORATION = 2.0
"""Constant of UCT for both, as in OpenSpiel's examples."""
LOOK_AHEAD = 2
"""Plies that our bot looks ahead for wins at hand; its twin without is reported beside it."""
BUDGETS = (64, 1000)
HEADLINE = 1000


@dataclass(frozen=True)
class Question:
    """Hold a position and what its moves are worth."""

    moves: tuple[int, ...]
    """Columns played so far."""
    values: tuple[int | None, ...]
    """Value of each column to who moves: 1, 0, -1; None where it is full."""

    @property
    def right(self) -> frozenset[int]:
        """Columns that keep the value of the game."""
        best = max(value for value in self.values if value is not None)
        return frozenset(column for column, value in enumerate(self.values) if value == best)


def study(seeds: Sequence[int]) -> Measured:
    """Ask both searches about every position, once for each seed."""
    asked = questions(POSITIONS, POSITIONS_SEED)
    figures: dict[str, float] = {}
    notes: dict[str, str] = {}
    for budget in BUDGETS:
        suffix = "" if budget == HEADLINE else f"_{budget}"
        theirs = right_shares(asked, [their_moves(asked, budget, seed) for seed in seeds])
        figures[f"connect_four_right_openspiel{suffix}"] = float(theirs.mean())
        notes[f"connect_four_right_openspiel{suffix}"] = _note(theirs, budget, len(seeds))
        for name, plies in (("connect_four_right", LOOK_AHEAD), ("connect_four_right_plain", 0)):
            ours = right_shares(asked, [our_moves(asked, budget, seed, plies) for seed in seeds])
            ahead, low, high = mean_interval(ours - theirs)
            figures[name + suffix] = float(ours.mean())
            notes[name + suffix] = (
                f"looks {plies} plies ahead for wins at hand; {_note(ours, budget, len(seeds))}; "
                f"minus OpenSpiel's, by position: {ahead:+.4f} ({low:+.4f} to {high:+.4f})"
            )
    chance = [len(q.right) / sum(value is not None for value in q.values) for q in asked]
    figures["connect_four_right_random"] = float(np.mean(chance))
    notes["connect_four_right_random"] = "a move at random on the same positions"
    return Measured(figures, notes, {"positions": ["".join(map(str, q.moves)) for q in asked]})


def questions(count: int, seed: int) -> list[Question]:
    """Make positions in which some move keeps the game's value and another does not.

    No position comes twice, nor with its mirror image.
    """
    rng, solver = numpy_generator(seed, "connect four positions"), Solver()
    found: list[Question] = []
    seen: set[tuple[int, int]] = set()
    while len(found) < count:
        moves = random_game(rng, int(rng.choice(STONES)), careful=bool(rng.random() < CAREFUL))
        if moves is None:
            continue
        keys = [_key(moves), _key([WIDTH - 1 - column for column in moves])]
        if seen.intersection(keys):
            continue
        question = Question(tuple(moves), tuple(solver.move_values(moves)))
        if len({value for value in question.values if value is not None}) > 1:
            seen.update(keys)
            found.append(question)
    return found


def our_moves(
    asked: Sequence[Question], budget: int, seed: int, look_ahead: int = LOOK_AHEAD
) -> list[int]:
    """Search every position in one call.

    OpenSpiel's bot counts the rollout from the root as its first simulation; ours has one less.
    """
    dynamics, spec = game(), make_env("connect-four", 1).spec
    config = SearchConfig(
        simulations=budget - 1, rule="uct", solve=True, uct=UctConfig(exploration=EXPLORATION)
    )
    evaluator = RolloutEvaluator(dynamics, spec, RolloutConfig(look_ahead=look_ahead))
    rng = torch_generator(seed, "connect four search")
    found = search(TurnModel(dynamics, spec), evaluator, states(asked), config, rng)
    return found.slot.tolist()


def game() -> TurnDynamics:
    """Return the rules of connect four."""
    plugin = env_plugin("connect-four")
    dynamics = None if plugin.dynamics is None else plugin.dynamics(plugin.config())
    assert isinstance(dynamics, TurnDynamics)
    return dynamics


def states(asked: Sequence[Question]) -> torch.Tensor:
    """Return the positions as rows of the environment's snapshot, uint8 `[B, S]`."""
    env, rules = make_env("connect-four", len(asked)), game().turn_rules
    assert rules is not None
    env.reset(0)
    rows, reward = env.snapshot().numpy(), np.zeros(2, np.float32)
    for row, question in zip(rows, asked, strict=True):
        for column in question.moves:
            rules.play(row, column, reward)
    return torch.from_numpy(rows)


def their_moves(asked: Sequence[Question], budget: int, seed: int) -> list[int]:
    """Ask OpenSpiel's `MCTSBot` about every position."""
    import pyspiel

    rules = pyspiel.load_game("connect_four")
    seeds = [child_seed(seed, name) % 2**31 for name in ("openspiel bot", "openspiel rollouts")]
    evaluator = pyspiel.RandomRolloutEvaluator(1, seeds[1])
    bot = pyspiel.MCTSBot(rules, evaluator, EXPLORATION, budget, 1000, True, seeds[0], False)
    chosen = []
    for question in asked:
        state = rules.new_initial_state()
        for column in question.moves:
            state.apply_action(column)
        chosen.append(bot.step(state))
    return chosen


def right_shares(asked: Sequence[Question], chosen: Sequence[Sequence[int]]) -> np.ndarray:
    """Return how often the chosen moves `[seeds][B]` are right, for each position `[B]`."""
    right = [[move in q.right for q, move in zip(asked, moves, strict=True)] for moves in chosen]
    return np.mean(np.array(right, np.float64), axis=0)


def random_game(rng: np.random.Generator, stones: int, *, careful: bool) -> list[int] | None:
    """Play so many stones at random, or None if the game ended before."""
    moves: list[int] = []
    own, taken = board([])
    while len(moves) < stones:
        columns = [column for column in range(WIDTH) if playable(taken, column)]
        choice = int(rng.choice(columns))
        if careful:
            winning = [column for column in columns if wins_at(own, taken, column)]
            blocking = [column for column in columns if wins_at(own ^ taken, taken, column)]
            choice = (winning or blocking or [choice])[0]
        if wins_at(own, taken, choice):
            return None
        moves.append(choice)
        own, taken = board(moves)
    return moves


def _key(moves: Sequence[int]) -> tuple[int, int]:
    own, taken = board(moves)
    return int(own), int(taken)


def _note(shares: np.ndarray, budget: int, seeds: int) -> str:
    _, low, high = wilson(float(shares.sum()), len(shares))
    return (
        f"{budget} simulations, {len(shares)} positions, {seeds} seeds; Wilson {low:.4f} to "
        f"{high:.4f} as for one seed"
    )
