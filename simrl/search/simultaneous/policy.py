"""Play by searching simultaneous moves from the state that the environment is in."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.dynamics import Dynamics
from simrl.core.policy import PolicyOutput
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState
from simrl.search.simultaneous.config import SimultaneousConfig
from simrl.search.simultaneous.evaluators import JointEvaluator, single_head
from simrl.search.simultaneous.search import search_simultaneous


class SimultaneousSearchPolicy:
    """Draw each row's action from the strategy that a search gives its seat.

    Rows in the same state share one search.  Extras: "search_policy" `[rows, K]` (the strategy),
    "search_value" `[rows]`, "search_q" `[rows, K]` and "log_prob" `[rows]`.  The search sees the
    whole state; for games with hidden information that is more than an agent may know.
    """

    reads = frozenset({"state"})

    def __init__(
        self,
        dynamics: Dynamics,
        spec: EnvSpec,
        evaluator: JointEvaluator,
        config: SimultaneousConfig | None = None,
    ) -> None:
        """Search by `dynamics`, the model of the environment `spec`, and `evaluator`."""
        single_head(spec)
        self._dynamics = dynamics
        self._spec = spec
        self._evaluator = evaluator
        self._config = config or SimultaneousConfig()

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Search, then draw a slot for each row; with `deterministic`, take the most probable."""
        seat: Tensor = obs["seat"]
        positions, where = torch.unique(obs["state"], dim=0, return_inverse=True)
        found = search_simultaneous(
            self._dynamics, self._spec, self._evaluator, positions, self._config, rng
        )
        strategy = found.strategy[where, seat]
        if deterministic:
            slot = strategy.argmax(-1, keepdim=True)
        else:
            slot = torch.multinomial(strategy, 1, generator=rng)
        extras = {
            "log_prob": strategy.gather(-1, slot).squeeze(-1).log(),
            "search_policy": strategy,
            "search_value": found.value[where, seat],
            "search_q": found.q[where, seat],
        }
        return PolicyOutput(slot, state, extras)
