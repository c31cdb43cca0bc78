"""Train stable-baselines3 on our environments, and seat what it trained as a policy of ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from simrl.adapters.spaces import (
    OnIllegal,
    accept_action,
    action_space,
    check_on_illegal,
    joint_action,
    observation_parts,
    observation_space,
    parts_space,
    replace_illegal,
)
from simrl.core.actions import DiscreteActions
from simrl.core.env import VecEnv
from simrl.core.policy import PolicyOutput
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, PolicyState

try:
    from stable_baselines3.common.base_class import BaseAlgorithm
    from stable_baselines3.common.vec_env import VecEnv as Sb3Base
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("stable-baselines3 is missing: pip install 'simrl[sb3]'") from error


Seen = np.ndarray | dict[str, np.ndarray]
"""Observations `[rows, size]`, or those of each block `[rows, ...]`."""


class SB3VecEnv(Sb3Base):
    """Show every agent of every row as one of stable-baselines3's environments.

    Environment n * A + a is agent a of row n, so a game with two agents is trained by self-play
    with itself.  A time limit is told by "TimeLimit.truncated" in the infos, with the true last
    observation under "terminal_observation".  `env_method("action_masks")` returns the masks
    where no head depends on another, as sb3-contrib's MaskablePPO asks for them.

    With `parts` an observation is a dictionary of its blocks instead of one flat array, maps as
    pictures of bytes: what "MultiInputPolicy" reads and a replay buffer holds in a quarter of the
    room.  `simrl.adapters.sb3_extractor.PartsExtractor` encodes it.
    """

    def __init__(
        self,
        env: VecEnv,
        *,
        seed: int = 0,
        on_illegal: OnIllegal = "replace",
        parts: bool = False,
    ) -> None:
        check_on_illegal(on_illegal)
        self._env, self._on_illegal = env, on_illegal
        self._seed, self._parts = seed, parts
        self.render_mode = None
        actions = env.spec.actions
        env.request(
            ["policy", "action_mask"] if isinstance(actions, DiscreteActions) else ["policy"]
        )
        self._lead = (env.num_envs, env.spec.num_agents)
        self._obs: Obs = {}
        self._values = np.zeros(0)
        layout = env.spec.observations["policy"]
        super().__init__(
            env.num_envs * env.spec.num_agents,
            parts_space(layout) if parts else observation_space(layout),
            action_space(actions),
        )

    def reset(self) -> Seen:
        """Start all episodes anew, from the seed given by `seed`, the next one each time."""
        given = self._seeds[0]
        if given is not None:
            self._seed = given
            self._reset_seeds()
        self._obs = self._env.reset(self._seed)
        self._seed += 1
        return self._flat(self._obs)

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._values = actions

    def step_wait(self) -> tuple[Seen, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Play the actions kept by `step_async`."""
        joint = joint_action(self._env.spec, self._values, self._lead)
        mask = self._obs.get("action_mask")
        played, illegal = accept_action(self._env.spec, mask, joint, self._on_illegal)
        step = self._env.step(played)
        self._obs = step.obs
        agents = self._lead[1]
        done = step.done.repeat_interleave(agents).numpy().copy()
        infos: list[dict[str, Any]] = [{"illegal": bool(bad)} for bad in illegal.flatten()]
        if done.any():
            last, cut = self._flat(step.final_obs), step.truncated.repeat_interleave(agents)
            for index in np.flatnonzero(done):
                infos[index]["terminal_observation"] = _one(last, int(index))
                infos[index]["TimeLimit.truncated"] = bool(cut[index])
        return self._flat(step.obs), step.reward.flatten().numpy().copy(), done, infos

    def close(self) -> None:
        """Do nothing; the environment belongs to the caller."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of this adapter once for each environment asked about."""
        return [getattr(self, attr_name)] * len(self._picked(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Raise AttributeError: the environments have no attributes to set."""
        raise AttributeError(f"{self._env.spec.id}: {attr_name!r} cannot be set")

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Answer "action_masks"; AttributeError names any other method."""
        actions = self._env.spec.actions
        flat = isinstance(actions, DiscreteActions) and actions.selector is None
        if method_name != "action_masks" or not flat:
            raise AttributeError(f"{self._env.spec.id} has no method {method_name!r}")
        masks = self._obs["action_mask"].flatten(0, 1).numpy().copy()
        return [masks[index] for index in self._picked(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """Say that no environment is wrapped."""
        return [False] * len(self._picked(indices))

    def get_images(self) -> Sequence[np.ndarray | None]:
        """Draw each row once for each of its agents."""
        rows, agents = self._lead
        return [self._env.render(row) for row in range(rows) for _ in range(agents)]

    def _picked(self, indices: int | Iterable[int] | None) -> list[int]:
        return list(self._get_indices(indices))

    def _flat(self, obs: Obs) -> Seen:
        flat = obs["policy"].flatten(0, 1)
        if self._parts:
            return observation_parts(self._env.spec.observations["policy"], flat)
        return flat.numpy().copy()


class SB3Policy:
    """Act by a model that stable-baselines3 trained on `SB3VecEnv`, with `parts` or without.

    It knows no masks: an illegal value is replaced by the next legal one.  Recurrent models are not
    supported.
    """

    def __init__(self, model: BaseAlgorithm, spec: EnvSpec) -> None:
        layout = spec.observations["policy"]
        self._parts = isinstance(model.observation_space, spaces.Dict)
        seen = parts_space(layout) if self._parts else observation_space(layout)
        for name, ours in (
            ("observation_space", seen),
            ("action_space", action_space(spec.actions)),
        ):
            if getattr(model, name) != ours:
                raise ValueError(
                    f"the model's {name} is {getattr(model, name)}, that of {spec.id} is {ours}"
                )
        self.model, self.spec = model, spec
        discrete = isinstance(spec.actions, DiscreteActions)
        self.reads = frozenset({"policy", "action_mask"} if discrete else {"policy"})

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return no memory."""
        return {}

    def act(
        self,
        obs: Obs,
        state: PolicyState,
        rng: torch.Generator,
        *,
        deterministic: bool = False,
    ) -> PolicyOutput:
        """Ask the model, its draws seeded from `rng` and the global generator left as it is."""
        seed = int(torch.randint(2**31, (1,), generator=rng, device=rng.device))
        flat = obs["policy"].cpu()
        seen: Seen = flat.numpy()
        if self._parts:
            seen = observation_parts(self.spec.observations["policy"], flat)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            values, _ = self.model.policy.predict(seen, deterministic=deterministic)
        action = joint_action(self.spec, values, (len(flat),))
        if isinstance(self.spec.actions, DiscreteActions):
            action = replace_illegal(self.spec.actions, obs["action_mask"], action)
        return PolicyOutput(action)


def _one(seen: Seen, row: int) -> Seen:
    """Return what one row sees."""
    if isinstance(seen, dict):
        return {name: value[row] for name, value in seen.items()}
    one: np.ndarray = seen[row]
    return one
