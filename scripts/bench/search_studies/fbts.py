"""Feedback-based tree search on the 1v1 MOBA: a leaf evaluator that is learned from its searches.

Jiang, Ekwedike and Liu 2018.  The starting leaf evaluator is a beginner: policy and critic of a run
of half a million steps, which loses most games to the weakest script that attacks.  Each iteration
searches a batch of positions of self-play to a finite horizon with the network as prior and at the
leaves, and teaches it what the searches found.  At the end the same search with the last network
plays the same search with the first; corners swapped.  The curve lets the bare networks play.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from search_studies.moba import ENV, OPTIONS, run_of
from studies import Measured
from torch import Tensor

from simrl.core.plugins import make_env
from simrl.core.spec import EnvSpec
from simrl.learn.distillation import DistillationConfig
from simrl.learn.feedback_search import FeedbackSearch, FeedbackSearchConfig
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout.evaluate import Score, evaluate
from simrl.rollout.intervals import wilson
from simrl.runs.agent_search import agent_model
from simrl.runs.feedback_search import PositionSearcher, SamplerConfig
from simrl.runs.policies import load_run_policy
from simrl.search.agent_model import AgentModel
from simrl.search.agent_policy import AgentSearchConfig, AgentSearchPolicy
from simrl.search.lookahead import LookaheadConfig

GAMES = 40
"""Games of each seed in which both sides search."""
CURVE_GAMES = 100
"""Games of the bare network at some iterations against the first one, for the curve."""
CURVE_POINTS = 2
START_STEPS = 500_000
"""Agent-steps of the run that the leaf evaluator starts from."""
NUM_ENVS = 96
SAMPLER = SamplerConfig(
    moments=12,
    gap=10,
    lookahead=LookaheadConfig(candidates=4, depth=12, rollouts=4, rounds=1),
)
FEEDBACK = FeedbackSearchConfig(
    iterations=8,
    keep=4,
    learner=DistillationConfig(
        learning_rate=5e-4, epochs=3, minibatch_size=256, value_coef=0.1, anchor=0.5
    ),
)
"""Few iterations: more from so few positions drift, the policy spreads and turns passive."""
PLAY = AgentSearchConfig(
    LookaheadConfig(candidates=4, plan=4, depth=8, rollouts=2, rounds=1, confidence=2.0), every=4
)


def study(seeds: Sequence[int]) -> Measured:
    """Run the iterations once for each seed and measure the last searcher against the first."""
    wins, bare, curves = [], [], {}
    for seed in seeds:
        spec = make_env(ENV, 1, **OPTIONS).spec
        loop, metrics = learn(spec, seed)
        wins.append(match(loop, spec, seed).wins)
        points = curve(loop, seed)
        bare.append(points[-1]["wins"])
        curves[str(seed)] = {"wins": wins[-1], "metrics": metrics, "bare": points}
    rows = sum(m["search/rows"] for c in curves.values() for m in c["metrics"])
    games = GAMES * len(seeds)
    rate, low, high = wilson(sum(wins), games)
    return Measured(
        {
            "fbts_win_rate": rate,
            "fbts_win_rate_low": low,
            "fbts_policy_win_rate": sum(bare) / (CURVE_GAMES * len(seeds)),
        },
        {
            "fbts_win_rate": "search with the last leaf evaluator against search with the first, "
            f"{wins} of {GAMES} games each, to {high:.3f}; {rows:.0f} positions searched",
            "fbts_win_rate_low": "lower end of its 95 % Wilson interval; bar 0.50",
            "fbts_policy_win_rate": "the last policy without search against the first without, "
            f"{bare} of {CURVE_GAMES} games each",
        },
        curves,
    )


def learn(spec: EnvSpec, seed: int) -> tuple[FeedbackSearch, list[dict[str, float]]]:
    """Run all iterations."""
    env = make_env(ENV, NUM_ENVS, **OPTIONS)
    model = make_model(first_net(seed), spec, seed)
    searcher = PositionSearcher(env, model, SAMPLER, seed=seed)
    loop = FeedbackSearch(model.net, searcher, FEEDBACK, seed=seed)
    return loop, loop.run()


def match(loop: FeedbackSearch, spec: EnvSpec, seed: int) -> Score:
    """Let the search with the last network play the search with the first."""
    players = [
        AgentSearchPolicy.looking_ahead(make_model(net_with(weights, seed), spec, seed), PLAY)
        for weights in (loop.history[-1], loop.history[0])
    ]
    env = make_env(ENV, GAMES, **OPTIONS)
    return evaluate(env, players[0], {"first": players[1]}, games=GAMES, seed=seed).score("first")


def curve(loop: FeedbackSearch, seed: int) -> list[dict[str, float]]:
    """Let the bare networks of the run play the first one."""
    points = []
    first = NetworkPolicy(first_net(seed))
    env = make_env(ENV, CURVE_GAMES, **OPTIONS)
    last = len(loop.history) - 1
    for number in sorted({last * point // CURVE_POINTS for point in range(1, CURVE_POINTS + 1)}):
        net = NetworkPolicy(net_with(loop.history[number], seed))
        score = evaluate(env, net, {"first": first}, games=CURVE_GAMES, seed=seed).score("first")
        points.append({"iteration": number, "wins": score.wins, "draws": score.draws})
    return points


def first_net(seed: int) -> ActorCritic:
    """Return the beginner."""
    return load_run_policy(run_of(START_STEPS, seed), "newest").net


def net_with(weights: Mapping[str, Tensor], seed: int) -> ActorCritic:
    """Return a network of its kind with other weights."""
    net = first_net(seed)
    net.load_state_dict(weights)
    return net


def make_model(net: ActorCritic, spec: EnvSpec, seed: int) -> AgentModel:
    """Make the model in which a network searches."""
    return agent_model(run_of(START_STEPS, seed), "newest", spec, OPTIONS, net=net)
