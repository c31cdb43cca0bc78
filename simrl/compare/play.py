"""Put one policy through a batch of scenarios, side by side in one environment."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from torch import Tensor

from simrl.compare.figures import episode_figures, push_end
from simrl.compare.judge import Judge
from simrl.compare.real_time import RealTimePolicy
from simrl.compare.recorder import Recorder
from simrl.compare.scenarios import Scenario
from simrl.compare.signals import ERROR, Signals
from simrl.core import Policy, VecEnv
from simrl.core.plugins import EnvPlugin, env_plugin, make_config
from simrl.core.seeding import child_seed
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.seating import Seating

TRACE_POINTS = 240
"""Points that are kept of an episode's course, for the plots."""
WARM_CALLS = 3
"""Calls at the start that are not timed: they compile and fill caches."""


@dataclass(frozen=True)
class Stage:
    """Say in which environments scenarios are played."""

    task: str
    """Registered name."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that the controller chose: its interface."""
    real_time: bool = False
    """Whether the time that a decision takes counts."""
    threads: int = 1
    """Threads of the simulator, where it has any."""

    def configs(self, scenarios: Sequence[Scenario]) -> list[Any]:
        """Return the environment's config of each scenario."""
        plugin = _plugin(self.task)
        names = {f.name for f in fields(plugin.config)}
        extra: dict[str, Any] = {"threads": self.threads} if "threads" in names else {}
        chosen = [{**extra, **scenario.options, **self.options} for scenario in scenarios]
        configs = [make_config(plugin.config, options, self.task) for options in chosen]
        if not (self.real_time and "compute_delay" in names):
            return configs
        step = plugin.make(configs[0], 1).spec.step_seconds
        return [dataclasses.replace(config, compute_delay=step) for config in configs]

    def make(self, configs: Sequence[Any]) -> VecEnv:
        """Build one environment whose row i follows `configs[i]`."""
        plugin = _plugin(self.task)
        if plugin.make_rows is not None:
            return plugin.make_rows(configs)
        return plugin.make(configs[0], len(configs))


@dataclass(frozen=True)
class Played:
    """Hold what a batch of scenarios gave."""

    columns: Mapping[str, np.ndarray]
    """Figures of the episodes by name `[N]`; NaN where an episode has none."""
    traces: Mapping[str, np.ndarray]
    """Course of each episode: "error" `[N, 240]` and "path" `[N, 240, 4]`, NaN after its end, where
    the task has them; "times" `[N, 240]` [s]."""
    act_seconds: np.ndarray
    """Wall time of each call, or in real time of each row's decisions [s]."""


def play(
    stage: Stage,
    scenarios: Sequence[Scenario],
    make_policy: Callable[[VecEnv], Policy],
    judge: Judge,
    *,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
    on_steps: Callable[[int, VecEnv], None] | None = None,
) -> Played:
    """Play each scenario once, side by side.

    Args:
        stage: Where.
        scenarios: They may differ in the row options of the task alone.
        make_policy: Builds the policy for the environment.
        judge: How episodes are judged.
        seed: Makes the policy's draws.
        clock: Times decisions in real time.
        on_steps: Called after each step with its number and the environment, to draw it.
    """
    configs = stage.configs(scenarios)
    env = stage.make(configs)
    starts = start_states(stage, scenarios, configs, env)
    policy = make_policy(env)
    if stage.real_time:
        within = hasattr(env, "delay_actions")
        policy = RealTimePolicy(policy, env.spec, within_step=within, clock=clock)
    recorder = Recorder(env, Signals(env, judge), real_time=stage.real_time)
    engine = RolloutEngine(
        env,
        Seating.self_play(env, policy, name="policy", train=False),
        seed=seed,
        observers=[recorder],
        threads=1,
    )
    engine.reset(starts)
    count = 0
    while not recorder.done.all():
        engine.step(deterministic=True)
        count += 1
        if on_steps is not None and not recorder.done.all():  # else a new episode stands there
            on_steps(count, env)
    return _gather(recorder, scenarios, configs, env, judge, stage.real_time)


def start_states(
    stage: Stage, scenarios: Sequence[Scenario], configs: Sequence[Any], env: VecEnv
) -> Tensor:
    """Return the state in which each scenario starts `[N, S]`; it follows from the scenario alone.

    ValueError names a number of the command that the task does not have.
    """
    parts: Mapping[str, slice] = env.spec.physics.get("state", {})
    env.reset(0)
    states = env.snapshot()
    alone: dict[str, VecEnv] = {}
    for row, (scenario, config) in enumerate(zip(scenarios, configs, strict=True)):
        key = repr(config)
        if key not in alone:
            alone[key] = stage.make([config])
        single = alone[key]
        single.reset(scenario.seed)
        own = single.snapshot()[0]
        if len(own) == states.shape[1]:
            states[row] = own
        else:  # the row has room for the longest delay of all
            states[row] = 0
            for name, part in single.spec.physics["state"].items():
                where = parts[name]
                states[row, where.stop - (part.stop - part.start) : where.stop] = own[part]
        for name, value in scenario.command.items():
            states[row, parts["command"].start + command_index(env, name)] = value
    return states


