"""Use PettingZoo's parallel environments as ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from simrl.adapters.gymnasium import action_spec, observation_layout
from simrl.core.actions import DiscreteActions
from simrl.core.seeding import child_seed
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep


class PettingZooVec:
    """Step `num_envs` PettingZoo parallel environments as one `VecEnv`.

    All agents must have the same spaces: observations a Box or Discrete (shown as one-hot), or a
    Dict of "observation" and "action_mask"; actions Discrete, MultiDiscrete or a bounded Box.
    An agent that leaves before the others is dead: "alive" is False, its observation and rewards
    are 0, and its only legal action is the first.  The episode ends when none is left; it is
    truncated if the last to leave were all truncated.  PettingZoo cannot copy an environment's
    state, so `snapshot` and `restore` raise NotImplementedError.
    """

    def __init__(
        self, make: Callable[[], Any], num_envs: int = 1, *, teams: Sequence[int] = ()
    ) -> None:
        """Build `num_envs` environments by `make()`; `teams` says which agents share a result.

        Raises ValueError naming the agent whose spaces differ, or a space that is not supported.
        """
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self._envs = [make() for _ in range(num_envs)]
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        first = self._envs[0]
        self._agents: list[str] = list(first.possible_agents)
        self._name = str(first.metadata.get("name", "pettingzoo"))
        self._seen, self._act, self._has_mask = _spaces(first, self._agents, self._name)
        self.spec = EnvSpec(
            id=self._name,
            num_agents=len(self._agents),
            observations={"policy": observation_layout(self._seen, self._name)},
            actions=action_spec(self._act, self._name),
            teams=tuple(teams),
            agent_names=tuple(self._agents),
        )
        self._seeds = np.zeros(num_envs, np.int64)
        self._episodes = np.zeros(num_envs, np.int64)
        self._mask: Tensor | None = None

    def request(self, groups: Iterable[str]) -> None:
        """Accept "policy", "alive" and, with discrete actions, "action_mask"; all always there."""
        valid = ["policy", "alive"]
        if isinstance(self.spec.actions, DiscreteActions):
            valid.append("action_mask")
        for name in groups:
            if name not in valid:
                raise ValueError(
                    f"{self.spec.id}: unknown observation group {name!r}; "
                    f"the groups are {', '.join(valid)}"
                )

    def reset(self, seed: int) -> Obs:
        """Start every environment anew; row i's seeds derive from `seed`, i and the episode."""
        self._seeds[:] = [child_seed(seed, f"env/{row}") for row in range(self.num_envs)]
        self._episodes[:] = 0
        return self._gather([self._restart(row) for row in range(self.num_envs)])

    def step(self, action: Tensor) -> TimeStep:
        """Apply int64 `[N, A, heads]` or float32 `[N, A, size]`; the dead agents' are not used."""
        values = self._checked(action)
        shape = (self.num_envs, self.spec.num_agents)
        reward = torch.zeros(shape)
        terminated = torch.zeros(self.num_envs, dtype=torch.bool)
        truncated = torch.zeros_like(terminated)
        last, new = [], []
        for row, env in enumerate(self._envs):
            living = list(env.agents)
            moves = {name: self._move(values[row, self._agents.index(name)]) for name in living}
            seen, paid, _, cut, _ = env.step(moves)
            for name in living:
                reward[row, self._agents.index(name)] = float(paid.get(name, 0.0))
            last.append({name: seen[name] for name in seen})
            if env.agents:
                new.append({name: seen[name] for name in env.agents})
                continue
            truncated[row] = all(cut.get(name, False) for name in living)
            terminated[row] = not truncated[row]
            new.append(self._restart(row))
        final_obs = self._gather(last)
        return TimeStep(
            obs=self._gather(new),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_obs=final_obs,
        )

    def snapshot(self) -> Tensor:
        """Raise NotImplementedError: PettingZoo has no way to copy a state."""
        # Not unfinished: its interface offers none, and a guess would be a wrong state.
        raise NotImplementedError(f"{self.spec.id}: PettingZoo environments have no snapshots")

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Raise NotImplementedError: PettingZoo has no way to copy a state."""
        # Not unfinished: its interface offers none, and a guess would be a wrong state.
        raise NotImplementedError(f"{self.spec.id}: PettingZoo environments have no snapshots")

    def render(self, row: int) -> np.ndarray:
        """Draw one environment; make it with `render_mode="rgb_array"`."""
        image = self._envs[row].render()
        if image is None:
            raise ValueError(f'{self.spec.id}: pass render_mode="rgb_array" to be able to render')
        return np.asarray(image)

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()

    def _restart(self, row: int) -> dict[str, Any]:
        seed = child_seed(int(self._seeds[row]), f"episode/{self._episodes[row]}") % 2**31
        self._episodes[row] += 1
        seen, _ = self._envs[row].reset(seed=seed)
        return dict(seen)

    def _gather(self, rows: list[dict[str, Any]]) -> Obs:
        """Stack what each row's agents see; those who see nothing are dead."""
        shape = (self.num_envs, self.spec.num_agents)
        policy = torch.zeros(*shape, self.spec.observations["policy"].size)
        alive = torch.zeros(shape, dtype=torch.bool)
        obs: dict[str, Tensor] = {"policy": policy, "alive": alive}
        actions = self.spec.actions
        mask = None
        if isinstance(actions, DiscreteActions):
            mask = torch.ones(*shape, actions.mask_size, dtype=torch.bool)
            if self._has_mask:
                mask[..., : actions.heads[0].size] = False
                mask[..., 0] = True
            obs["action_mask"] = mask
        for row, seen in enumerate(rows):
            for name, value in seen.items():
                agent = self._agents.index(name)
                alive[row, agent] = True
                if self._has_mask and mask is not None:
                    legal = torch.from_numpy(np.asarray(value["action_mask"]).astype(np.bool_))
                    if bool(legal.any()):
                        mask[row, agent, : len(legal)] = legal
                    value = value["observation"]
                policy[row, agent] = torch.from_numpy(_flat(self._seen, value))
        self._mask = mask
        return obs

    def _checked(self, action: Tensor) -> np.ndarray:
        actions = self.spec.actions
        if isinstance(actions, DiscreteActions):
            if self._mask is None:
                raise ValueError(f"{self.spec.id}: call reset first")
            actions.check(self._mask, action, self.spec.id)
            return action.numpy() + np.asarray(getattr(self._act, "start", 0))
        bad = (~torch.isfinite(action)).nonzero()
        if len(bad):
            row, agent, index = bad[0].tolist()
            raise ValueError(
                f"{self.spec.id}: environment {row}, agent {agent}: index {index} of the action "
                f"is {float(action[row, agent, index])}; actions must be finite"
            )
        return action.clamp(torch.tensor(actions.low), torch.tensor(actions.high)).numpy()

    def _move(self, value: np.ndarray) -> Any:
        if isinstance(self._act, spaces.Discrete):
            return int(value[0])
        return value.reshape(self._act.shape)


def _spaces(
    env: Any, agents: list[str], name: str
) -> tuple[spaces.Space[Any], spaces.Space[Any], bool]:
    """Return the spaces that all agents share, and whether observations hold a mask."""
    if not agents:
        raise ValueError(f"{name} has no possible_agents")
    seen, act = env.observation_space(agents[0]), env.action_space(agents[0])
    for agent in agents[1:]:
        if env.observation_space(agent) != seen or env.action_space(agent) != act:
            raise ValueError(f"{name}: {agent} and {agents[0]} have different spaces")
    if isinstance(seen, spaces.Dict):
        if sorted(seen) != ["action_mask", "observation"] or not isinstance(act, spaces.Discrete):
            raise ValueError(
                f"{name}: a Dict observation must hold observation and action_mask, and actions "
                f"must be Discrete; got {', '.join(seen)} and {act}"
            )
        return seen["observation"], act, True
    return seen, act, False


def _flat(space: spaces.Space[Any], value: Any) -> np.ndarray:
    if isinstance(space, spaces.Discrete):
        row = np.zeros(int(space.n), np.float32)
        row[int(value) - int(space.start)] = 1.0
        return row
    return np.asarray(value, np.float32).reshape(-1)


__all__ = ["PettingZooVec"]
