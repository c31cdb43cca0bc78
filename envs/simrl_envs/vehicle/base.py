"""Turn batched kernels over float64 state rows into an environment and into its dynamics.

A vehicle task is a `Rules` object: how an episode starts, what an action does and what is seen,
over rows `[B, S]` that its kernels change in place.  `VehicleEnv` adds buffers, automatic reset,
snapshots and checks; `VehicleDynamics` is the same rules as a pure function with a native rollout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from simrl.core.actions import ContinuousActions
from simrl.core.controls import Controls
from simrl.core.plugins import EnvPlugin
from simrl.core.policy import Policy
from simrl.core.replay import Replay
from simrl.core.spec import EnvSpec
from simrl.core.timestep import Obs, TimeStep
from simrl_envs.vehicle.streams import ENDED, HEADER, STEPS, STREAM, first_streams


def name_parts(**widths: int) -> dict[str, slice]:
    """Lay named parts out one after the other, behind the columns that open every row.

    The header's own columns are parts too: "stream", "draws", "steps", "time" and "ended".
    """
    header = ("stream", "draws", "steps", "time", "ended")
    parts = {name: slice(index, index + 1) for index, name in enumerate(header)}
    start = HEADER
    for name, width in widths.items():
        parts[name] = slice(start, start + width)
        start += width
    return parts


class Rules(Protocol):
    """Move B independent rows `[B, S]` float64; the kernels change them in place."""

    spec: EnvSpec

    def start(self, rows: np.ndarray) -> None:
        """Begin an episode in each row; stream and number of draws are all that is kept."""
        ...

    def advance(self, rows: np.ndarray, action: np.ndarray, terms: np.ndarray) -> None:
        """Apply legal joint actions `[B, A, size]` float64 and count the step.

        Writes the unweighted reward terms `[B, A, R]` float64.  A row whose task ends gets its
        "ended" column set to 1; a row that has ended stays as it is and pays nothing.
        """
        ...

    def unroll(
        self, rows: np.ndarray, actions: np.ndarray, states: np.ndarray, terms: np.ndarray
    ) -> None:
        """Apply `[B, H, A, size]`; write each step's state `[B, H, S]` and terms `[B, H, A, R]`."""
        ...

    def observe(self, rows: np.ndarray, out: Mapping[str, np.ndarray]) -> None:
        """Write the groups that `out` names, each `[B, A, D]` float32."""
        ...

    def metrics(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the figures of the episode, `[B]` or `[B, A]`, named by `spec.metrics`."""
        ...

    def draw(self, row: np.ndarray) -> np.ndarray:
        """Draw one row `[S]` as `(height, width, 3)` uint8."""
        ...


class VehicleEnv:
    """Step N rows of a vehicle task; buffers are written in place, so copy what must be kept."""

    def __init__(self, rules: Rules, num_envs: int) -> None:
        if num_envs < 1:
            raise ValueError(f"{rules.spec.id}: num_envs must be at least 1, got {num_envs}")
        self.rules = rules
        self.spec = rules.spec
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        agents, terms = self.spec.num_agents, len(self.spec.reward_terms)
        self._weights = np.array(self.spec.reward_weights)
        self._rows = np.zeros((num_envs, self.spec.state_size))
        self._final_rows = np.zeros_like(self._rows)
        self._raw_terms = np.zeros((num_envs, agents, terms))
        self._terms = torch.zeros(num_envs, agents, terms)
        self._reward = torch.zeros(num_envs, agents)
        self._terminated = torch.zeros(num_envs, dtype=torch.bool)
        self._truncated = torch.zeros(num_envs, dtype=torch.bool)
        shapes = {
            name: (num_envs, agents, layout.size) for name, layout in self.spec.observations.items()
        }
        self._obs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._final_obs = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        self._metrics = {
            name: torch.zeros(value.shape) for name, value in rules.metrics(self._rows).items()
        }
        self._started = False
        self.request([*self._obs, "state"])

    def request(self, groups: Iterable[str]) -> None:
        """Compute only these groups from now on, and always "policy"."""
        valid, wanted = [*self._obs, "state"], set(groups)
        for name in sorted(wanted):
            if name not in valid:
                raise ValueError(
                    f"{self.spec.id}: unknown observation group {name!r}; "
                    f"the groups are {', '.join(valid)}"
                )
        self._wanted = [name for name in self._obs if name in wanted or name == "policy"]
        now = {name: torch.from_numpy(self._obs[name]) for name in self._wanted}
        last = {name: torch.from_numpy(self._final_obs[name]) for name in self._wanted}
        if "state" in wanted:
            now["state"] = torch.from_numpy(self._rows)
            last["state"] = torch.from_numpy(self._final_rows)
        self._seen: Obs = now
        self._step = TimeStep(
            obs=self._seen,
            reward=self._reward,
            terminated=self._terminated,
            truncated=self._truncated,
            final_obs=last,
            reward_terms=self._terms,
            metrics=self._metrics,
        )

    def reset(self, seed: int) -> Obs:
        """Start every row anew from its own stream of `seed`."""
        self._rows[:] = 0.0
        self._rows[:, STREAM] = first_streams(seed, self.num_envs)
        self.rules.start(self._rows)
        self._started = True
        return self._look()

    def step(self, action: Tensor) -> TimeStep:
        """Apply float32 `[N, A, size]`; numbers beyond their bounds are clipped."""
        joint = self._checked(action)
        self.rules.advance(self._rows, joint, self._raw_terms)
        self._terms.copy_(torch.from_numpy(self._raw_terms))
        self._reward.copy_(torch.from_numpy(self._raw_terms @ self._weights))
        ended = self._rows[:, ENDED] != 0.0
        self._terminated.copy_(torch.from_numpy(ended))
        late = self._rows[:, STEPS] >= self.spec.max_steps
        self._truncated.copy_(torch.from_numpy(late & ~ended))
        self._look()
        done = np.flatnonzero(ended | late)
        if done.size:
            self._restart(done)
        return self._step

    def snapshot(self) -> Tensor:
        """Copy each row `[N, S]` float64, its random stream included."""
        self._require_start()
        return torch.from_numpy(self._rows.copy())

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put states `[len(rows), S]` into `rows` and return the observations of all rows."""
        count = self.num_envs if rows is None else len(rows)
        shape = (count, self.spec.state_size)
        if tuple(snapshot.shape) != shape or snapshot.dtype != torch.float64:
            raise ValueError(
                f"{self.spec.id}: a snapshot of {count} rows is torch.float64 {shape}, "
                f"got {snapshot.dtype} {tuple(snapshot.shape)}"
            )
        check_finite_state(self.spec, snapshot)
        where = slice(None) if rows is None else rows.numpy()
        self._rows[where] = snapshot.numpy()
        self._started = self._started or rows is None
        return self._look()

    def render(self, row: int) -> np.ndarray:
        """Draw one row as `(height, width, 3)` uint8."""
        self._require_start()
        if not 0 <= row < self.num_envs:
            raise ValueError(f"{self.spec.id}: row {row} is not in 0..{self.num_envs - 1}")
        return self.rules.draw(self._rows[row])

    def _look(self) -> Obs:
        self.rules.observe(self._rows, {name: self._obs[name] for name in self._wanted})
        return self._seen

    def _restart(self, done: np.ndarray) -> None:
        """Keep what the ended episodes showed last, then begin the next ones."""
        rows = self._rows[done]
        for name, figure in self.rules.metrics(rows).items():
            self._metrics[name][done] = torch.from_numpy(figure).float()
        for name in self._wanted:
            self._final_obs[name][done] = self._obs[name][done]
        self._final_rows[done] = rows
        self.rules.start(rows)
        self._rows[done] = rows
        shown = {name: np.zeros_like(self._obs[name][done]) for name in self._wanted}
        self.rules.observe(rows, shown)
        for name, value in shown.items():
            self._obs[name][done] = value

    def _require_start(self) -> None:
        if not self._started:
            raise ValueError(f"{self.spec.id}: call reset before anything else")

    def _checked(self, action: Tensor) -> np.ndarray:
        self._require_start()
        shape = (self.num_envs, self.spec.num_agents, _actions(self.spec).size)
        if tuple(action.shape) != shape or action.dtype != torch.float32:
            raise ValueError(
                f"{self.spec.id}: an action is torch.float32 {shape}, "
                f"got {action.dtype} {tuple(action.shape)}"
            )
        bad = (~torch.isfinite(action)).nonzero()
        if len(bad):
            row, agent, index = (int(i) for i in bad[0])
            raise ValueError(
                f"{self.spec.id}: environment {row}, agent {agent}: index {index} of the action "
                f"is {float(action[row, agent, index])}; actions must be finite"
            )
        return clipped(self.spec, action)


class VehicleDynamics:
    """Step rows of `VehicleEnv.snapshot` as a pure function; a time limit does not end a state."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.spec = rules.spec
        self._weights = np.array(self.spec.reward_weights)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return next states `[B, S]`, rewards `[B, A]` and discounts `[B]`; actions are clipped.

        A state that has ended stays as it is, pays 0 and has discount 0.
        """
        states, rewards, discounts = self.rollout(state, action[:, None])
        return states[:, 0], rewards[:, 0], discounts[:, 0]

    def rollout(self, state: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return states `[B, H, S]`, rewards `[B, H, A]` and discounts `[B, H]` after each step.

        state: `[B, S]` float64.  actions: `[B, H, A, size]` float32.
        """
        size = (self.spec.num_agents, _actions(self.spec).size)
        wanted = f"state [B, {self.spec.state_size}] and actions [B, H, {size[0]}, {size[1]}]"
        if (
            state.shape[1:] != (self.spec.state_size,)
            or actions.ndim != 4
            or actions.shape[1] < 1
            or actions.shape[0] != len(state)
            or tuple(actions.shape[2:]) != size
        ):
            raise ValueError(
                f"{self.spec.id}: expected {wanted}, "
                f"got {tuple(state.shape)} and {tuple(actions.shape)}"
            )
        batch, horizon = actions.shape[:2]
        states = np.empty((batch, horizon, self.spec.state_size))
        terms = np.empty((batch, horizon, size[0], len(self._weights)))
        rows = state.contiguous().numpy()
        self.rules.unroll(rows, clipped(self.spec, actions), states, terms)
        discounts = (states[:, :, ENDED] == 0.0).astype(np.float32)
        rewards = (terms @ self._weights).astype(np.float32)
        return torch.from_numpy(states), torch.from_numpy(rewards), torch.from_numpy(discounts)

    def observe(self, state: Tensor) -> Obs:
        """Return each observation group `[B, A, D]` of states `[B, S]`, and "state" itself."""
        if state.ndim != 2 or state.shape[1] != self.spec.state_size:
            raise ValueError(
                f"{self.spec.id}: expected state [B, {self.spec.state_size}], "
                f"got {tuple(state.shape)}"
            )
        shown = {
            name: np.zeros((len(state), self.spec.num_agents, layout.size), np.float32)
            for name, layout in self.spec.observations.items()
        }
        self.rules.observe(state.contiguous().numpy(), shown)
        return {"state": state, **{name: torch.from_numpy(x) for name, x in shown.items()}}


def vehicle_plugin(
    summary: str,
    config: type,
    rules: Callable[[Any], Rules],
    policies: dict[str, Callable[[Any], Policy]],
    controls: Callable[[Any], Controls] | None = None,
) -> EnvPlugin:
    """Register a vehicle task whose rules are built by `rules(config)`."""

    def frames(replay: Replay) -> Iterator[np.ndarray]:
        """Draw the start and what each action led to; the dynamics do not reset at the end."""
        game = rules(config(**replay.config))
        dynamics = VehicleDynamics(game)
        state = torch.frombuffer(bytearray(replay.snapshot), dtype=torch.float64)[None].clone()
        yield game.draw(state[0].numpy())
        for action in replay.actions:
            state = dynamics.step(state, torch.from_numpy(action)[None])[0]
            yield game.draw(state[0].numpy())

    return EnvPlugin(
        summary=summary,
        config=config,
        make=lambda options, num_envs: VehicleEnv(rules(options), num_envs),
        dynamics=lambda options: VehicleDynamics(rules(options)),
        policies=policies,
        frames=frames,
        controls=controls,
    )


def clipped(spec: EnvSpec, action: Tensor) -> np.ndarray:
    """Return actions `[..., size]` as float64 within their bounds."""
    actions = _actions(spec)
    return np.clip(action.numpy().astype(np.float64), actions.low, actions.high)


def _actions(spec: EnvSpec) -> ContinuousActions:
    if not isinstance(spec.actions, ContinuousActions):
        raise ValueError(f"{spec.id}: a vehicle task has continuous actions, got {spec.actions}")
    return spec.actions


def check_finite_state(spec: EnvSpec, state: Tensor) -> None:
    """Raise ValueError that names the first row and part of `state` `[B, S]` that is not finite."""
    bad = (~torch.isfinite(state)).nonzero()
    if not len(bad):
        return
    row, column = (int(i) for i in bad[0])
    parts: Mapping[str, slice] = spec.physics["state"]
    owner = next(name for name, part in parts.items() if part.start <= column < part.stop)
    raise ValueError(
        f"{spec.id}: row {row}, part {owner!r}: column {column} of the state is "
        f"{float(state[row, column])}; a state must be finite"
    )
