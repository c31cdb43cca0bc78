"""Measure policies that were trained on robots: cost beside a controller's, commands, returns.

**Cost.**  A step costs what its reward lacks to the most that the task pays: the sum of its
positive weights, whose terms are all at most 1, unless the recipe says what can be had.  A step
after a crash costs that most.
An episode's cost is the sum over the task's full length.  Policy and controllers get the same
starts, in the task as it is registered (its full length, nothing randomised); only what the actions
mean follows the run.  The figure is the policy's mean cost over that of the cheapest controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from simrl.adapters.sb3_files import load_policy, read_facts
from simrl.core.env import VecEnv
from simrl.core.plugins import controller_plugin, make_env
from simrl.core.policy import Policy
from simrl.core.seeding import numpy_generator
from simrl.core.spec import EnvSpec
from simrl.learn.metrics import read_metrics
from simrl.rollout.evaluate import Score, evaluate
from simrl.runs.config import is_run, run_config
from simrl.runs.policies import load_run_policy

COMMANDS: Mapping[str, Any] = {
    "command_x": (-0.5, 1.0),
    "command_y": (0.0, 0.0),
    "command_yaw": (0.0, 0.0),
    "still": 0.0,
    "resample": 0.0,
    "seconds": 20.0,
}
"""Options under which a walking robot is measured: one forward velocity [m/s] for 20 s."""


@dataclass(frozen=True)
class Recipe:
    """Say how the runs of one preset are measured."""

    preset: str
    """Name of the preset."""
    figure: str
    """What the names of its figures begin with."""
    controllers: tuple[str, ...] = ()
    """Controllers whose cost it is compared with; none: commands or returns are measured."""
    walks: bool = False
    """Whether it is measured by how well it follows commands of velocity."""
    laps: bool = False
    """Whether it is a car, trained by an off-policy learner, and measured by the laps it drives."""
    metric: str = ""
    """Metric of the episodes that is measured, such as "success"; the more the better."""
    init: str = ""
    """Preset whose run of the same seed it begins with; none: from scratch."""
    most: float | None = None
    """Most that a step can pay; by default the sum of the positive weights."""
    games: int = 100
    """Episodes that are played."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the environment in which it is measured, beside the run's `control`."""


RECIPES: Mapping[str, Recipe] = {
    recipe.preset: recipe
    for recipe in (
        Recipe("cartpole-swingup", "cartpole", ("nmpc",)),
        Recipe("quadrotor-track", "quadrotor", ("nmpc",)),
        Recipe("arm-reach", "arm", ("osc", "inverse-dynamics")),
        Recipe("quadruped-velocity", "quadruped", walks=True, options=COMMANDS),
        Recipe(
            "quadruped-rough",
            "quadruped_rough",
            walks=True,
            init="quadruped-velocity",
            options={**COMMANDS, "terrain": "rough", "terrain_height": 0.3},
        ),
        Recipe("amr-pick", "amr_pick", metric="success"),
        # At 10.5 m/s a step of 0.05 s pays most: 0.0525 for the way less 0.00125 for the speed.
        Recipe("car-lane", "car_state", ("nmpc",), games=50, most=0.05125),
        Recipe("car-lane-camera", "car", laps=True),
        Recipe("halfcheetah", "halfcheetah", games=50),
        Recipe("hopper", "hopper", games=50),
        Recipe("walker2d", "walker2d", games=50),
    )
}
"""Every preset that is measured, by its name."""

KEPT_OPTIONS = ("control", "control_step", "physics_step", "robot", "reach")
"""Options of a run in which it is measured, too: what its actions mean, and the robot."""


def score_runs(
    recipe: Recipe, folders: Sequence[Path | str], *, games: int | None = None, seed: int = 1
) -> dict[str, float]:
    """Play the last policy of each run (one training seed each) and return the recipe's figures.

    `NAME_cost_over_nmpc` (whatever controller was cheapest), or `NAME_rmse` [m/s] and
    `NAME_survival`, or `NAME_lap_done` (share of laps without a takeover), or the recipe's metric
    such as `NAME_success`, or `NAME_return`: means over the runs, each with `_low` and `_high`, a
    95 % interval by bootstrap over runs and starts (over starts alone where there is one run), and
    `_worst`, that of the worst run; and `NAME_train_min`, minutes of training, the longest run's,
    with those of the run that it began with.
    """
    if not folders:
        raise ValueError(f"{recipe.preset}: there are no runs to measure")
    count = games or recipe.games
    if recipe.laps:
        return _laps(recipe, folders, count, seed)
    scores = [_play(recipe, Path(folder), count, seed) for folder in folders]
    name = recipe.figure
    figures: dict[str, float] = {}
    if recipe.controllers:
        spec = recipe_spec(recipe, folders[0])
        table = np.stack([costs(score, spec, recipe.most) for score in scores])
        beside = _cheapest(recipe, folders[0], count, seed)
        figures |= _ratio(f"{name}_cost_over_nmpc", table, beside)
    elif recipe.walks:
        squares = np.stack([_metric(score, "rmse") ** 2 for score in scores])
        alive = np.stack([~score.episodes.terminated for score in scores])
        rmse = _interval(f"{name}_rmse", squares, largest_is_worst=True)
        figures |= {key: float(np.sqrt(value)) for key, value in rmse.items()}
        figures |= _interval(f"{name}_survival", alive.astype(float), largest_is_worst=False)
    elif recipe.metric:
        values = np.stack([_metric(score, recipe.metric) for score in scores])
        figures |= _interval(f"{name}_{recipe.metric}", values, largest_is_worst=False)
    else:
        returns = np.stack([_returns(score) for score in scores])
        figures |= _interval(f"{name}_return", returns, largest_is_worst=False)
    return {**figures, f"{name}_train_min": max(_minutes(folder) for folder in folders)}


