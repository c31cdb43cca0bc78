"""Stay near a frozen policy: the exact KL divergence to it, as a penalty and as a gradient.

The objective is J = E sum_t gamma^t [r_t - beta D(s_t)] with D(s) = KL(pi(.|s) || ref(.|s)).  Its
gradient has two parts, since pi decides where one comes to and how far it stands from the reference
there:

    grad J = E sum_t gamma^t [ grad log pi(a_t|s_t) G_t  -  beta grad D(s_t) ],
    G_t = r_t + sum_{k > t} gamma^{k-t} (r_k - beta D(s_k)).

The first is a policy gradient whose returns hold the penalties of later states: it steers away from
states in which reward can only be had by leaving the reference.  D(s_t) itself may be in G_t or
not: a_t does not change it, so it acts as a baseline.  PPO therefore learns from the reward
r_t - beta D(s_t), its critic included, and adds beta D(s_t), differentiated through the policy of
now, to the loss.  D is exact for the distribution's heads (of a conditional head, in expectation
over the selector), where a sampled log-ratio would be noisy and can be negative.  In a bandit the
optimum is pi ~ ref exp(r / beta).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from simrl.nn.actor_critic import ActorCritic
from simrl.nn.distributions import ClippedGaussian, Distribution, MaskedHeads
from simrl.rollout.buffer import RolloutBuffer


class Reference:
    """Hold the frozen policy, and its memory at the lanes of the buffer where it has one."""

    def __init__(self, net: ActorCritic) -> None:
        """Freeze `net`; it must be another network than the one that learns."""
        self.net = net.eval().requires_grad_(False)
        for normaliser in (net.normaliser, net.critic and net.critic.normaliser):
            if normaliser is not None:
                normaliser.frozen = True
        self._state: dict[str, Tensor] = {}

    @torch.no_grad()
    def outputs(self, buffer: RolloutBuffer) -> Tensor:
        """Return the logits or means `[T, L, outputs]` at every step of `buffer`.

        Buffers must come one after another, as `RolloutEngine.collect` gives them: the memory of
        the reference goes on from one to the next.
        """
        net = self.net
        if not net.stateful:
            obs = {name: value.flatten(0, 1) for name, value in buffer.obs.items()}
            flat = _outputs(net.act_step(obs, {}, need_value=False)[0])
            return flat.unflatten(0, (buffer.unroll, buffer.num_lanes))
        state = self._state or net.initial_state(buffer.num_lanes)
        result = []
        for t in range(buffer.unroll):
            fresh = buffer.episode_start[t][:, None]
            state = {key: value.masked_fill(fresh, 0.0) for key, value in state.items()}
            obs = {name: value[t] for name, value in buffer.obs.items()}
            dist, _, state = net.act_step(obs, state, need_value=False)
            result.append(_outputs(dist))
        self._state = state
        return torch.stack(result)

    def kl(self, dist: Distribution, outputs: Tensor) -> Tensor:
        """Return KL(dist || reference) `[R]` [nat], given the reference's `outputs` `[R, ...]`."""
        mask = dist.mask if isinstance(dist, MaskedHeads) else None
        return dist.kl(self.net.distribution(outputs, mask))

    def state_dict(self) -> dict[str, Any]:
        """Return weights and memory."""
        return {"net": dict(self.net.state_dict()), "state": dict(self._state)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.net.load_state_dict(state["net"])
        self._state = dict(state["state"])


def _outputs(dist: Distribution) -> Tensor:
    """Return what a distribution was made of: logits or means `[R, outputs]`."""
    if isinstance(dist, MaskedHeads):
        return dist.logits
    return cast(ClippedGaussian, dist).mean
