"""Run a comparison: check that everything fits, play what is missing, gather the table."""

from __future__ import annotations

import contextlib
import io
import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simrl.compare.plan import Job, Plan, claim_folder
from simrl.compare.play import command_index, play, policy_seed, time_policy
from simrl.compare.scenarios import Scenario, batches
from simrl.compare.signals import Signals
from simrl.compare.table import Table
from simrl.core import EnvSpec, Policy, VecEnv
from simrl.core.files import write_atomic
from simrl.core.plugins import env_plugin
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.npz import write_npz
from simrl.rollout.seating import Seating
from simrl.rollout.threads import usable_cores

MakePolicy = Callable[[str, EnvSpec, Mapping[str, Any]], Policy]
"""Build a member by its name: `(name, spec, options of the environment) -> policy`.  A function of
a module, so that worker processes find it."""
SHARDS, TIMING = "shards", "timing"
MOST_TIMES = 5000
"""Times of decisions that are kept of each controller."""


@dataclass(frozen=True)
class Advance:
    """Say how far a comparison is."""

    done: int
    """Episodes played, those of earlier runs included."""
    total: int
    """Episodes in all."""
    text: str
    """What was done last."""


def check(plan: Plan, make_policy: MakePolicy) -> None:
    """Build every policy and let it act once, before any compute is spent on episodes.

    ValueError says which controller does not fit the task and why.
    """
    scenarios = plan.scenarios()
    plugin = env_plugin(plan.task)
    row_options = plugin.row_options if plugin.make_rows is not None else ()
    kinds = [members[0] for members in batches(scenarios, row_options, len(scenarios))]
    commands = sorted({name for scenario in scenarios for name in scenario.command})
    for number, entrant in enumerate(plan.entrants):
        stage = plan.stage(number)
        for first in (scenarios[kind] for kind in kinds):
            env = stage.make(stage.configs([first]))
            if len(set(env.spec.teams)) > 1:
                raise ValueError(f"{plan.task} has opponents; controllers are compared alone")
            Signals(env, plan.judge)
            for name in commands:
                command_index(env, name)
            for member in entrant.members:
                _try(env, make_policy, member, first, stage.options)


def _try(
    env: VecEnv,
    make_policy: MakePolicy,
    member: str,
    scenario: Scenario,
    own: Mapping[str, Any],
) -> None:
    try:
        policy = make_policy(member, env.spec, {**scenario.options, **own})
        seating = Seating.self_play(env, policy, name="policy", train=False)
        RolloutEngine(env, seating, seed=0, threads=1).step(deterministic=True)
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{member} does not fit {env.spec.id}: {said}") from error


def run(
    plan: Plan,
    make_policy: MakePolicy,
    folder: Path | str,
    *,
    jobs: int = 0,
    on_advance: Callable[[Advance], None] | None = None,
) -> Table:
    """Play what is missing of a comparison in its folder and return the table of all episodes.

    Args:
        plan: What is compared.
        make_policy: Builds the policies.
        folder: Where the pieces are kept; a comparison that stopped goes on there.
        jobs: Worker processes; 0 takes one for each core, and one alone in real time, since workers
            slow each other down and time is what is measured then.
        on_advance: Told of every piece that is finished.
    """
    folder = Path(folder)
    claim_folder(plan, folder)
    scenarios = plan.scenarios()
    parts = plan.batches(scenarios)
    work = plan.jobs(len(parts))
    missing = [job for job in work if not (folder / SHARDS / job.file).is_file()]
    total = sum(len(parts[job.batch]) for job in work)
    done = total - sum(len(parts[job.batch]) for job in missing)

    def advance(text: str, episodes: int = 0) -> None:
        nonlocal done
        done += episodes
        if on_advance is not None:
            on_advance(Advance(done, total, text))

    advance("going on" if done else "beginning")
    workers = min(jobs or (1 if plan.real_time else usable_cores()), max(1, len(missing)))
    for job in _play_all(plan, make_policy, folder, scenarios, parts, missing, workers):
        label = plan.entrants[job.entrant].label
        advance(f"{label}, batch {job.batch + 1} of {len(parts)}", len(parts[job.batch]))
    if not plan.real_time:
        for number in range(len(plan.entrants)):
            _time(plan, make_policy, folder, scenarios, number)
            advance(f"timed {plan.entrants[number].label}")
    return gather(plan, folder)


