"""Search as a teacher on the 1v1 MOBA: a trained policy learns from searches over its own actions.

The bare policy after a few batches plays the bare policy before, corners swapped, both drawing
their actions: nobody searches in these games.
"""

from __future__ import annotations

from collections.abc import Sequence

from search_studies.measured import Measured
from search_studies.moba import ENV, OPTIONS, reseed, trained_run

from simrl.core.plugins import make_env
from simrl.learn.distillation import DistillationConfig
from simrl.learn.feedback_search import FeedbackSearch, FeedbackSearchConfig
from simrl.learn.policy import NetworkPolicy
from simrl.rollout.evaluate import evaluate
from simrl.rollout.intervals import wilson
from simrl.runs.agent_search import agent_model
from simrl.runs.feedback_search import PositionSearcher, SamplerConfig
from simrl.runs.policies import load_run_policy
from simrl.search.lookahead import LookaheadConfig

GAMES = 200
"""Games of each seed."""
NUM_ENVS = 64
"""Games from which positions are taken."""
SAMPLER = SamplerConfig(
    moments=16,
    gap=25,
    lookahead=LookaheadConfig(candidates=4, depth=6, rollouts=6, rounds=1),
)
TEACHING = FeedbackSearchConfig(
    iterations=12,
    keep=4,
    learner=DistillationConfig(learning_rate=1e-4, epochs=2, minibatch_size=256, value_coef=0.1),
)


def study(seeds: Sequence[int]) -> Measured:
    """Teach once for each seed, and let each pupil play what it was."""
    wins = games = 0
    curves = {}
    for seed in seeds:
        pupil, metrics = teach(seed)
        start = load_run_policy(trained_run(), "newest")
        env = make_env(ENV, GAMES, **OPTIONS)
        score = evaluate(env, pupil, {"start": start}, games=GAMES, seed=seed).score("start")
        wins, games = wins + score.wins, games + score.games
        curves[str(seed)] = metrics
    rate, low, high = wilson(wins, games)
    searched = sum(m["search/rows"] for run in curves.values() for m in run)
    return Measured(
        {"moba_teacher_win_rate": rate, "moba_teacher_win_rate_low": low},
        {
            "moba_teacher_win_rate": f"taught policy against its start, {wins} of {games} games, "
            f"to {high:.3f}; {searched:.0f} searched positions in all",
            "moba_teacher_win_rate_low": "lower end of its 95 % Wilson interval",
        },
        curves,
    )


def teach(seed: int) -> tuple[NetworkPolicy, list[dict[str, float]]]:
    """Return the taught policy and the metrics of each batch."""
    folder = trained_run()
    env = make_env(ENV, NUM_ENVS, **OPTIONS)
    net = load_run_policy(folder, "newest").net
    model = agent_model(folder, "newest", env.spec, OPTIONS, net=net, reseed=reseed)
    loop = FeedbackSearch(
        net, PositionSearcher(env, model, SAMPLER, seed=seed), TEACHING, seed=seed
    )
    return NetworkPolicy(net), loop.run()
