"""Play games of stones on a board, turn by turn, on the contract where all agents act at once.

The agent whose turn it is not has one legal action, "wait"; whoever moves may not wait.  Agent 0
moves first.  Both see the board from their own side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions, Head
from simrl.core.policy import PolicyOutput
from simrl.core.spec import Block, Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs, PolicyState
from simrl_envs.toy.base import Move, ToyDynamics, record
from simrl_envs.toy.draw import draw_board

if TYPE_CHECKING:
    from simrl.core.turn_rules import TurnRules

Landing = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Find the cell `[B]` in which a stone of choice `[B]` comes to lie on `taken` `[B, cells]`."""


@dataclass(frozen=True)
class Board:
    """Describe one game of stones."""

    id: str
    """Registered name."""
    height: int
    """Rows."""
    width: int
    """Columns."""
    line: int
    """Stones in a row that win."""
    choices: tuple[str, ...]
    """Names of the moves, "wait" excluded."""
    landing: Landing
    """Where a stone comes to lie."""
    open: Callable[[np.ndarray], np.ndarray]
    """Which moves are legal `[B, choices]` on `taken` `[B, cells]`."""

    def lines(self) -> np.ndarray:
        """List the cells of every straight line of `line` stones, `[L, line]`."""
        found = []
        for y in range(self.height):
            for x in range(self.width):
                for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    ys = [y + dy * k for k in range(self.line)]
                    xs = [x + dx * k for k in range(self.line)]
                    if max(ys) < self.height and min(xs) >= 0 and max(xs) < self.width:
                        found.append([a * self.width + b for a, b in zip(ys, xs, strict=True)])
        return np.array(found)


class BoardRules:
    """Win by a line of own stones: 1 to the winner, -1 to the loser, 0 if the board is full."""

    def __init__(self, board: Board) -> None:
        self.board = board
        cells = board.height * board.width
        self.lines = board.lines()
        self.wait = len(board.choices)
        self.record = record(("owner", np.int8, (cells,)), ("winner", np.int8))
        sides = (Column("own", 0.0, 1.0), Column("other", 0.0, 1.0))
        stones = Block("stones", (2, board.height, board.width), sides, kind="map")
        turn = vector("turn", Column("to_move", 0.0, 1.0))
        self.spec = EnvSpec(
            id=board.id,
            num_agents=2,
            observations={"policy": Layout((stones, turn))},
            actions=DiscreteActions(
                (Head("move", self.wait + 1, choices=(*board.choices, "wait")),)
            ),
            state_size=self.record.itemsize,
            metrics=("outcome",),
            agent_names=("blue", "red"),  # as their stones are drawn; blue moves first
        )

    def start(self, games: np.ndarray) -> None:
        """Clear the board."""
        games["owner"] = 0
        games["winner"] = 0

    def advance(self, games: np.ndarray, action: np.ndarray) -> Move:
        """Put the mover's stone and look for a line."""
        rows = np.arange(len(games))
        mover = (games["steps"] - 1) % 2
        choice = np.minimum(action[rows, mover, 0], self.wait - 1)
        owner = games["owner"]
        owner[rows, self.board.landing(owner != 0, choice)] = mover + 1
        won = has_line(owner == (mover + 1)[:, None], self.lines)
        games["winner"] = np.where(won, mover + 1, 0)
        return Move(self._result(games), won | (owner != 0).all(-1))

    def observe(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Show own and other stones, whose turn it is, and the legal moves."""
        owner, full = games["owner"], (games["owner"] != 0).all(-1)
        over = (games["winner"] != 0) | full
        seen = np.zeros((len(games), 2, 2 * owner.shape[1] + 1), np.float32)
        mask = np.zeros((len(games), 2, self.wait + 1), np.bool_)
        for agent in range(2):
            turn = ~over & (games["steps"] % 2 == agent)
            own, other = owner == agent + 1, owner == 2 - agent
            seen[:, agent] = np.concatenate([own, other, turn[:, None]], axis=-1)
            mask[:, agent, :-1] = turn[:, None] & self.board.open(owner != 0)
            mask[:, agent, -1] = ~turn
        return {"policy": seen, "action_mask": mask}

    def metrics(self, games: np.ndarray) -> dict[str, np.ndarray]:
        """Report who won."""
        return {"outcome": self._result(games)}

    def draw(self, game: np.void) -> np.ndarray:
        """Draw the stones."""
        return draw_board(game["owner"].reshape(self.board.height, self.board.width))

    def _result(self, games: np.ndarray) -> np.ndarray:
        """Return `[B, 2]`: 1 won, -1 lost, 0 otherwise."""
        first = np.array([0.0, 1.0, -1.0], np.float32)[games["winner"]]
        return np.stack([first, -first], axis=-1)


class BoardDynamics(ToyDynamics):
    """Step boards as a pure function; compiled rules for planners are made when asked for."""

    rules: BoardRules

    def __init__(self, rules: BoardRules) -> None:
        super().__init__(rules)

    @cached_property
    def turn_rules(self) -> TurnRules:
        """The same rules as compiled functions."""
        from simrl_envs.toy.compiled.boards import compile_board

        return compile_board(self.rules.board, self.rules.record)

    def mover(self, state: Tensor) -> Tensor:
        """Return the agent whose turn it is, int64 `[B]`."""
        games = self._checked(state).view(self.rules.record).reshape(len(state))
        return torch.from_numpy(games["steps"].astype(np.int64) % 2)


class TacticalPolicy:
    """Win if one move wins, else block the other's winning move, else play at random."""

    reads = frozenset({"policy", "action_mask"})

    def __init__(self, rules: BoardRules) -> None:
        self.rules = rules

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Score the moves by rule; ties are broken by `rng`, or by order if deterministic."""
        mask = obs["action_mask"]
        score = self._score(obs["policy"]) + torch.where(mask, 0.0, -10.0)
        if not deterministic:
            score = score + 0.5 * torch.rand(score.shape, generator=rng, device=rng.device)
        return PolicyOutput(score.argmax(-1, keepdim=True))

    def _score(self, seen: Tensor) -> Tensor:
        """Return `[rows, choices + 1]`: 2 for a winning move, 1 for one that blocks, else 0."""
        rules = self.rules
        cells = rules.board.height * rules.board.width
        stones = seen.numpy() > 0.5
        own, other = stones[:, :cells], stones[:, cells : 2 * cells]
        score = np.zeros((len(stones), rules.wait + 1), np.float32)
        rows = np.arange(len(stones))
        for choice in range(rules.wait):
            cell = rules.board.landing(own | other, np.full(len(stones), choice))
            for worth, side in ((1.0, other), (2.0, own)):
                tried = side.copy()
                tried[rows, cell] = True
                score[has_line(tried, rules.lines), choice] = worth
        return torch.from_numpy(score)


def has_line(stones: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Say in which rows `[B]` the stones `[B, cells]` fill one of `lines` `[L, line]`."""
    found: np.ndarray = np.any(stones[:, lines].all(-1), axis=-1)
    return found
