"""Learn a correction to what another policy does (Johannink et al. 2019, Silver et al. 2018).

The network's action is the correction alone, so it is learned from like any other; the environment
is given the sum.  At first the correction is nearly nothing, and the sum acts as the base does.

`simrl_controllers.residual` adds policies that are ready.  It is no substitute here: it prefixes
memory and log_prob of both, and a learner looks for those of the learned one under their own names.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from simrl.core.actions import ContinuousActions
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState
from simrl.rollout.store import LEARN_ACTION

BASE = "base/"
"""What the names of the base's memory and extras begin with."""


def residual_spec(spec: EnvSpec, limit: float) -> EnvSpec:
    """Return `spec` as the network sees it: its actions are corrections of up to `limit`.

    limit: share of half the range of each action.  ValueError unless actions are continuous and
    bounded and `limit` is above 0 and at most 2.
    """
    actions = spec.actions
    if not isinstance(actions, ContinuousActions):
        raise ValueError(f"{spec.id}: a correction adds to continuous actions, these are not")
    if not 0.0 < limit <= 2.0:
        raise ValueError(f"the limit of a correction must be above 0 and at most 2, got {limit}")
    half = [(high - low) / 2 for low, high in zip(actions.low, actions.high, strict=True)]
    if not all(bool(torch.isfinite(torch.tensor(size))) for size in half):
        raise ValueError(f"{spec.id}: a correction needs actions with finite bounds")
    return replace(
        spec,
        actions=ContinuousActions(
            tuple(-limit * size for size in half),
            tuple(limit * size for size in half),
            actions.names,
        ),
    )


class ResidualPolicy:
    """Add a learned policy's actions to those of a base, and clip the sum to the bounds.

    Memory and extras of the base carry the prefix "base/"; those of the learned policy keep their
    names, and the extra "learn_action" `[rows, size]` is its own action, which a learner learns
    from.
    """

    def __init__(self, spec: EnvSpec, base: Policy, learned: Policy) -> None:
        """Correct `base`; the actions of `learned` are those of `residual_spec(spec, ...)`."""
        actions = spec.actions
        if not isinstance(actions, ContinuousActions):
            raise ValueError(f"{spec.id}: a correction adds to continuous actions, these are not")
        self.base, self.learned = base, learned
        self._low, self._high = torch.tensor(actions.low), torch.tensor(actions.high)
        self.reads = frozenset(base.reads) | frozenset(learned.reads)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the memory of both."""
        kept = {BASE + key: value for key, value in self.base.initial_state(num_rows).items()}
        return {**kept, **self.learned.initial_state(num_rows)}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the sum of both actions `[rows, size]`."""
        memory = {k.removeprefix(BASE): v for k, v in state.items() if k.startswith(BASE)}
        own = {k: v for k, v in state.items() if not k.startswith(BASE)}
        base = self.base.act(_read(obs, self.base), memory, rng, deterministic=deterministic)
        learned = self.learned.act(_read(obs, self.learned), own, rng, deterministic=deterministic)
        action = (base.action + learned.action).clamp(self._low, self._high)
        return PolicyOutput(
            action,
            {**{BASE + key: value for key, value in base.state.items()}, **learned.state},
            {
                **{BASE + key: value for key, value in base.extras.items()},
                **learned.extras,
                LEARN_ACTION: learned.action,
            },
        )


def _read(obs: Obs, policy: Policy) -> Obs:
    return {name: obs[name] for name in {*policy.reads, "seat"} if name in obs}
