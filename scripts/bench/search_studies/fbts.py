"""Feedback-based tree search on the 1v1 MOBA: a leaf evaluator that is learned from its searches.

Jiang, Ekwedike and Liu 2018.  At the start the policy is that of a trained run, and the critic's
last layer is drawn at random.  Each iteration searches a batch of positions of self-play to a
finite horizon with the network as prior and at the leaves, and teaches it what the searches found.
At the end the same search with the last network plays the same search with the first, and one whose
leaves are worth nothing, so that it maximises the rewards up to its horizon; corners swapped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from search_studies.moba import ENV, OPTIONS, trained_run
from studies import Measured
from torch import Tensor

from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
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

GAMES = 60
"""Games of each seed in which both sides search."""
CURVE_GAMES = 100
"""Games of the bare network at some iterations against the first one, for the curve."""
CURVE_POINTS = 4
NUM_ENVS = 48
SAMPLER = SamplerConfig(
    moments=12,
    gap=20,
    lookahead=LookaheadConfig(candidates=4, depth=8, rollouts=4, rounds=1),
    value_depth=50,
    value_rollouts=3,
)
"""Plans of one decision, since what a longer one gains says little of its first action."""
FEEDBACK = FeedbackSearchConfig(
    iterations=24,
    keep=8,
    learner=DistillationConfig(
        learning_rate=5e-4, epochs=3, minibatch_size=256, value_coef=1.0, anchor=3.0
    ),
)
PLAY = AgentSearchConfig(
    LookaheadConfig(candidates=4, plan=4, depth=8, rollouts=2, rounds=1, confidence=2.0), every=4
)


def study(seeds: Sequence[int]) -> Measured:
    """Run the iterations once for each seed and measure the last searcher against both others."""
    wins = {"first": 0, "nothing": 0}
    curves = {}
    for seed in seeds:
        spec = make_env(ENV, 1, **OPTIONS).spec
        loop, metrics = learn(spec, seed)
        for name, weights in (
            ("first", loop.history[0]),
            ("nothing", worth_nothing(first_net(seed)).state_dict()),
        ):
            wins[name] += match(loop.history[-1], weights, spec, seed).wins
        curves[str(seed)] = {"metrics": metrics, "bare": curve(loop, seed)}
    rows = sum(m["search/rows"] for c in curves.values() for m in c["metrics"])
    games = GAMES * len(seeds)
    rate, low, high = wilson(wins["first"], games)
    other, other_low, other_high = wilson(wins["nothing"], games)
    return Measured(
        {"fbts_win_rate": rate, "fbts_win_rate_low": low, "fbts_win_rate_rewards": other},
        {
            "fbts_win_rate": "search with the last leaf evaluator against search with the first, "
            f"{wins['first']} of {games} games, to {high:.3f}; {rows:.0f} positions searched",
            "fbts_win_rate_low": "lower end of its 95 % Wilson interval; bar 0.50",
            "fbts_win_rate_rewards": "against the same search without a leaf evaluator, by the "
            f"rewards up to its horizon alone; {other_low:.3f} to {other_high:.3f}",
        },
        curves,
    )


def learn(spec: EnvSpec, seed: int) -> tuple[FeedbackSearch, list[dict[str, float]]]:
    """Run all iterations."""
    env = make_env(ENV, NUM_ENVS, **OPTIONS)
    model = make_model(first_net(seed), spec)
    searcher = PositionSearcher(env, model, SAMPLER, seed=seed)
    loop = FeedbackSearch(model.net, searcher, FEEDBACK, seed=seed)
    return loop, loop.run()


def match(
    last: Mapping[str, Tensor], other: Mapping[str, Tensor], spec: EnvSpec, seed: int
) -> Score:
    """Let the search with the weights `last` play the search with the weights `other`."""
    players = []
    for weights in (last, other):
        net = first_net(seed)
        net.load_state_dict(weights)
        players.append(AgentSearchPolicy.looking_ahead(make_model(net, spec), PLAY))
    env = make_env(ENV, GAMES, **OPTIONS)
    return evaluate(env, players[0], {"other": players[1]}, games=GAMES, seed=seed).score("other")


def curve(loop: FeedbackSearch, seed: int) -> list[dict[str, float]]:
    """Let the bare networks of the run play the first one."""
    points = []
    first = NetworkPolicy(first_net(seed))
    env = make_env(ENV, CURVE_GAMES, **OPTIONS)
    last = len(loop.history) - 1
    for number in sorted({last * point // CURVE_POINTS for point in range(1, CURVE_POINTS + 1)}):
        net = first_net(seed)
        net.load_state_dict(loop.history[number])
        score = evaluate(
            env, NetworkPolicy(net), {"first": first}, games=CURVE_GAMES, seed=seed
        ).score("first")
        points.append({"iteration": number, "win_rate": score.win_rate, "games": score.games})
    return points


def first_net(seed: int) -> ActorCritic:
    """Return the trained policy with a critic whose last layer knows nothing yet."""
    net = worth_nothing(load_run_policy(trained_run(), "newest").net)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "critic"))
        torch.nn.init.orthogonal_(net.head.weight[net.num_logits :].detach())
    return net


def worth_nothing(net: ActorCritic) -> ActorCritic:
    """Make every value of a network 0."""
    with torch.no_grad():
        net.head.weight[net.num_logits :] = 0.0
        net.head.bias[net.num_logits :] = 0.0
        net.value_mean.zero_()
        net.value_scale.fill_(1.0)
    return net


def make_model(net: ActorCritic, spec: EnvSpec) -> AgentModel:
    """Make the model in which a network searches."""
    return agent_model(trained_run(), "newest", spec, OPTIONS, net=net)
