"""Measure the reward model of a run and write its page.

Where a script answers, the true reward is known: fresh play of the trained policy and of a random
one gives pairs of which the model has seen nothing.  Where people answer, only their held-out
answers can judge it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from simrl.core.env import VecEnv
from simrl.core.files import write_atomic
from simrl.core.plugins import make_env
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed, torch_generator
from simrl.learn.checkpoint import Checkpoints
from simrl.learn.metrics import read_metrics
from simrl.preferences.dataset import PreferenceData, is_held_out
from simrl.preferences.env_distance import reward_distances
from simrl.preferences.reward_model import RewardEnsemble
from simrl.preferences.scores import RewardScores, agreement, mean_logit, score_reward_model
from simrl.preferences.segment import SegmentBatch, cut_segments
from simrl.preferences.teachers import ScriptedTeacher, TeacherConfig
from simrl.rollout.engine import RolloutEngine
from simrl.rollout.random import RandomPolicy
from simrl.rollout.recorder import Trajectory, TrajectoryRecorder
from simrl.rollout.seating import Seating
from simrl.runs.config import to_dict
from simrl.runs.policies import load_run_policy
from simrl.runs.preferences import HUMAN, PreferenceConfig, preference_config
from simrl.runs.report.reward_model import RewardModelRecord, reward_model_report

REWARD_REPORT_FILE = "reward_model.html"


@dataclass(frozen=True)
class RewardReportConfig:
    """Say how much is played to judge a reward model."""

    pairs: int = 400
    """Fresh pairs of each policy's play, beside those that the temperature is fitted on."""
    num_envs: int = 32
    """Environments played side by side."""
    states: int = 200
    """States of play from which EPIC and DARD are taken."""
    actions: int = 6
    """Actions over which they take expectations; DARD makes states x actions² steps."""
    seed: int = 0
    """Seed of the play."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("pairs", "num_envs", "actions", "states"):
            if getattr(self, name) < 2:
                raise ValueError(f"{name} must be at least 2, got {getattr(self, name)}")


def write_reward_model_report(
    folder: Path | str, out: Path | str | None = None, config: RewardReportConfig | None = None
) -> Path:
    """Write the page about the reward model of a run and return its path.

    Default: `reward_model.html` in the run's folder.  ValueError if the folder is no run that
    learns its reward, or holds no whole checkpoint, or its reward was never fitted.
    """
    path = Path(out) if out is not None else Path(folder) / REWARD_REPORT_FILE
    write_atomic(path, reward_model_report(measure_run(folder, config)))
    return path


def measure_run(folder: Path | str, config: RewardReportConfig | None = None) -> RewardModelRecord:
    """Measure the reward model of a run's newest checkpoint; errors as above."""
    config = config or RewardReportConfig()
    run = preference_config(folder)
    step, state = Checkpoints(Path(folder) / "checkpoints").load_newest()
    part = state["parts"]["preferences"]
    if not part["trainer"]["fits"]:
        raise ValueError(f"{folder}: no reward was learned yet; there were too few answers")
    env = make_env(run.train.env, config.num_envs, **run.train.env_options)
    ensemble = RewardEnsemble(env.spec, run.model)
    ensemble.load_state_dict(part["trainer"]["ensemble"])
    data = PreferenceData()
    data.load_state_dict(part["data"])
    record = RewardModelRecord(
        title=f"{run.train.env}: the reward of {Path(folder).resolve().name}",
        essentials=_essentials(run, len(data), step),
        labels=_counts(folder, data),
        history=_history(folder),
        config=to_dict(run),
    )
    if run.teacher == HUMAN:
        return dataclasses.replace(record, **_by_answers(ensemble, run, data))
    return dataclasses.replace(record, **_by_play(ensemble, run, folder, env, config))


def _by_answers(
    ensemble: RewardEnsemble, run: PreferenceConfig, data: PreferenceData
) -> dict[str, Any]:
    """Judge by the answers of people whose trajectories were held out."""
    reservations = ["What people want is known by their answers alone: there is no true reward."]
    if run.queries.held_out == 0.0:
        reservations.append("No answers were held out (queries.held_out is 0).")
        return {"reservations": reservations}
    _, held = data.split(run.queries.held_out, child_seed(run.train.seed, "preferences"))
    if not len(held):
        return {"reservations": [*reservations, "No held-out pair was answered yet."]}
    reservations.append("The temperature was not fitted: that would take the pairs scored here.")
    newest = torch.arange(len(held)) >= len(held) // 2
    sets = {"newer answers": held.select(newest), "older answers": held.select(~newest)}
    logit = mean_logit(ensemble, held)
    people = {**agreement(logit, held.label), "pairs": float(len(held))}
    return {
        "scores": score_reward_model(ensemble, sets),
        "agreement": {"held-out answers": people},
        "reservations": reservations,
    }


