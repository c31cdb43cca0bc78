"""A network as a policy: it acts for any rows, under any seating."""

from __future__ import annotations

import torch
from torch import Tensor

from simrl.core.policy import PolicyOutput
from simrl.core.timestep import Obs, PolicyState
from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import Distribution, MaskedHeads
from simrl.nn.plain import PlainNet


class NetworkPolicy:
    """Act by an actor-critic network.

    Gives `log_prob` `[rows]` and `value` `[rows, V]` as extras, and with `show_probs` also
    `button_probs` `[rows, size]`, the probabilities of the first head's values.
    """

    def __init__(self, net: ActorCritic, *, values: bool = True, show_probs: bool = False) -> None:
        """Act by `net` as it stands; later changes of its weights are seen.

        `values=False` leaves out the value where it costs a network of its own, and asks for no
        privileged observations: for opponents and for evaluation.
        """
        self.net = net
        self.values = values or net.critic is None
        self.show_probs = show_probs
        self._plain = PlainNet(net) if PlainNet.fits(net) else None
        groups = net.reads
        self.reads: frozenset[str] = groups if self.values else groups - {"critic"}

    @property
    def device(self) -> torch.device:
        """Where the network lives: the rollout engine brings its rows there."""
        return next(self.net.parameters()).device

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the network's memory at the start of an episode, `[num_rows, width]`."""
        return self.net.initial_state(num_rows)

    def act(
        self,
        obs: Obs,
        state: PolicyState,
        rng: torch.Generator,
        *,
        deterministic: bool = False,
    ) -> PolicyOutput:
        """Draw an action for each row, or with `deterministic` take the most probable."""
        with torch.inference_mode():
            dist, value, new_state = self._evaluate(obs, state)
            action, log_prob = dist.sample(rng, deterministic=deterministic)
            extras: dict[str, Tensor] = {"log_prob": log_prob}
            if self.values and value is not None:
                extras["value"] = value
            if self.show_probs and isinstance(dist, MaskedHeads):
                extras["button_probs"] = dist.selector_probs()
        return PolicyOutput(action, new_state, extras)

    def _evaluate(
        self, obs: Obs, state: PolicyState
    ) -> tuple[Distribution, Tensor | None, PolicyState]:
        plain = self._plain
        if plain is None or not plain.small(len(obs["policy"])) or not plain.bind():
            return self.net.act_step(obs, state, need_value=self.values)
        obs, kept = self.net.remember(obs, state)
        logits, value = plain.act(obs, need_value=self.values)
        return self.net.distribution(logits, obs.get("action_mask")), value, kept
