"""The MOBA as a vectorised environment: N games side by side, one kernel call a step."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, Obs, TimeStep
from simrl_envs.moba import advance as kernels
from simrl_envs.moba.advance import AGENT_METRICS, GAME_METRICS, Scores, View
from simrl_envs.moba.config import MobaConfig, config_static, config_tables
from simrl_envs.moba.layout import observation_spec
from simrl_envs.moba.mask import action_spec, clean_actions
from simrl_envs.moba.records import BLUE, RED, game_dtype
from simrl_envs.moba.rewards import NUM_TERMS, TERMS
from simrl_envs.moba.slices import SlicePool
from simrl_envs.moba.tables import Tables

ALWAYS: Final = ("policy", "action_mask", "alive")
"""Observation groups that every step returns."""
ON_REQUEST: Final = ("critic", "state")
"""Observation groups that cost extra, so they are returned only when asked for."""


def moba_spec(config: MobaConfig, tables: Tables) -> EnvSpec:
    """State what the environment shows, accepts and pays."""
    shape = tables.shape
    layout = observation_spec(tables, config.local_map).layout
    record = tables.record[0]
    size = shape.team_size
    seats = [f"{side} {i}" if size > 1 else side for side in ("blue", "red") for i in range(size)]
    return EnvSpec(
        id=f"moba-{tables.map_name}",
        num_agents=shape.num_heroes,
        observations={"policy": layout, "critic": layout},
        actions=action_spec(tables),
        reward_terms=tuple(TERMS),
        reward_weights=config.weights,
        reward_groups=tuple(TERMS.values()),
        teams=(BLUE,) * size + (RED,) * size,
        state_size=game_dtype(shape).itemsize,
        state_dtype=torch.uint8,
        step_seconds=float(record["dt"]) * config.decision_ticks,
        max_steps=-(-int(record["max_ticks"]) // config.decision_ticks),
        metrics=AGENT_METRICS + GAME_METRICS,
        agent_names=tuple(seats),
    )


def make_scores(config: MobaConfig, num_envs: int, agents: int) -> Scores:
    """Allocate what a step pays and reports for `num_envs` games."""
    options = [float(config.zero_sum), config.team_spirit, config.time_scaling]
    return Scores(
        weights=np.array(config.weights, np.float32),
        options=np.array(options, np.float32),
        terms=np.zeros((num_envs, agents, NUM_TERMS), np.float32),
        reward=np.zeros((num_envs, agents), np.float32),
        terminated=np.zeros(num_envs, np.bool_),
        truncated=np.zeros(num_envs, np.bool_),
        agent_metrics=np.zeros((len(AGENT_METRICS), num_envs, agents), np.float32),
        game_metrics=np.zeros((len(GAME_METRICS), num_envs), np.float32),
    )


def make_view(spec: EnvSpec, num_envs: int, with_critic: bool) -> View:
    """Allocate the observation buffers of `num_envs` games."""
    agents, width = spec.num_agents, spec.observations["policy"].size
    mask_size = spec.actions.mask_size  # type: ignore[union-attr]
    return View(
        policy=np.zeros((num_envs, agents, width), np.float32),
        critic=np.zeros((num_envs if with_critic else 0, agents, width), np.float32),
        mask=np.zeros((num_envs, agents, mask_size), np.bool_),
        alive=np.zeros((num_envs, agents), np.bool_),
    )


def view_obs(view: View) -> dict[str, Tensor]:
    """Return the groups of a view as tensors that share its memory."""
    groups = {
        "policy": torch.from_numpy(view.policy),
        "action_mask": torch.from_numpy(view.mask),
        "alive": torch.from_numpy(view.alive),
    }
    if len(view.critic):
        groups["critic"] = torch.from_numpy(view.critic)
    return groups


class MobaEnv:
    """Step N games with two teams of heroes each; satisfies `simrl.core.VecEnv`.

    Actions are int64 `[N, A, 5]` (see `mask.py`), agents `0 .. A/2 - 1` are blue. Tensors that are
    returned are views of buffers that the next step overwrites.

    Raises:
        ValueError: If an option of the config is wrong; names that would be valid are listed.
    """

    def __init__(self, config: MobaConfig, num_envs: int) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.config = config
        self.num_envs = num_envs
        self.device = torch.device("cpu")
        self.tables = config_tables(config)
        self.spec = moba_spec(config, self.tables)
        self.pool = SlicePool(config.threads)
        self._static = config_static(config, self.tables)
        self._games = self.tables.new_games(num_envs)
        self._state = self._games.view(np.uint8).reshape(num_envs, -1)
        agents = self.spec.num_agents
        self._actions = np.zeros((num_envs, agents, 5), np.int64)
        self._num_targets = self.tables.shape.num_targets
        self._scores = make_scores(config, num_envs, agents)
        self._started = False
        self._groups = frozenset(ON_REQUEST)
        self._allocate()

    def request(self, groups: Iterable[str]) -> None:
        """Compute "critic" and "state" only if they are among `groups`; the others always come.

        Raises:
            ValueError: If a group is unknown.
        """
        groups = frozenset(groups)
        unknown = sorted(groups - set(ALWAYS) - set(ON_REQUEST))
        if unknown:
            valid = ", ".join(ALWAYS + ON_REQUEST)
            raise ValueError(
                f"{self.spec.id}: unknown group {unknown[0]!r}; the groups are {valid}"
            )
        if groups & set(ON_REQUEST) != self._groups:
            self._groups = groups & set(ON_REQUEST)
            self._allocate()
            if self._started:
                self._look()

    def reset(self, seed: int) -> Obs:
        """Start every game anew; row i's episodes depend on `seed` and i alone."""
        kernels.reset_rows(self._games, self.tables.record, self._static, _wrapped(seed))
        self._started = True
        return self._look()

    def step(self, action: Tensor) -> TimeStep:
        """Play one decision of every game; games that end restart in the same step.

        Args:
            action: int64 `[N, A, 5]`; heads that do not count for the button are ignored.

        Raises:
            ValueError: If an action is not legal, naming environment, agent, head and value; no
                game has moved then.
        """
        array = self._checked(action)
        bad = clean_actions(self._view.mask, self._num_targets, array, self._actions)
        if bad >= 0:
            self._refuse(array)
        self.pool.run(self._advance, self.num_envs)
        return self._timestep

    def snapshot(self) -> Tensor:
        """Copy the game records, uint8 `[N, S]`."""
        return torch.from_numpy(self._state.copy())

    def restore(self, snapshot: Tensor, rows: Tensor | None = None) -> Obs:
        """Put game records into `rows` (default: all) and return the observations.

        Raises:
            ValueError: If the shape or dtype is not that of `snapshot()`, or a row is out of range.
        """
        index = slice(None) if rows is None else rows.cpu().numpy()
        count = self.num_envs if rows is None else len(rows)
        expected = (count, self.spec.state_size)
        if tuple(snapshot.shape) != expected or snapshot.dtype != torch.uint8:
            raise ValueError(
                f"{self.spec.id}: expected a uint8 snapshot {expected}, "
                f"got {snapshot.dtype} {tuple(snapshot.shape)}"
            )
        if (
            rows is not None
            and count
            and not 0 <= int(rows.min()) <= int(rows.max()) < self.num_envs
        ):
            raise ValueError(
                f"{self.spec.id}: rows must be from 0 to {self.num_envs - 1}, got {rows}"
            )
        self._state[index] = snapshot.cpu().numpy()
        self._started = True
        return self._look()

    def render(self, row: int) -> np.ndarray:
        """Draw one game as `(height, width, 3)` uint8."""
        from simrl_envs.moba.render import render  # Pillow is only loaded where pictures are made

        return render(self._games[row], self.tables)

    @property
    def games(self) -> np.ndarray:
        """Return the live game records `[N]`; whoever writes to them calls `restore` after."""
        return self._games

    def _allocate(self) -> None:
        """Make the observation buffers and the tensors that share their memory, once."""
        with_critic, with_state = "critic" in self._groups, "state" in self._groups
        self._view = make_view(self.spec, self.num_envs, with_critic)
        self._final = make_view(self.spec, self.num_envs, with_critic)
        self._final_state = np.zeros(
            (self.num_envs if with_state else 0, self.spec.state_size), np.uint8
        )
        self._obs, final = view_obs(self._view), view_obs(self._final)
        if with_state:
            self._obs["state"] = torch.from_numpy(self._state)
            final["state"] = torch.from_numpy(self._final_state)
        scores = self._scores
        self._timestep = TimeStep(
            obs=self._obs,
            reward=torch.from_numpy(scores.reward),
            terminated=torch.from_numpy(scores.terminated),
            truncated=torch.from_numpy(scores.truncated),
            final_obs=final,
            reward_terms=torch.from_numpy(scores.terms),
            metrics=_metrics(scores),
        )

    def _look(self) -> Obs:
        self.pool.run(self._look_rows, self.num_envs)
        return self._obs

    def _look_rows(self, first: int, last: int) -> None:
        kernels.look_rows(self._games, self.tables.record, self._static, self._view, first, last)

    def _advance(self, first: int, last: int) -> None:
        kernels.advance(
            self._games,
            self.tables.record,
            self._static,
            self._actions,
            self._scores,
            self._view,
            self._final,
            self._state,
            self._final_state,
            first,
            last,
        )

    def _checked(self, action: Tensor) -> np.ndarray:
        """Return the action as an array, or raise ValueError if it has a wrong shape or dtype."""
        if not self._started:
            raise ValueError(f"{self.spec.id}: call reset before step")
        expected = self._actions.shape
        if action.dtype != torch.int64 or action.shape != expected:
            raise ValueError(
                f"{self.spec.id}: expected int64 actions {expected}, "
                f"got {action.dtype} {tuple(action.shape)}"
            )
        return action.detach().cpu().contiguous().numpy()

    def _refuse(self, action: np.ndarray) -> None:
        spec: Any = self.spec.actions
        spec.check(self._obs["action_mask"], torch.from_numpy(action), self.spec.id)
        raise ValueError(f"{self.spec.id}: an action is not legal")  # check has named it already


def _metrics(scores: Scores) -> Mapping[str, Tensor]:
    per_agent = torch.from_numpy(scores.agent_metrics)
    per_game = torch.from_numpy(scores.game_metrics)
    return {
        **{name: per_agent[k] for k, name in enumerate(AGENT_METRICS)},
        **{name: per_game[k] for k, name in enumerate(GAME_METRICS)},
    }


def _wrapped(seed: int) -> int:
    """Fold any integer into the signed 64 bits that kernels take."""
    return (int(seed) + 2**63) % 2**64 - 2**63