def costs(score: Score, spec: EnvSpec, most: float | None = None) -> np.ndarray:
    """Return what each episode of `score` cost `[games]`; see above."""
    return (most_return(spec) if most is None else most * spec.max_steps) - _returns(score)


def most_return(spec: EnvSpec) -> float:
    """Return the most that an episode can pay: its terms are at most their positive weights."""
    return spec.max_steps * sum(weight for weight in spec.reward_weights if weight > 0)


def recipe_env(
    recipe: Recipe, folder: Path | str, rows: int, *, controller: bool = False
) -> VecEnv:
    """Build `rows` environments in which a run is measured; a controller's keep the task's own."""
    config = run_config(folder)
    kept = {
        name: value
        for name, value in config.env_options.items()
        if name in KEPT_OPTIONS and not controller
    }
    return make_env(config.env, rows, **kept, **recipe.options)


def recipe_spec(recipe: Recipe, folder: Path | str) -> EnvSpec:
    """Return the spec of the environment in which a run is measured."""
    return recipe_env(recipe, folder, 1).spec


def _play(recipe: Recipe, folder: Path, games: int, seed: int) -> Score:
    env = recipe_env(recipe, folder, games)
    return _score(env, load_run_policy(folder, "newest", env.spec), games, seed)


def _cheapest(recipe: Recipe, folder: Path | str, games: int, seed: int) -> np.ndarray:
    """Return the costs `[games]` of the controller whose mean is least, from the same starts."""
    env = recipe_env(recipe, folder, games, controller=True)
    found = []
    for name in recipe.controllers:
        plugin = controller_plugin(name)
        policy = plugin.make(env.spec, plugin.config())
        found.append(costs(_score(env, policy, games, seed), env.spec, recipe.most))
    return min(found, key=lambda each: float(each.mean()))


def _laps(recipe: Recipe, files: Sequence[Path | str], games: int, seed: int) -> dict[str, float]:
    """Return the share of laps that cars drive to their end, each on a road of its own."""
    done, facts = [], [read_facts(file) for file in files]
    for file, fact in zip(files, facts, strict=True):
        env = make_env(fact["env"], games, **fact["env_options"])
        policy = load_policy(f"{fact['learner']}:{file}", env.spec)
        done.append(_metric(_score(env, policy, games, seed), "lap_done"))
    figures = _interval(f"{recipe.figure}_lap_done", np.stack(done), largest_is_worst=False)
    minutes = max(float(fact["minutes"]) for fact in facts)
    return {**figures, f"{recipe.figure}_train_min": minutes}


def _score(env: VecEnv, policy: Policy, games: int, seed: int) -> Score:
    return evaluate(env, policy, games=games, seed=seed, deterministic=True).score()


def _minutes(folder: Path | str) -> float:
    """Return how long a run was trained [min], with the one that it began with."""
    own = float(max(line.get("time/minutes", 0.0) for line in read_metrics(folder)))
    begun = run_config(folder).init.partition("@")[0]
    return own + (_minutes(begun) if is_run(begun) else 0.0)


def _returns(score: Score) -> np.ndarray:
    return score.episodes.returns[:, 0]


def _metric(score: Score, name: str) -> np.ndarray:
    return score.episodes.metric(name)[:, 0]


def _ratio(name: str, table: np.ndarray, beside: np.ndarray) -> dict[str, float]:
    """Return the ratio of mean costs, `table` `[runs, games]` over `beside` `[games]`."""
    drawn = [
        float(table[runs][:, games].mean() / beside[games].mean())
        for runs, games in _draws(*table.shape)
    ]
    each = table.mean(1) / beside.mean()
    return _named(name, float(each.mean()), drawn, float(each.max()))


def _interval(name: str, table: np.ndarray, *, largest_is_worst: bool) -> dict[str, float]:
    """Return the mean of `table` `[runs, games]`, its interval, and the worst run's."""
    drawn = [float(table[runs][:, games].mean()) for runs, games in _draws(*table.shape)]
    each = table.mean(1)
    worst = each.max() if largest_is_worst else each.min()
    return _named(name, float(each.mean()), drawn, float(worst))


def _draws(runs: int, games: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Draw runs and games with replacement, 1000 times, always the same."""
    rng = numpy_generator(0, "bootstrap")
    return [(rng.integers(runs, size=runs), rng.integers(games, size=games)) for _ in range(1000)]


def _named(name: str, mean: float, drawn: Sequence[float], worst: float) -> dict[str, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {name: mean, f"{name}_low": low, f"{name}_high": high, f"{name}_worst": worst}
