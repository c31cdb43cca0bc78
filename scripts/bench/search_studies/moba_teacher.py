"""Search as a teacher on the 1v1 MOBA: a trained policy learns from searches over its own actions.

The teacher stays as it is: it plays itself, and searches from where its games stand.  The pupil
begins as its copy and learns what the searches prefer.  Then the bare pupil plays the bare teacher,
corners swapped, both drawing their actions: nobody searches in these games.
"""

from __future__ import annotations

from collections.abc import Sequence

from search_studies.moba import ENV, OPTIONS, trained_run
from studies import Measured

from simrl.core.plugins import make_env
from simrl.core.seeding import torch_generator
from simrl.learn.distillation import DistillationConfig, DistillationLearner, SearchedRows
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
    step=1.0,
)
BATCHES = 16
LEARNING = DistillationConfig(
    learning_rate=1e-4, epochs=4, minibatch_size=256, value_coef=0.0, anchor=0.3
)


def study(seeds: Sequence[int]) -> Measured:
    """Teach once for each seed, and let each pupil play what it was."""
    wins = games = 0
    curves = {}
    for seed in seeds:
        pupil, curves[str(seed)] = teach(seed)
        start = load_run_policy(trained_run(), "newest")
        env = make_env(ENV, GAMES, **OPTIONS)
        score = evaluate(env, pupil, {"start": start}, games=GAMES, seed=seed).score("start")
        wins, games = wins + score.wins, games + score.games
    rate, low, high = wilson(wins, games)
    searched = sum(metrics["rows"] for metrics in curves.values())
    return Measured(
        {"moba_teacher_win_rate": rate, "moba_teacher_win_rate_low": low},
        {
            "moba_teacher_win_rate": f"taught policy against its teacher, {wins} of {games} games, "
            f"to {high:.3f}; {searched:.0f} searched positions in all",
            "moba_teacher_win_rate_low": "lower end of its 95 % Wilson interval",
        },
        curves,
    )


def teach(seed: int) -> tuple[NetworkPolicy, dict[str, float]]:
    """Return the pupil, and how it learned."""
    folder = trained_run()
    env = make_env(ENV, NUM_ENVS, **OPTIONS)
    model = agent_model(folder, "newest", env.spec, OPTIONS)
    searcher = PositionSearcher(env, model, SAMPLER, seed=seed)
    rng = torch_generator(seed, "teacher")
    rows = SearchedRows.join([searcher(model.net, rng) for _ in range(BATCHES)])
    pupil = load_run_policy(folder, "newest").net
    metrics = DistillationLearner(pupil, LEARNING, seed=seed).fit(rows)
    return NetworkPolicy(pupil), {**metrics, "rows": float(len(rows))}
