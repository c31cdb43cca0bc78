"""Show a `VecEnv` with one row as a PettingZoo parallel environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import seeding

from simrl.adapters.spaces import (
    OnIllegal,
    accept_action,
    action_space,
    check_on_illegal,
    joint_action,
    observation_space,
)
from simrl.core.actions import DiscreteActions
from simrl.core.env import VecEnv
from simrl.core.timestep import Obs

try:
    from pettingzoo import ParallelEnv
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("PettingZoo is missing: pip install 'simrl[pettingzoo]'") from error


class ParallelPettingZoo(ParallelEnv[str, Any, Any]):  # type: ignore[misc]
    """Show all agents of a one-row `VecEnv` to PettingZoo.

    With one discrete head, an observation is {"observation", "action_mask"}, PettingZoo's way.
    With several heads or floats it is the array alone: PettingZoo has no masks for them, so the
    flat mask of `simrl.core.actions` is in the infos.  The infos also say under "illegal" whether
    an agent's last action was replaced (see `simrl.adapters.spaces`).
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        on_illegal: OnIllegal = "replace",
        render_mode: str | None = None,
    ) -> None:
        check_on_illegal(on_illegal)
        if env.num_envs != 1:
            raise ValueError(f"PettingZoo needs an environment of one row, got {env.num_envs}")
        self._env, self._on_illegal = env, on_illegal
        self.render_mode = render_mode
        self.metadata = {"name": env.spec.id, "render_modes": ["rgb_array"]}
        self.possible_agents = list(env.spec.agent_names)
        self.agents: list[str] = []
        actions = env.spec.actions
        self._masked = isinstance(actions, DiscreteActions) and actions.num_heads == 1
        env.request(
            ["policy", "action_mask"] if isinstance(actions, DiscreteActions) else ["policy"]
        )
        self.observation_spaces = {name: self._space() for name in self.possible_agents}
        self.action_spaces = {name: action_space(actions) for name in self.possible_agents}
        self._np_random, _ = seeding.np_random()
        self._obs: Obs = {}

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """Return the agent's observation space, always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """Return the agent's action space, always the same object."""
        return self.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start an episode with all agents."""
        if seed is not None:
            self._np_random, _ = seeding.np_random(seed)
        self.agents = list(self.possible_agents)
        self._obs = self._env.reset(int(self._np_random.integers(2**31)))
        illegal = torch.zeros(len(self.agents), dtype=torch.bool)
        return self._seen(self._obs), self._infos(self._obs, illegal)

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]]:
        """Play one action of every agent; ValueError names an agent without one."""
        missing = [name for name in self.agents if name not in actions]
        if missing or not self.agents:
            raise ValueError(f"no action for {missing}" if missing else "call reset first")
        values = np.stack([np.asarray(actions[name]).reshape(-1) for name in self.agents])
        joint = joint_action(self._env.spec, values, (1, len(self.agents)))
        mask = self._obs.get("action_mask")
        played, illegal = accept_action(self._env.spec, mask, joint, self._on_illegal)
        step = self._env.step(played)
        self._obs = step.obs
        last = step.final_obs if bool(step.done[0]) else step.obs
        names = self.agents
        result = (
            self._seen(last),
            dict(zip(names, step.reward[0].tolist(), strict=True)),
            dict.fromkeys(names, bool(step.terminated[0])),
            dict.fromkeys(names, bool(step.truncated[0])),
            self._infos(last, illegal[0]),
        )
        if bool(step.done[0]):
            self.agents = []
        return result

    def state(self) -> np.ndarray:
        """Return the simulator's state `[S]`, a row of `VecEnv.snapshot`."""
        return self._env.snapshot()[0].numpy()

    def render(self) -> np.ndarray | None:
        """Draw the environment, if made with `render_mode="rgb_array"`."""
        return self._env.render(0) if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Do nothing; the environment belongs to the caller."""

    def _space(self) -> spaces.Space[Any]:
        box = observation_space(self._env.spec.observations["policy"])
        if not self._masked:
            return box
        actions = self._env.spec.actions
        size = actions.mask_size if isinstance(actions, DiscreteActions) else 0
        mask = spaces.Box(0, 1, (size,), np.int8)
        return spaces.Dict({"observation": box, "action_mask": mask})

    def _seen(self, obs: Obs) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for agent, name in enumerate(self.possible_agents):
            values = np.array(obs["policy"][0, agent].numpy())
            if self._masked:
                mask = obs["action_mask"][0, agent].numpy().astype(np.int8)
                result[name] = {"observation": values, "action_mask": mask}
            else:
                result[name] = values
        return result

    def _infos(self, obs: Obs, illegal: torch.Tensor) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for agent, name in enumerate(self.possible_agents):
            infos[name] = {"illegal": bool(illegal[agent])}
            if "action_mask" in obs:
                mask = obs["action_mask"][0, agent].numpy().astype(np.int8)
                infos[name]["action_mask"] = mask
        return infos
