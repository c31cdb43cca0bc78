"""Teach a MOBA agent a style by comparisons: fighting or farming, beside the game's own reward.

A base agent is trained by self-play first.  It then trains on from the same weights three times:
with nobody to please (the control), with a teacher that prefers fights, and with one that prefers
last hits.  What the games against the lane pusher show is compared with the control's games.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from preference_studies.runs import Outcome

from simrl.core.plugins import make_env, make_scripted
from simrl.learn.loop import LoopConfig
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.evaluate import evaluate
from simrl.runs.preference_presets import moba_style
from simrl.runs.preferences import PreferenceConfig, build_preferences
from simrl.runs.presets import moba_1v1
from simrl.runs.training import Run, build_run, start_run
from simrl.runs.weights import start_from

OPPONENT = "lane-pusher"
GAMES = 400
BASE_STEPS, STYLE_STEPS = 5_000_000, 2_000_000
STYLES: Mapping[str, tuple[Mapping[str, float], str]] = {
    "aggressive": ({"kill": 1.0, "hurt_hero": 0.5}, "damage_to_heroes"),
    "farming": ({"last_hit": 1.0}, "last_hits"),
}
"""Each style's teacher, by reward terms, and the figure of the game that tells the style."""

NOTES = {
    "moba_style_shift": "smaller of the two styles' gains a minute over the control; bar: above 0",
    "moba_win_rate_change": "worse of the two, against the lane pusher; bar: at least -0.10",
    "moba_style_contrast": "aggressive damage by farming's, or the last hits so: the smaller",
    "moba_aggressive_damage": "damage to heroes a minute, by the control's",
    "moba_farming_last_hits": "last hits a minute, by the control's",
    "moba_control_win_rate": "share of games won by the control",
}


def study(seeds: Sequence[int]) -> tuple[dict[str, float], dict[str, list[Outcome]]]:
    """Train base, control and both styles for each seed; return figures and runs."""
    runs: dict[str, list[Outcome]] = {"control": [], **{style: [] for style in STYLES}}
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            base = train_base(Path(folder) / str(seed), seed)
            runs["control"].append(taught(None, base, seed))
            for style in STYLES:
                runs[style].append(taught(style, base, seed))
    gain = {
        style: _mean(runs[style], figure) / _mean(runs["control"], figure)
        for style, (_, figure) in STYLES.items()
    }
    (one, (_, first)), (other, (_, second)) = STYLES.items()
    contrast = min(
        _mean(runs[one], first) / _mean(runs[other], first),
        _mean(runs[other], second) / _mean(runs[one], second),
    )
    control = _win_rate(runs["control"])
    return {
        "moba_style_shift": min(gain.values()) - 1.0,
        "moba_win_rate_change": min(_win_rate(runs[style]) for style in STYLES) - control,
        "moba_style_contrast": contrast - 1.0,
        "moba_aggressive_damage": gain["aggressive"],
        "moba_farming_last_hits": gain["farming"],
        "moba_control_win_rate": control,
    }, runs


def train_base(folder: Path, seed: int, steps: int = BASE_STEPS) -> Path:
    """Train the agent that all start from, by self-play, and return its run."""
    config = replace(moba_1v1(), seed=seed, loop=LoopConfig(unroll=16, steps=steps))
    run = start_run(config, folder)
    _train(run)
    if run.loop.writer is not None:
        run.loop.writer.close()
    return folder


def style_config(style: str, base: Path, seed: int, steps: int = STYLE_STEPS) -> PreferenceConfig:
    """Return the preset for a style's teacher."""
    config = moba_style()
    train = replace(
        config.train,
        seed=seed,
        init=str(base),
        loop=replace(config.train.loop, minutes=None, steps=steps),
    )
    return replace(config, train=train, terms=STYLES[style][0])


def taught(
    style: str | None, base: Path, seed: int, steps: int = STYLE_STEPS, games: int = GAMES
) -> Outcome:
    """Train on from `base` with a style's teacher, or without one, and measure the games."""
    config = style_config(style or next(iter(STYLES)), base, seed, steps)
    if style is None:
        ppo = replace(config.train.ppo, group_gamma={})  # there is no learned reward
        run = build_run(replace(config.train, ppo=ppo))
        start_from(run.net, str(base))
    else:
        run = build_preferences(config).run
    seconds = _train(run)
    return _measured(run.net, seed, seconds, games)


def _train(run: Run) -> float:
    run.loop.hooks = [hook for hook in run.loop.hooks if hook is not run.evaluation]
    return run.loop.run().seconds


def _measured(net: ActorCritic, seed: int, seconds: float, games: int) -> Outcome:
    env = make_env("moba-1v1", games)
    opponents = {OPPONENT: make_scripted("moba-1v1", OPPONENT)}
    score = evaluate(
        env, NetworkPolicy(net, values=False), opponents, games=games, seed=1_000 + seed
    ).score(OPPONENT)
    names = ("damage_to_heroes", "last_hits", "kills", "deaths")
    minutes = score.metrics["minutes"]
    figures = {name: score.metrics[name] / minutes for name in names}
    figures |= {"win_rate": score.win_rate, "minutes": minutes}
    return Outcome(seed, score.mean_return, seconds, [], figures)


def _mean(runs: list[Outcome], name: str) -> float:
    return sum(run.figures[name] for run in runs) / len(runs)


def _win_rate(runs: list[Outcome]) -> float:
    return _mean(runs, "win_rate")