def _by_play(
    ensemble: RewardEnsemble,
    run: PreferenceConfig,
    folder: Path | str,
    env: VecEnv,
    config: RewardReportConfig,
) -> dict[str, Any]:
    """Judge by fresh play, which the true reward labels."""
    teacher = ScriptedTeacher(TeacherConfig(terms=run.terms), env.spec)
    policies: dict[str, Policy] = {
        "on policy": load_run_policy(folder, "newest"),
        "off policy": RandomPolicy(env.spec),
    }
    played, sets, spare = {}, {}, []
    for name, policy in policies.items():
        seed = child_seed(config.seed, f"reward report, {name}")
        segments, snapshots = play_segments(
            env, policy, run.queries.segment, 4 * config.pairs, seed
        )
        played[name] = (segments, snapshots)
        held = is_held_out(segments.episode, 0.5, seed)
        sets[name] = _labelled(segments.select(held), teacher, config.pairs, seed)
        spare.append(_labelled(segments.select(~held), teacher, config.pairs, seed + 1))
    calibration = _joined(spare)
    snapshots = played["on policy"][1]
    distances: Mapping[str, float] = {}
    if not run.terms:
        rows = torch.randperm(len(snapshots), generator=torch_generator(config.seed, "states"))
        distances = reward_distances(
            env,
            ensemble,
            snapshots[rows[: config.states]],
            gamma=run.train.ppo.gamma,
            num_actions=config.actions,
            seed=config.seed,
        )
    both = SegmentBatch.cat([segments for segments, _ in played.values()])
    true = teacher.reward(both).sum(-1)
    with torch.no_grad():
        parts = [
            ensemble.segment_returns(both.select(index)).mean(0)
            for index in torch.arange(len(both)).split(64)
        ]
    return {
        "scores": _scores(ensemble, sets, calibration),
        "distances": distances,
        "returns": (true.numpy(), torch.cat(parts).numpy()),
        "reservations": [
            "Off policy is the play of a random policy; what other policies do may lie between.",
            *(
                ["The teacher judges by its own terms, so no distance was taken."]
                if run.terms
                else []
            ),
        ],
    }


def play_segments(
    env: VecEnv, policy: Policy, length: int, count: int, seed: int
) -> tuple[SegmentBatch, torch.Tensor]:
    """Play until there should be `count` segments, the policy at every seat.

    Returns the segments, and snapshots `[K, S]` of states about as many steps apart.
    """
    recordings: list[Trajectory] = []
    rounds = max(1, -(-count // (env.num_envs * env.spec.num_agents)))
    recorder = TrajectoryRecorder(env, length * rounds, recordings.append)
    seating = Seating.self_play(env, policy, train=False)
    engine = RolloutEngine(env, seating, seed=seed, observers=[recorder])
    engine.reset()
    snapshots = []
    for step in range(length * rounds):
        if step % max(1, length // 4) == 0:
            snapshots.append(env.snapshot().cpu().clone())
        engine.step()
    segments, _ = cut_segments(recordings[0], length)
    return segments, torch.cat(snapshots)


def _labelled(
    segments: SegmentBatch, teacher: ScriptedTeacher, count: int, seed: int
) -> PreferenceData:
    """Pair segments at random, each once, and label them by the true reward."""
    order = torch.randperm(len(segments), generator=torch_generator(seed, "pairs"))
    size = min(count, len(order) // 2)
    data = PreferenceData()
    if size:
        first, second = segments.select(order[:size]), segments.select(order[size : 2 * size])
        data.add(first, second, teacher.answer(first, second))
    return data


def _joined(parts: list[PreferenceData]) -> PreferenceData:
    result = PreferenceData()
    for part in parts:
        if len(part):
            result.add(part.first, part.second, part.label)
    return result


def _scores(
    ensemble: RewardEnsemble, sets: Mapping[str, PreferenceData], calibration: PreferenceData
) -> RewardScores | None:
    return score_reward_model(ensemble, sets, calibration) if any(map(len, sets.values())) else None


def _essentials(run: PreferenceConfig, answers: int, step: int) -> str:
    model = run.model
    widths = "x".join(str(width) for width in model.hidden) or "linear"
    return (
        f"{model.members} members of {widths}, {model.output} output, {answers:,} answers of "
        f"{run.teacher}, segments of {run.queries.segment} steps, {run.queries.selection} "
        f"selection, after {step:,} agent-steps, seed {run.train.seed}"
    )


def _counts(folder: Path | str, data: PreferenceData) -> dict[str, int]:
    """Count questions and answers: asked and answered apart, as skipped ones cost time too."""
    last: dict[str, float] = {}
    for line in read_metrics(folder):
        last |= {key: value for key, value in line.items() if key.startswith("prefs/")}
    counts = {
        name: int(last[f"prefs/{name}"])
        for name in ("asked", "answered", "open")
        if f"prefs/{name}" in last
    }
    ties = int((data.label == 0.5).sum())
    return {**counts, "learned from": len(data), "ties": ties}


def _history(folder: Path | str) -> list[dict[str, float]]:
    """Return the figures of each fit, told apart by the number of pairs."""
    lines: list[dict[str, float]] = []
    for line in read_metrics(folder):
        figures = {key: float(value) for key, value in line.items() if key.startswith("reward/")}
        if "reward/pairs" in figures and (
            not lines or figures["reward/pairs"] != lines[-1]["reward/pairs"]
        ):
            lines.append(figures)
    return lines