def gather(plan: Plan, folder: Path | str) -> Table:
    """Read the pieces of a finished comparison; ValueError if some are missing."""
    folder = Path(folder)
    scenarios = plan.scenarios()
    parts = plan.batches(scenarios)
    shards: list[tuple[Job, Sequence[int], Mapping[str, np.ndarray]]] = []
    times: dict[int, list[np.ndarray]] = {}
    loads: list[float] = []
    for job in plan.jobs(len(parts)):
        path = folder / SHARDS / job.file
        if not path.is_file():
            raise ValueError(f"{folder} is not finished: {job.file} is missing")
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        shards.append((job, parts[job.batch], arrays))
        if plan.real_time:
            times.setdefault(job.entrant, []).append(arrays["act_seconds"])
            loads.append(float(arrays["load"]))
    if not plan.real_time:
        for number in range(len(plan.entrants)):
            with np.load(folder / TIMING / f"{number:02d}.npz", allow_pickle=False) as data:
                times[number] = [data["act_seconds"]]
                loads.append(float(data["load"]))
    seconds = [thinned(np.concatenate(times[n])) for n in range(len(plan.entrants))]
    deadlines = []
    for number in range(len(plan.entrants)):
        stage = plan.stage(number)
        deadlines.append(stage.make(stage.configs(scenarios[:1])).spec.step_seconds)
    return Table.assemble(plan, scenarios, shards, seconds, deadlines, max(loads))


def thinned(values: np.ndarray, most: int = MOST_TIMES) -> np.ndarray:
    """Return evenly chosen values if there are more than `most`; the largest stays."""
    if len(values) <= most:
        return values
    kept = values[:: -(-len(values) // most)]
    return np.append(kept, values.max())


def _play_all(
    plan: Plan,
    make_policy: MakePolicy,
    folder: Path,
    scenarios: Sequence[Scenario],
    parts: Sequence[Sequence[int]],
    missing: Sequence[Job],
    workers: int,
) -> Iterator[Job]:
    """Play the missing pieces and yield each as it is finished."""
    threads = max(1, usable_cores() // workers)
    calls = [
        (plan, make_policy, folder, job, [scenarios[n] for n in parts[job.batch]], threads)
        for job in missing
    ]
    if workers == 1:
        for call in calls:
            yield _play_job(*call)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_calm) as pool:
        waiting: set[Future[Job]] = {pool.submit(_play_job, *call) for call in calls}
        try:
            while waiting:
                finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        finally:
            for future in waiting:
                future.cancel()


def _calm() -> None:
    """Begin a worker: one torch thread, since the cores are shared out already."""
    torch.set_num_threads(1)


def _play_job(
    plan: Plan,
    make_policy: MakePolicy,
    folder: Path,
    job: Job,
    scenarios: Sequence[Scenario],
    threads: int,
) -> Job:
    """Play one piece and write its file."""
    entrant = plan.entrants[job.entrant]
    member = entrant.members[job.member]
    stage = plan.stage(job.entrant, threads)

    def build(env: VecEnv) -> Policy:
        return make_policy(member, env.spec, {**scenarios[0].options, **stage.options})

    seed = policy_seed(plan.seed, entrant.label, member, job.batch)
    played = play(stage, scenarios, build, plan.judge, seed=seed)
    arrays = {f"figure/{name}": value for name, value in played.columns.items()}
    arrays |= {f"trace/{name}": value for name, value in played.traces.items()}
    arrays |= {"act_seconds": thinned(played.act_seconds), "load": np.array(load_average())}
    write_npz(folder / SHARDS / job.file, arrays)
    return job


def _time(
    plan: Plan,
    make_policy: MakePolicy,
    folder: Path,
    scenarios: Sequence[Scenario],
    number: int,
) -> None:
    """Time the first member of a controller alone, if that has not been done."""
    path = folder / TIMING / f"{number:02d}.npz"
    if path.is_file():
        return
    entrant, stage = plan.entrants[number], plan.stage(number)

    def build(env: VecEnv) -> Policy:
        options = {**scenarios[0].options, **stage.options}
        return make_policy(entrant.members[0], env.spec, options)

    seconds = time_policy(stage, scenarios[0], build, seed=plan.seed)
    write_npz(path, {"act_seconds": seconds, "load": np.array(load_average())})


def load_average() -> float:
    """Return how many programs want a core at present; NaN where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def write_table(table: Table, path: Path | str) -> None:
    """Write every episode as Parquet; ValueError if pyarrow is missing."""
    require_parquet()
    import pyarrow
    from pyarrow import parquet

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(table.columns()), buffer)
    write_atomic(path, buffer.getvalue())


def require_parquet() -> None:
    """Raise ValueError with one clear line if pyarrow is missing."""
    with contextlib.suppress(ImportError):
        import pyarrow.parquet  # noqa: F401

        return
    raise ValueError(
        "episodes are written as Parquet, which needs pyarrow: pip install 'simrl[compare]'"
    )
