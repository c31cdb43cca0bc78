"""A turn-based game as the model of a search: whoever moves acts, the others wait."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from simrl.core.dynamics import TurnDynamics
from simrl.core.spec import EnvSpec
from simrl.search.model import Transition
from simrl.search.turn_view import TurnView


class TurnModel:
    """Step a game of one player or of two teams whose rewards sum to zero.

    A position is a row of the environment's snapshot.  The discount is `gamma` where the same team
    moves next and -`gamma` where the other does, so values are always those of whoever moves.
    """

    def __init__(self, dynamics: TurnDynamics, spec: EnvSpec, *, gamma: float = 1.0) -> None:
        """Step by `dynamics`, through its compiled rules if it has them.

        Raises ValueError for more than two teams, and as `TurnView` does.
        """
        if len(set(spec.teams)) > 2:
            raise ValueError(
                f"{spec.id}: a search by turns needs one or two teams, got {len(set(spec.teams))}"
            )
        if not 0.0 < gamma <= 1.0:
            raise ValueError(f"gamma must be in 0..1, got {gamma}")
        self.view = TurnView(dynamics, spec)
        self.spec, self.gamma = spec, gamma
        self.rules = self.view.rules if spec.teams == tuple(range(spec.num_agents)) else None

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        """Play the mover's `action` int64 `[B, H]` in `state` uint8 `[B, S]`."""
        self.view.check(state)
        if self.rules is None:
            return self._step_dynamics(state, action)
        from simrl.search.kernels.pointers import game_pointers
        from simrl.search.kernels.turn import play_rows

        after = state.clone(memory_format=torch.contiguous_format)
        reward = np.empty(len(state), np.float32)
        discount = np.empty(len(state), np.float32)
        chosen = action[:, 0].contiguous().numpy()
        play_rows(
            game_pointers(self.rules),
            after.numpy(),
            self.rules.num_agents,
            np.float32(self.gamma),
            chosen,
            reward,
            discount,
        )
        return Transition(after, torch.from_numpy(reward), torch.from_numpy(discount))

    def _step_dynamics(self, state: Tensor, action: Tensor) -> Transition:
        dynamics, rows = self.view.dynamics, torch.arange(len(state), device=state.device)
        before = dynamics.mover(state)
        joint = self.only_action(dynamics.observe(state)["action_mask"])
        joint[rows, before] = action
        after, reward, going = dynamics.step(state, joint)
        teams = torch.tensor(self.spec.teams, device=state.device)
        same = teams[before] == teams[dynamics.mover(after)]
        discount = torch.where(same, self.gamma, -self.gamma) * going
        return Transition(after, reward[rows, before], discount)

    def only_action(self, mask: Tensor) -> Tensor:
        """Return the first legal action of rows with `mask` `[..., M]`: int64 `[..., H]`.

        It is the one action of those who wait.
        """
        actions = self.view.actions
        heads = [actions.head_mask(mask, 0).int().argmax(-1)]
        used = actions.used(mask, heads[0])
        for index in range(1, actions.num_heads):
            value = actions.head_mask(mask, index, heads[0]).int().argmax(-1)
            heads.append(value * used[..., index])
        return torch.stack(heads, dim=-1)
