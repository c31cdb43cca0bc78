"""Use gymnasium's environments as ours, and one seat of ours as a gymnasium environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from torch import Tensor

from simrl.adapters.spaces import (
    OnIllegal,
    accept_action,
    action_space,
    check_on_illegal,
    joint_action,
    observation_space,
)
from simrl.core.actions import ActionSpec, ContinuousActions, DiscreteActions, Head
from simrl.core.env import VecEnv
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed, torch_generator
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.core.timestep import Obs, PolicyState, TimeStep


class GymnasiumVec:
    """Step a gymnasium environment as a `VecEnv` of one agent.

    `source` is an id, of which `num_envs` copies are made, or a `VectorEnv` that resets in the same
    step.  Observations must be a Box or Discrete (shown as one-hot), actions Discrete,
    MultiDiscrete or a bounded Box.  Gymnasium cannot copy an environment's state, so `snapshot` and
    `restore` raise NotImplementedError.
    """

    def __init__(self, source: str | VectorEnv, num_envs: int = 1, **options: Any) -> None:
        self._env = _vector_env(source, num_envs, options)
        self.num_envs: int = self._env.num_envs
        self.device = torch.device("cpu")
        self.spec = _spec(self._env, source if isinstance(source, str) else "gymnasium")
        self._space = self._env.single_observation_space
        self._mask: Obs = {}
        if isinstance(self.spec.actions, DiscreteActions):
            size = self.spec.actions.mask_size
            self._mask = {"action_mask": torch.ones(self.num_envs, 1, size, dtype=torch.bool)}

    def request(self, groups: Iterable[str]) -> None:
        """Accept "policy" and "action_mask", which are always there."""
        valid = ["policy", *self._mask]
        for name in groups:
            if name not in valid:
                raise ValueError(
                    f"{self.spec.id}: unknown observation group {name!r}; "
                    f"the groups are {', '.join(valid)}"
                )

    def reset(self, seed: int) -> Obs:
        """Start every environment anew; row i's seed derives from `seed` and i."""
        seeds = [child_seed(seed, f"env/{row}") % 2**31 for row in range(self.num_envs)]
        seen, _ = self._env.reset(seed=seeds)  # type: ignore[arg-type]
        return self._obs(seen)

    def step(self, action: Tensor) -> TimeStep:
        """Apply int64 `[N, 1, heads]` or float32 `[N, 1, size]`."""
        actions = self.spec.actions
        if isinstance(actions, DiscreteActions):
            actions.check(self._mask["action_mask"], action, self.spec.id)
            single = isinstance(self._env.single_action_space, spaces.Discrete)
            values = self._plain(action[:, 0, 0] if single else action[:, 0])
        else:
            bad = (~torch.isfinite(action)).nonzero()
            if len(bad):
                row, agent, index = bad[0].tolist()
                raise ValueError(
                    f"{self.spec.id}: environment {row}, agent {agent}: index {index} of the "
                    f"action is {float(action[row, agent, index])}; actions must be finite"
                )
            low, high = torch.tensor(actions.low), torch.tensor(actions.high)
            values = action[:, 0].clamp(low, high).numpy().reshape(self._env.action_space.shape)
        seen, reward, terminated, truncated, infos = self._env.step(values)
        ended = torch.from_numpy(np.array(terminated, np.bool_))
        return TimeStep(
            obs=self._obs(seen),
            reward=torch.from_numpy(np.asarray(reward, np.float32).copy())[:, None],
            terminated=ended,
            truncated=torch.from_numpy(np.array(truncated, np.bool_)) & ~ended,
            final_obs=self._obs(_last(seen, infos)),
        )

    def snapshot(self) -> Tensor:
        """Raise NotImplementedError: gymnasium has no way to copy a state."""
        # Not unfinished: its interface offers none, and a guess would be a wrong state.
        raise NotImplementedError(f"{self.spec.id}: gymnasium environments have no snapshots")

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Raise NotImplementedError: gymnasium has no way to copy a state."""
        # Not unfinished: its interface offers none, and a guess would be a wrong state.
        raise NotImplementedError(f"{self.spec.id}: gymnasium environments have no snapshots")

    def render(self, row: int) -> np.ndarray:
        """Draw one environment; make it with `render_mode="rgb_array"`."""
        images = self._env.render()
        if images is None:
            raise ValueError(f'{self.spec.id}: pass render_mode="rgb_array" to be able to render')
        return np.asarray(images[row])

    def close(self) -> None:
        """Close the environments."""
        self._env.close()

    def _obs(self, seen: np.ndarray) -> Obs:
        rows = np.asarray(seen)
        if isinstance(self._space, spaces.Discrete):
            rows = np.eye(int(self._space.n), dtype=np.float32)[rows - self._space.start]
        flat = rows.reshape(self.num_envs, 1, -1).astype(np.float32)
        return {"policy": torch.from_numpy(flat), **self._mask}

    def _plain(self, action: Tensor) -> np.ndarray:
        start = getattr(self._env.single_action_space, "start", 0)
        return action.numpy() + np.asarray(start)


class SingleAgentGym(gymnasium.Env[np.ndarray, Any]):
    """Show one seat of a `VecEnv` with one row as a gymnasium environment.

    `others` plays the other seats, by agent number.  The legal-action mask is in the infos under
    "action_mask"; "illegal" there says that the last action was replaced (see
    `simrl.adapters.spaces`).  Raises ValueError if a seat is not taken or taken twice.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012, gymnasium's way

    def __init__(
        self,
        env: VecEnv,
        others: Mapping[int, Policy] | None = None,
        *,
        seat: int = 0,
        on_illegal: OnIllegal = "replace",
        render_mode: str | None = None,
    ) -> None:
        check_on_illegal(on_illegal)
        self._others = dict(others or {})
        wanted = sorted(set(range(env.spec.num_agents)) - {seat})
        if env.num_envs != 1 or seat not in range(env.spec.num_agents):
            raise ValueError(f"needs one row and a seat below {env.spec.num_agents}, got {seat}")
        if sorted(self._others) != wanted:
            raise ValueError(
                f"others must play the seats {wanted}, they play {sorted(self._others)}"
            )
        self._env, self._seat, self._on_illegal = env, seat, on_illegal
        self.render_mode = render_mode
        self.observation_space = observation_space(env.spec.observations["policy"])
        self.action_space = action_space(env.spec.actions)
        reads = set().union(*[policy.reads for policy in self._others.values()]) - {"seat"}
        mask = {"action_mask"} if isinstance(env.spec.actions, DiscreteActions) else set()
        env.request(sorted(reads | mask | {"policy"}))
        self._obs: Obs = {}
        self._states: dict[int, PolicyState] = {}
        self._rng = torch.Generator()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start an episode; without a seed, from gymnasium's own generator."""
        super().reset(seed=seed)
        start = int(self.np_random.integers(2**31))
        self._rng = torch_generator(start, "others")
        self._states = {seat: other.initial_state(1) for seat, other in self._others.items()}
        self._obs = self._env.reset(start)
        return self._seen(self._obs), self._info(self._obs)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one action of the seat, the others' beside it."""
        own = joint_action(self._env.spec, action, (1, 1))
        joint = own.repeat(1, self._env.spec.num_agents, 1)
        for seat, policy in self._others.items():
            joint[:, seat] = self._act(seat, policy)
        mask = self._obs.get("action_mask")
        played, illegal = accept_action(self._env.spec, mask, joint, self._on_illegal)
        step = self._env.step(played)
        self._obs = step.obs
        last = step.final_obs if bool(step.done[0]) else step.obs
        info = self._info(last)
        info["illegal"] = bool(illegal[0, self._seat])
        reward = float(step.reward[0, self._seat])
        return self._seen(last), reward, bool(step.terminated[0]), bool(step.truncated[0]), info

    def render(self) -> Any:
        """Draw the environment, if made with `render_mode="rgb_array"`."""
        return self._env.render(0) if self.render_mode == "rgb_array" else None

    def _act(self, seat: int, policy: Policy) -> Tensor:
        rows = {
            name: self._obs[name] if name == "state" else self._obs[name][:, seat]
            for name in policy.reads
            if name != "seat"
        }
        rows["seat"] = torch.tensor([seat])
        output = policy.act(rows, self._states[seat], self._rng)
        self._states[seat] = output.state
        return output.action

    def _seen(self, obs: Obs) -> np.ndarray:
        return np.array(obs["policy"][0, self._seat].numpy())

    def _info(self, obs: Obs) -> dict[str, Any]:
        if "action_mask" not in obs:
            return {}
        return {"action_mask": np.array(obs["action_mask"][0, self._seat].numpy())}


