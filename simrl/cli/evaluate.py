"""`simrl evaluate`: win rates with intervals against opponents, or a tournament."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from simrl.cli.arguments import parse
from simrl.cli.players import MAX_ENVS, Stage, split_names, stage_for
from simrl.core.plugins import env_plugin
from simrl.core.seeding import child_seed
from simrl.core.spec import EnvSpec
from simrl.rollout.evaluate import Evaluation, Score, evaluate
from simrl.runs.config import is_run, run_config
from simrl.runs.policies import named_run
from simrl.selfplay.payoff import Payoff
from simrl.selfplay.tournament import Standings, round_robin


@dataclass(frozen=True)
class EvaluateArguments:
    """Play side-swapped games and print win rates with 95 % Wilson intervals.

    In a task with one team, print the mean return and the task's metrics, success among them.
    """

    policy: tyro.conf.Positional[str | None] = None
    """A run's folder, optionally with @best, @newest, @STEPS or @SNAPSHOT, or the name of a
    scripted policy, controller or search, whose options may follow: nmpc:solver=ipopt:horizon=30,
    mcts:1000, search:runs/x, openspiel:1000."""
    opponents: str = ""
    """Opponents, comma-separated: scripted policies, searches, random, other runs. Default: those
    of the run's config, or every scripted policy of the environment."""
    round_robin: str = ""
    """Players, comma-separated, who all play each other, and the policy if one is given; prints
    everybody's win rate against everybody, and ratings."""
    games: int = 200
    """Episodes against each opponent; even, since sides are swapped half way."""
    seed: int = 1
    """Seed of the games and of the policies' draws."""
    deterministic: bool = False
    """Take the policies' likeliest actions instead of samples."""
    env: str | None = None
    """Environment, where no run says which."""
    option: tuple[str, ...] = ()
    """Options of the environment's config, each NAME=VALUE with the value in YAML."""
    json: bool = False
    """Print one JSON object instead of a table."""


def run(arguments: Sequence[str]) -> int:
    """Play and print; return the exit code."""
    args = parse(EvaluateArguments, "simrl evaluate", arguments)
    if args.games < 1:
        raise ValueError(f"--games must be at least 1, got {args.games}")
    players = split_names(args.round_robin)
    if args.policy is None and not players:
        raise ValueError("name a run or a policy, or give --round-robin a,b,c")
    if players:
        _tournament(args, players)
    else:
        _evaluate(args, str(args.policy))
    return 0


def _evaluate(args: EvaluateArguments, name: str) -> None:
    stage = stage_for([name, *split_names(args.opponents)], args.env, args.option)
    env = stage.make(_num_envs(args.games))
    policy = stage.players([name], env.spec)[name]
    opponents = stage.players(_opponents(args, stage, env.spec), env.spec)
    with _status(f"{args.games} games against each of {', '.join(opponents) or 'nobody'}"):
        result = evaluate(
            env,
            policy,
            opponents or None,
            games=args.games,
            seed=child_seed(args.seed, "evaluate"),
            deterministic=args.deterministic,
        )
    if args.json:
        _print_json({**_facts(args, stage), "policy": name, **_figures(result, env.spec)})
    else:
        Console(emoji=False, highlight=False).print(score_table(name, result, env.spec))


def _tournament(args: EvaluateArguments, players: list[str]) -> None:
    names = list(dict.fromkeys(([args.policy] if args.policy else []) + players))
    stage = stage_for(names, args.env, args.option)
    env = stage.make(_num_envs(args.games))
    policies = stage.players(names, env.spec)
    with _status(f"{args.games} games between each two of {', '.join(names)}"):
        standings = round_robin(
            env, policies, games=args.games, seed=args.seed, deterministic=args.deterministic
        )
    if args.json:
        _print_json({**_facts(args, stage), **_standings(standings)})
        return
    out = Console(emoji=False, highlight=False)
    out.print(payoff_table(standings.payoff))
    out.print(rating_table(standings))


def _opponents(args: EvaluateArguments, stage: Stage, spec: EnvSpec) -> list[str]:
    """Name the opponents: those asked for, else the run's, else every scripted policy."""
    if len(set(spec.teams)) < 2:
        if args.opponents:
            raise ValueError(f"{stage.env} has one team: there are no opponents")
        return []
    asked = split_names(args.opponents)
    if asked:
        return asked
    folder = named_run(str(args.policy))[0]
    own = list(run_config(folder).evaluation.opponents) if is_run(folder) else []
    return own or list(env_plugin(stage.env).policies) or ["random"]


