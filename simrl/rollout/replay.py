"""Record one whole episode for the replay page: its actions, and what the policies said of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from simrl.core import Replay, TimeStep, VecEnv
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.observer import Observer, StepRecord
from simrl.rollout.seating import Seating


def record_replay(
    env: VecEnv,
    seating: Seating,
    *,
    seed: int,
    config: Mapping[str, Any] | None = None,
    snapshot: Tensor | None = None,
    deterministic: bool = False,
) -> Replay:
    """Play one episode of environment 0 to its end and return it as a `Replay`.

    Every extra whose first axis is the policy's rows is kept, NaN at seats that have none.

    Args:
        env: One environment is enough; more only cost time.
        seating: Who plays.
        seed: Makes the episode and every policy's draws.
        config: Fields of the environment's config; None takes those of `env.config`, if it has one.
        snapshot: State `[1, S]` to start from instead of a fresh episode.
        deterministic: Whether policies take their mode instead of a sample.
    """
    watcher = _Watcher(env.spec.num_agents)
    engine = RolloutEngine(env, seating, seed=seed, observers=[watcher])
    engine.reset(snapshot)
    names = tuple(seating.names[number] for number in seating.policy_index[0].tolist())
    start = env.snapshot()[0].cpu().numpy().tobytes()
    done = False
    while not done:
        timestep = engine.step(deterministic=deterministic)
        done = bool(timestep.done[0])
    return Replay(
        env=env.spec.id,
        config=_config_of(env) if config is None else dict(config),
        snapshot=start,
        actions=np.stack(watcher.actions),
        policies=names,
        extras=_tabulate(watcher.extras, env.spec.num_agents),
        metrics={
            **{name: _plain(value[0]) for name, value in timestep.metrics.items()},
            "returns": np.sum(watcher.rewards, axis=0, dtype=np.float64).tolist(),
            "length": len(watcher.actions),
            "terminated": bool(timestep.terminated[0]),
        },
    )


class _Watcher(Observer):
    """Keep actions, rewards and extras of environment 0."""

    def __init__(self, num_agents: int) -> None:
        self.actions: list[np.ndarray] = []
        self.rewards: list[np.ndarray] = []
        self.extras: list[dict[tuple[str, int], np.ndarray]] = []
        self._num_agents = num_agents

    def on_act(self, record: StepRecord) -> None:
        self.actions.append(record.action[0].cpu().numpy().copy())
        said: dict[tuple[str, int], np.ndarray] = {}
        for act in record.acts:
            # Rows ascend, so those of environment 0 come first.
            for row, agent in enumerate(act.rows[: self._num_agents].tolist()):
                if agent >= self._num_agents:
                    break
                for name, value in act.output.extras.items():
                    if value.ndim and len(value) == len(act.rows):
                        said[name, agent] = value[row].float().cpu().numpy().copy()
        self.extras.append(said)

    def on_step(self, record: StepRecord, timestep: TimeStep) -> None:
        self.rewards.append(timestep.reward[0].cpu().numpy().copy())


def _tabulate(
    steps: list[dict[tuple[str, int], np.ndarray]], num_agents: int
) -> dict[str, np.ndarray]:
    """Lay the extras out as `[T, A, ...]` float32, NaN where a seat said nothing.

    Where seats give different shapes under one name, the largest of each axis is taken; a different
    number of axes is another meaning, and such an extra is left out.
    """
    shapes: dict[str, set[tuple[int, ...]]] = {}
    for said in steps:
        for (name, _), value in said.items():
            shapes.setdefault(name, set()).add(value.shape)
    result: dict[str, np.ndarray] = {}
    for name, found in shapes.items():
        if len({len(shape) for shape in found}) > 1:
            continue
        largest = tuple(max(sizes) for sizes in zip(*found, strict=True))
        result[name] = np.full((len(steps), num_agents, *largest), np.nan, np.float32)
    for t, said in enumerate(steps):
        for (name, agent), value in said.items():
            if name in result:
                corner: Any = (t, agent, *(slice(size) for size in value.shape))
                result[name][corner] = value
    return result


def _config_of(env: VecEnv) -> dict[str, Any]:
    config = getattr(env, "config", None)
    return dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {}  # type: ignore[arg-type]


def _plain(value: Tensor) -> Any:
    return value.tolist() if value.ndim else value.item()
