"""Evaluate a trained run against opponents, in the open: copy this and change what you need.

    python scripts/evaluate.py runs/my-run --opponents random,lane-pusher --games 200

The same as `simrl evaluate`, in the library's public parts: environments, policies, games, an
interval.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
from simrl.rollout.evaluate import evaluate
from simrl.runs.config import run_config
from simrl.runs.policies import load_run_policy, named_policy


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the games and print one line for each opponent."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", help="folder of a training run")
    parser.add_argument("--opponents", default="", help="comma-separated; default: the run's own")
    parser.add_argument("--games", type=int, default=200, help="games against each, an even number")
    parser.add_argument("--seed", type=int, default=1, help="seed of the games")
    parser.add_argument("--deterministic", action="store_true", help="no sampling of actions")
    options = parser.parse_args(arguments)

    # The run's folder says in which environment it was trained, and against whom it is measured.
    config = run_config(options.run)
    names = options.opponents.split(",") if options.opponents else config.evaluation.opponents

    # All games run side by side in one batch: one forward pass a step for all of them.
    env = make_env(config.env, min(options.games, 256), **config.env_options)
    policy = load_run_policy(options.run)  # the best checkpoint if there is one
    opponents = {name: named_policy(name, env.spec, config.env_options) for name in names}

    # The policy plays half of the games on either side; each opponent meets the same episodes.
    result = evaluate(
        env,
        policy,
        opponents or None,
        games=options.games,
        seed=child_seed(options.seed, "evaluate"),
        deterministic=options.deterministic,
    )
    for score in result.scores:
        if score.opponent is None:
            print(
                f"mean return {score.mean_return:.4g} "
                f"(95 %: {score.return_low:.4g} to {score.return_high:.4g})"
            )
            continue
        print(
            f"{score.opponent:<16} {score.wins} won, {score.draws} drawn, {score.losses} lost: "
            f"{score.win_rate:.1%} (95 %: {score.win_low:.1%} to {score.win_high:.1%}), "
            f"{score.mean_length:.0f} steps a game, {score.act_times.p50_ms:.2f} ms an act"
        )
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(f"evaluate.py: {error}")
