"""Measure a policy against scripted opponents, during a run and at its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from simrl.core.files import write_atomic
from simrl.core.plugins import make_env
from simrl.core.policy import Policy
from simrl.core.seeding import child_seed
from simrl.learn.loop import Progress
from simrl.learn.metrics import read_records
from simrl.rollout.evaluate import evaluate
from simrl.runs.config import TrainConfig
from simrl.runs.policies import named_policy

EVALUATION_FILE = "evaluation.jsonl"


class EvaluationHook:
    """Play evaluation games every few minutes of training; a hook of the training loop.

    Keeps the best state so far by mean score over the opponents (a draw is half a win), or by mean
    return where there are no opponents.  Its own games never touch the training environments.
    """

    def __init__(
        self,
        config: TrainConfig,
        policy: Policy,
        folder: Path | None,
        on_best: Callable[[], None] = lambda: None,
    ) -> None:
        self.config = config
        self.policy = policy
        self.on_best = on_best
        self.path = None if folder is None else folder / EVALUATION_FILE
        self.best: float | None = None
        self.last: dict[str, Any] = {}
        self._next_minutes = config.evaluation.every_minutes

    def after_update(self, progress: Progress, metrics: Mapping[str, float]) -> Mapping[str, float]:
        """Evaluate if it is time, and return the figures."""
        if progress.seconds < 60.0 * self._next_minutes:
            return {}
        self._next_minutes += self.config.evaluation.every_minutes
        return self.evaluate(progress)

    def evaluate(self, progress: Progress) -> dict[str, float]:
        """Play all evaluation games now, write one line, and keep the state if it is the best."""
        figures, score = evaluate_policy(self.config, self.policy)
        self.last = {"step": progress.steps, "minutes": progress.seconds / 60.0, **figures}
        if self.path is not None:
            earlier = read_evaluations(self.path.parent)
            lines = [line for line in earlier if line["step"] < progress.steps] + [self.last]
            write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        if self.best is None or score >= self.best:
            self.best = score
            self.on_best()
        return flat_figures(figures)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score and when the next evaluation is due."""
        return {"best": self.best, "next_minutes": self._next_minutes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.best = state["best"]
        self._next_minutes = float(state["next_minutes"])


def evaluate_policy(config: TrainConfig, policy: Policy) -> tuple[dict[str, Any], float]:
    """Play a run's evaluation games; return the figures for `evaluation.jsonl` and one score."""
    settings = config.evaluation
    env = make_env(config.env, settings.games, **config.env_options)
    opponents = {
        name: named_policy(name, env.spec, config.env_options) for name in settings.opponents
    }
    result = evaluate(
        env,
        policy,
        opponents or None,
        games=settings.games,
        seed=child_seed(config.seed, "evaluation"),
        deterministic=settings.deterministic,
    )
    if not opponents:
        score = result.score()
        figures = {
            "return": score.mean_return,
            "low": score.return_low,
            "high": score.return_high,
            "length": score.mean_length,
        }
        return figures, score.mean_return
    table = {
        str(score.opponent): {
            "wins": score.wins,
            "draws": score.draws,
            "losses": score.losses,
            "win_rate": score.win_rate,
            "low": score.win_low,
            "high": score.win_high,
            "length": score.mean_length,
        }
        for score in result.scores
    }
    points = [(row["wins"] + 0.5 * row["draws"]) / settings.games for row in table.values()]
    return {"opponents": table}, sum(points) / len(points)


def flat_figures(figures: Mapping[str, Any]) -> dict[str, float]:
    """Name evaluation figures as metrics: eval/win_rate/OPPONENT, or eval/return."""
    if "opponents" not in figures:
        return {"eval/return": float(figures["return"])}
    return {
        f"eval/win_rate/{name}": float(row["win_rate"])
        for name, row in figures["opponents"].items()
    }


def read_evaluations(folder: Path | str) -> list[dict[str, Any]]:
    """Read the evaluations of a run, oldest first."""
    return read_records(Path(folder) / EVALUATION_FILE)


def drop_evaluations_after(folder: Path | str, step: int) -> None:
    """Forget evaluations past `step` agent-steps: they are of a stretch that a kill cut off."""
    lines = read_evaluations(folder)
    kept = [line for line in lines if line["step"] <= step]
    if len(kept) < len(lines):
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_atomic(Path(folder) / EVALUATION_FILE, text)