def score_table(name: str, result: Evaluation, spec: EnvSpec) -> Table:
    """Lay out an evaluation, one row for each opponent."""
    alone = result.scores[0].opponent is None
    length = "minutes" if spec.step_seconds > 0 else "steps"
    table = Table(title=f"{name} in {spec.id}, {result.scores[0].games} games each")
    columns = ["mean return (95 %)"] if alone else ["W-D-L", "win rate (95 %)"]
    if not alone:
        table.add_column("opponent")
    for column in (*columns, length, "act ms p50, p99"):
        table.add_column(column, justify="right")
    for score in result.scores:
        if score.opponent is None:
            bounds = f"{score.return_low:.4g} to {score.return_high:.4g}"
            row = [f"{score.mean_return:.4g}" + (f" ({bounds})" if score.games > 1 else "")]
            means = ", ".join(f"{name} {value:.4g}" for name, value in score.metrics.items())
            table.caption = f"means: {means}" if means else None
        else:
            bounds = f"{100 * score.win_low:.1f} to {100 * score.win_high:.1f}"
            row = [score.opponent, f"{score.wins}-{score.draws}-{score.losses}"]
            row.append(f"{100 * score.win_rate:.1f} % ({bounds})")
        times = score.act_times
        row += [f"{_length(score, spec):.3g}", f"{_ms(times.p50_ms)}, {_ms(times.p99_ms)}"]
        table.add_row(*row)
    return table


def payoff_table(payoff: Payoff) -> Table:
    """Lay out who beat whom: the row's win rate against the column, a draw as half a win."""
    table = Table(title="Win rate of the row against the column; a draw is half a win")
    table.add_column("")
    for name in payoff.names:
        table.add_column(name, justify="right")
    for first in payoff.names:
        cells = []
        for second in payoff.names:
            if first == second:
                cells.append("")
                continue
            rate, low, high = payoff.win_rate(first, second)
            cells.append(f"{rate:.0%} ({low:.0%} to {high:.0%})")
        table.add_row(first, *cells)
    return table


def rating_table(standings: Standings) -> Table:
    """Lay out everybody's ratings, best first."""
    ratings, skill = standings.elo(), standings.skill.ratings()
    table = Table(title="Ratings; 400 points of Elo are odds of ten to one")
    table.add_column("player")
    for column in ("Elo", "95 % interval", "openskill", "± 2 deviations"):
        table.add_column(column, justify="right")
    for name in sorted(ratings, key=lambda n: -ratings[n].mean):
        rating, other = ratings[name], skill[name]
        table.add_row(
            name,
            f"{rating.mean:+.0f}",
            f"{rating.low:+.0f} to {rating.high:+.0f}",
            f"{other.mean:.1f}",
            f"{other.low:.1f} to {other.high:.1f}",
        )
    return table


def _figures(result: Evaluation, spec: EnvSpec) -> dict[str, Any]:
    rows = {}
    for score in result.scores:
        times = {"act_p50_ms": score.act_times.p50_ms, "act_p99_ms": score.act_times.p99_ms}
        figures: dict[str, Any] = {
            "mean_return": score.mean_return,
            "return_low": score.return_low,
            "return_high": score.return_high,
            "mean_length": score.mean_length,
            **times,
        }
        if spec.step_seconds > 0:
            figures["mean_minutes"] = _length(score, spec)
        figures["metrics"] = dict(score.metrics)
        if score.opponent is None:
            return figures
        rows[score.opponent] = {
            "wins": score.wins,
            "draws": score.draws,
            "losses": score.losses,
            "win_rate": score.win_rate,
            "low": score.win_low,
            "high": score.win_high,
            **figures,
        }
    return {"opponents": rows}


def _standings(standings: Standings) -> dict[str, Any]:
    payoff = standings.payoff
    return {
        "players": payoff.names,
        "wins": payoff.wins.tolist(),
        "draws": payoff.draws.tolist(),
        "elo": {name: vars(rating) for name, rating in standings.elo().items()},
        "openskill": {name: vars(r) for name, r in standings.skill.ratings().items()},
    }


def _facts(args: EvaluateArguments, stage: Stage) -> dict[str, Any]:
    return {
        "env": stage.env,
        "games": args.games,
        "seed": args.seed,
        "deterministic": args.deterministic,
    }


def _print_json(content: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(_no_nan(content), indent=2) + "\n")


def _no_nan(value: Any) -> Any:
    """Put null for NaN, which JSON does not have."""
    if isinstance(value, Mapping):
        return {key: _no_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_no_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _length(score: Score, spec: EnvSpec) -> float:
    """Return the mean length in minutes of the game, or in steps where steps have no unit."""
    return score.mean_length * spec.step_seconds / 60.0 if spec.step_seconds else score.mean_length


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _num_envs(games: int) -> int:
    """Return how many games run side by side: all of them, or as many as are allowed."""
    return min(games, MAX_ENVS)


def _status(text: str) -> Any:
    return Console(emoji=False, stderr=True, highlight=False).status(f"playing {text}")