def _vector_env(source: str | VectorEnv, num_envs: int, options: dict[str, Any]) -> VectorEnv:
    if isinstance(source, str):
        return gymnasium.make_vec(
            source,
            num_envs,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
            **options,
        )
    mode = source.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            f"the vector environment resets by {mode}; make it with AutoresetMode.SAME_STEP"
        )
    return source


def _spec(env: VectorEnv, name: str) -> EnvSpec:
    return EnvSpec(
        id=name,
        num_agents=1,
        observations={"policy": observation_layout(env.single_observation_space, name)},
        actions=action_spec(env.single_action_space, name),
    )


def observation_layout(space: spaces.Space[Any], name: str) -> Layout:
    """Return the layout of a Box, or of a Discrete as one-hot; ValueError for other spaces."""
    if isinstance(space, spaces.Box):
        low, high = space.low.reshape(-1).tolist(), space.high.reshape(-1).tolist()
    elif isinstance(space, spaces.Discrete):
        low, high = [0.0] * int(space.n), [1.0] * int(space.n)
    else:
        raise ValueError(f"{name}: observations must be a Box or Discrete, got {space}")
    columns = [Column(f"x{i}", a, b) for i, (a, b) in enumerate(zip(low, high, strict=True))]
    return Layout((vector("obs", *columns),))


def action_spec(space: spaces.Space[Any], name: str) -> ActionSpec:
    """Return the spec of a gymnasium action space; ValueError if it is not supported."""
    if isinstance(space, spaces.Discrete):
        return DiscreteActions((Head("action", int(space.n)),))
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.ndim == 1:
        return DiscreteActions(tuple(Head(f"a{i}", int(n)) for i, n in enumerate(space.nvec)))
    if isinstance(space, spaces.Box) and space.is_bounded():
        low, high = space.low.reshape(-1).tolist(), space.high.reshape(-1).tolist()
        return ContinuousActions(tuple(low), tuple(high))
    raise ValueError(
        f"{name}: actions must be Discrete, MultiDiscrete or a bounded Box, got {space}"
    )


def _last(seen: np.ndarray, infos: dict[str, Any]) -> np.ndarray:
    """Put the last observations of ended episodes in the place of the new ones."""
    if "final_obs" not in infos:
        return seen
    last = np.array(seen)
    for row in np.flatnonzero(infos["_final_obs"]):
        last[row] = infos["final_obs"][row]
    return last