def command_index(env: VecEnv, name: str) -> int:
    """Return where a number of the task's command stands; ValueError lists the valid names."""
    columns = [str(column).split(" ")[0] for column in env.spec.physics.get("command", ())]
    if name not in columns:
        raise ValueError(
            f"{env.spec.id} has no command {name!r}; "
            f"its commands are {', '.join(columns) or 'none'}"
        )
    return columns.index(name)


def time_policy(
    stage: Stage,
    scenario: Scenario,
    make_policy: Callable[[VecEnv], Policy],
    *,
    seed: int,
    decisions: int = 300,
    most_seconds: float = 20.0,
) -> np.ndarray:
    """Return how long each decision takes for one robot by itself [s], up to `decisions` of them.

    The first few calls compile, and are left out; `most_seconds` bounds the whole.
    """
    configs = stage.configs([scenario])
    env = stage.make(configs)
    recorder = Recorder(env, Signals(env, Judge()))
    seating = Seating.self_play(env, make_policy(env), name="policy", train=False)
    engine = RolloutEngine(env, seating, seed=seed, observers=[recorder], threads=1)
    engine.reset(start_states(stage, [scenario], configs, env))
    begin = time.perf_counter()
    while len(recorder.call_seconds) < decisions + WARM_CALLS:
        engine.step(deterministic=True)
        enough = len(recorder.call_seconds) > WARM_CALLS
        if enough and time.perf_counter() - begin > most_seconds:
            break
    return np.array(recorder.call_seconds[WARM_CALLS:])


@functools.cache
def _plugin(task: str) -> EnvPlugin:
    """Return a task's plug-in; looking through entry points takes longer than making a row."""
    return env_plugin(task)


def policy_seed(seed: int, label: str, member: str, batch: int) -> int:
    """Return the seed of the draws of one member of a controller in one batch."""
    return child_seed(seed, f"play/{label}/{member}/{batch}")


def _gather(
    recorder: Recorder,
    scenarios: Sequence[Scenario],
    configs: Sequence[Any],
    env: VecEnv,
    judge: Judge,
    real_time: bool,
) -> Played:
    table = recorder.table()
    limits = Signals(env, judge).limits
    rows, traces = [], []
    for row in range(len(scenarios)):
        series = recorder.series(row)
        success = table.metrics.get("success")
        figures = episode_figures(
            series,
            recorder.change(row),
            spec=env.spec,
            judge=judge,
            limits=limits,
            terminated=bool(table.terminated[row]),
            success=None if success is None else float(np.mean(success[row])),
            pushed_until=push_end(configs[row]),
        )
        figures["terminated"] = float(table.terminated[row])
        figures["return"] = float(table.returns[row].mean())
        own = {f"task/{name}": float(np.mean(v[row])) for name, v in table.metrics.items()}
        timing = _times(recorder.decisions(row), env) if real_time else {}
        rows.append({**figures, **own, **timing})
        traces.append(_trace(series, recorder.path(row), env.spec.step_seconds or 1.0))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
    kept = {name: np.stack([trace[name] for trace in traces]) for name in traces[0]}
    if real_time:
        seconds = np.concatenate([recorder.decisions(row) for row in range(len(scenarios))])
    else:
        seconds = np.array(recorder.call_seconds)
    return Played(columns, kept, seconds)


def _times(seconds: np.ndarray, env: VecEnv) -> dict[str, float]:
    """Return the times of a row's decisions [ms], and the share that took longer than a step."""
    if not len(seconds):
        return {}
    p50, p99 = np.percentile(seconds * 1e3, (50, 99))
    return {
        "act_p50_ms": float(p50),
        "act_p99_ms": float(p99),
        "act_max_ms": float(seconds.max() * 1e3),
        "deadline_misses": float((seconds > env.spec.step_seconds).mean()),
    }


def _trace(
    series: Mapping[str, np.ndarray], path: np.ndarray | None, step: float
) -> dict[str, np.ndarray]:
    """Return an episode's course in at most `TRACE_POINTS` points, NaN after its end."""
    length = len(next(iter(series.values()))) if series else 0
    every = max(1, -(-length // TRACE_POINTS))
    found = {"times": _padded((np.arange(length) + 1.0)[::every] * step)}
    if ERROR in series:
        found[ERROR] = _padded(series[ERROR][::every])
    if path is not None:
        found["path"] = _padded(path[::every])
    return found


def _padded(values: np.ndarray) -> np.ndarray:
    full = np.full((TRACE_POINTS, *values.shape[1:]), np.nan, np.float32)
    full[: len(values)] = values
    return full
