"""Write the steps of the training lanes into a `RolloutBuffer`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, Obs, PolicyState, TimeStep
from simrl.rollout.buffer import RolloutBuffer, allocate
from simrl.rollout.ledger import host
from simrl.rollout.plan import Act, SeatedPolicy
from simrl.rollout.transfer import Bridge

LEARN_ACTION = "learn_action"
"""Extra of a policy that wants another action to be learned from than the one it took: the part of
a sum that is its own, or what an expert would have done."""


class BufferStore:
    """Fill one buffer of `unroll` steps again and again; the hot loop only copies.

    Views of every step are cut once, since slicing costs as much as a small copy.
    """

    def __init__(
        self,
        unroll: int,
        spec: EnvSpec,
        trains: Tensor,
        seated: SeatedPolicy,
        obs: Obs,
        action: Tensor,
        device: torch.device,
    ) -> None:
        lanes = trains.nonzero()
        self._flat = (lanes[:, 0] * spec.num_agents + lanes[:, 1]).to(action.device)
        self._env = lanes[:, 0].to(action.device)
        self._num_agents = spec.num_agents
        self._every_lane = bool(trains.all())
        self._every_env = self._every_lane and spec.num_agents == 1
        self._bridge = Bridge(device)
        self._device = device
        self.seated = seated
        with torch.inference_mode():
            sample = seated.gather(obs)
        del sample["seat"]
        self.buffer: RolloutBuffer = allocate(
            unroll,
            lanes,
            sample,
            action.flatten(0, 1),
            dict(seated.state),
            num_values=len(spec.value_groups),
            num_terms=len(spec.reward_terms),
            device=device,
        )
        self._cut()
        self._final_index: list[Tensor] = []
        self._final_obs: list[dict[str, Tensor]] = []
        self._final_state: list[dict[str, Tensor]] = []
        self.follow(seated)

    def _cut(self) -> None:
        buffer = self.buffer
        groups = {name: value.unbind(0) for name, value in buffer.obs.items()}
        steps = range(buffer.unroll)
        self._obs = [{name: views[t] for name, views in groups.items()} for t in steps]
        self._action = buffer.action.unbind(0)
        self._log_prob = buffer.log_prob.unbind(0)
        self._value = buffer.value.unbind(0)
        # Where every seat trains, the lanes of a step are the seats [N, A] themselves.
        lead = (buffer.unroll, -1, self._num_agents) if self._every_lane else (buffer.unroll, -1)
        self._reward = buffer.reward.view(lead).unbind(0)
        terms = buffer.reward_terms
        self._terms = None if terms is None else terms.view(*lead, terms.shape[-1]).unbind(0)
        self._terminated = buffer.terminated.unbind(0)
        self._truncated = buffer.truncated.unbind(0)
        self._start = buffer.episode_start.unbind(0)

    def follow(self, seated: SeatedPolicy) -> None:
        """Use the training policy's new rows; its lanes are always among them."""
        self.seated = seated
        same = torch.equal(seated.rows, self._flat)
        pick = None if same else torch.searchsorted(seated.rows, self._flat)
        self._pick = pick if pick is None else pick.to(seated.device)
        copies = not seated.whole and seated.column is None
        self._direct = same and copies and seated.device == self._device == self._flat.device

    def begin(self, state: PolicyState) -> None:
        """Start a chunk: keep the policy state `[R, ...]` before its first step."""
        self._final_index, self._final_obs, self._final_state = [], [], []
        for name, target in self.buffer.start_state.items():
            target.copy_(self._lanes(state[name]))

    def slots(self, t: int) -> Mapping[str, Tensor] | None:
        """Return where the policy's gathered rows may be written straight away, if they may."""
        return self._obs[t] if self._direct else None

    def put_act(self, t: int, act: Act, start: Tensor) -> None:
        """Keep what the policy saw and chose; `start` `[N]` marks first steps of episodes."""
        if not self._direct:
            for name, target in self._obs[t].items():
                self._put(target, act.obs[name])
        extras = act.output.extras
        self._put(self._action[t], extras.get(LEARN_ACTION, act.output.action))
        self._put_extra(self._log_prob[t], extras.get("log_prob"))
        self._put_extra(self._value[t], extras.get("value"))
        self._put_env("start", self._start[t], start)

    def put_step(self, t: int, act: Act, timestep: TimeStep, ended: bool) -> None:
        """Keep what the environment answered; `ended` says whether any row is done."""
        self._put_seat("reward", self._reward[t], timestep.reward)
        if self._terms is not None and timestep.reward_terms is not None:
            self._put_seat("terms", self._terms[t], timestep.reward_terms)
        self._put_env("terminated", self._terminated[t], timestep.terminated)
        self._put_env("truncated", self._truncated[t], timestep.truncated)
        if ended:
            self._put_final(t, act, timestep)

    def finish(self, obs: Obs) -> RolloutBuffer:
        """Close the chunk with the observations `[N, A, ...]` and memory after its last step."""
        with torch.inference_mode():
            rows, state = self.seated.gather(obs), self.seated.state
            for name, target in self.buffer.next_obs.items():
                target.copy_(self._lanes(rows[name]))
            for name, target in self.buffer.next_state.items():
                target.copy_(self._lanes(state[name]))
        self._join_final()
        return self.buffer

    def _put_final(self, t: int, act: Act, timestep: TimeStep) -> None:
        if not np.count_nonzero(host(timestep.truncated)):
            return
        lanes = timestep.truncated.index_select(0, self._env).nonzero().squeeze(1)
        if not len(lanes):
            return
        flat, env = self._flat[lanes], self._env[lanes]
        final = timestep.final_obs
        self._final_obs.append(
            {
                name: final[name].index_select(0, env)
                if name == "state"
                else final[name].flatten(0, 1).index_select(0, flat)
                for name in self.buffer.obs
            }
        )
        local = lanes.to(self.seated.device)
        local = local if self._pick is None else self._pick[local]
        state = act.output.state
        self._final_state.append({name: state[name][local] for name in self.buffer.start_state})
        self._final_index.append(torch.stack((torch.full_like(lanes, t), lanes), dim=1))

    def _join_final(self) -> None:
        """Join what was kept at truncations, in ordinary tensors that autograd may use."""
        buffer, device = self.buffer, self._device
        if self._final_index:
            index = torch.cat(self._final_index)
        else:
            index = torch.zeros(0, 2, dtype=torch.int64)
        buffer.final_index = index.to(device)
        buffer.final_obs = _join(self._final_obs, buffer.next_obs, device)
        buffer.final_state = _join(self._final_state, buffer.next_state, device)

    def _lanes(self, rows: Tensor) -> Tensor:
        return rows if self._pick is None else rows.index_select(0, self._pick)

    def _put(self, target: Tensor, rows: Tensor) -> None:
        """Copy the lanes among the policy's `rows` `[R, ...]`."""
        if self._pick is None:
            target.copy_(rows)
        else:
            target.copy_(rows.index_select(0, self._pick))

    def _put_extra(self, target: Tensor, rows: Tensor | None) -> None:
        """Copy the lanes of an extra; NaN if the policy did not give it in this step."""
        if rows is None:
            target.fill_(torch.nan)
        else:
            self._put(target, rows if rows.ndim == target.ndim else rows.unsqueeze(-1))

    def _put_seat(self, name: str, target: Tensor, value: Tensor) -> None:
        """Copy the lanes of a tensor `[N, A, ...]`."""
        if not self._every_lane:
            value = value.flatten(0, 1).index_select(0, self._flat)
        target.copy_(self._bridge.move(name, value))

    def _put_env(self, name: str, target: Tensor, value: Tensor) -> None:
        """Copy to the lanes a tensor `[N]` that belongs to their environment."""
        if value.is_cpu != self._env.is_cpu:
            value = value.to(self._env.device)
        if not self._every_env:
            value = value.index_select(0, self._env)
        target.copy_(self._bridge.move(name, value))


def _join(
    parts: list[dict[str, Tensor]], like: Mapping[str, Tensor], device: torch.device
) -> dict[str, Tensor]:
    """Concatenate each key of `parts` on `device`; zero rows shaped as `like` if there are none."""
    if not parts:
        return {name: value.new_empty(0, *value.shape[1:]) for name, value in like.items()}
    return {name: torch.cat([part[name] for part in parts]).to(device) for name in like}
