"""See a turn-based game through the eyes of whoever is to move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import DiscreteActions
from simrl.core.dynamics import TurnDynamics
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs

if TYPE_CHECKING:
    from simrl.core.turn_rules import TurnRules


class TurnView:
    """Tell of positions who moves, what the mover sees and what it may do."""

    def __init__(self, dynamics: TurnDynamics, spec: EnvSpec) -> None:
        """Look at positions by `dynamics`, through its compiled rules if it has them.

        Raises ValueError where `dynamics` tells no mover, where the actions are not discrete, or
        where the rules are those of another game.
        """
        if not isinstance(dynamics, TurnDynamics):
            raise ValueError(
                f"{spec.id}: a search by turns needs a TurnDynamics (step, observe, mover, "
                f"turn_rules), got {type(dynamics).__name__}"
            )
        if not isinstance(spec.actions, DiscreteActions):
            raise ValueError(f"{spec.id}: a search by turns needs discrete actions")
        self.dynamics, self.spec, self.actions = dynamics, spec, spec.actions
        self.rules: TurnRules | None = dynamics.turn_rules
        if self.rules is not None:
            _check_rules(self.rules, spec)

    @property
    def num_slots(self) -> int:
        """Number of values of the first head that a mover may choose."""
        return self.actions.heads[0].size if self.rules is None else self.rules.num_actions

    def mover(self, state: Tensor) -> Tensor:
        """Return whose turn it is, int64 `[B]`, in `state` `[B, S]`."""
        self.check(state)
        if self.rules is None:
            return self.dynamics.mover(state)
        from simrl.search.kernels.pointers import game_pointers
        from simrl.search.kernels.turn import mover_rows

        agent = np.empty(len(state), np.int64)
        mover_rows(game_pointers(self.rules), state.contiguous().numpy(), agent)
        return torch.from_numpy(agent)

    def look(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the mover sees `[B, D]` and which slots are legal `[B, K]` bool."""
        self.check(state)
        rules = self.rules
        if rules is None:
            seen = self.observe(state)
            return seen["policy"], seen["action_mask"][:, : self.num_slots]
        from simrl.search.kernels.pointers import game_pointers
        from simrl.search.kernels.turn import look_rows

        obs = np.empty((len(state), rules.obs_size), np.float32)
        mask = np.empty((len(state), rules.num_actions), np.bool_)
        look_rows(game_pointers(rules), state.contiguous().numpy(), obs, mask)
        return torch.from_numpy(obs), torch.from_numpy(mask)

    def observe(self, state: Tensor) -> Obs:
        """Return each observation group of the mover, `[B, ...]`."""
        self.check(state)
        seat = self.dynamics.mover(state)
        rows = torch.arange(len(state), device=state.device)
        return {name: x[rows, seat] for name, x in self.dynamics.observe(state).items()}

    def check(self, state: Tensor) -> None:
        """Raise ValueError unless `state` holds positions of this game."""
        if state.ndim != 2 or state.shape[1] != self.spec.state_size or state.dtype != torch.uint8:
            raise ValueError(
                f"{self.spec.id}: state and dynamics do not fit: a position is uint8 "
                f"[{self.spec.state_size}], got {state.dtype} {tuple(state.shape)}"
            )


def pointers(rules: TurnRules) -> tuple[object, object, object, object]:
    """Return the functions of `rules` in the order in which kernels take them."""
    return rules.play, rules.mover, rules.legal, rules.observe


def _check_rules(rules: TurnRules, spec: EnvSpec) -> None:
    found = (rules.state_size, rules.num_agents, rules.obs_size)
    wanted = (spec.state_size, spec.num_agents, spec.observations["policy"].size)
    if found != wanted:
        raise ValueError(
            f"{spec.id}: state and dynamics do not fit: the compiled rules have (bytes of a "
            f"position, agents, observation) = {found}, the spec {wanted}"
        )
