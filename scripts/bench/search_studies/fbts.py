"""Feedback-based tree search on the 1v1 MOBA, from a network that knows nothing.

Jiang, Ekwedike and Liu 2018.  Each iteration searches a batch of positions of self-play to a finite
horizon with the network as prior and at the leaves, and teaches it what the searches found.  At the
end the same search with the last network plays the same search with the first, corners swapped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from search_studies.measured import Measured
from search_studies.moba import ENV, OPTIONS, reseed

from simrl.core.plugins import env_plugin, make_config, make_env
from simrl.core.seeding import child_seed
from simrl.core.spec import EnvSpec
from simrl.learn.distillation import DistillationConfig
from simrl.learn.feedback_search import FeedbackSearch, FeedbackSearchConfig
from simrl.learn.policy import NetworkPolicy
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.nn.encoders import EncoderConfig
from simrl.rollout.evaluate import Score, evaluate
from simrl.rollout.intervals import wilson
from simrl.runs.feedback_search import PositionSearcher, SamplerConfig
from simrl.search.agent_model import AgentModel
from simrl.search.agent_policy import AgentSearchConfig, AgentSearchPolicy
from simrl.search.lookahead import LookaheadConfig

GAMMA = 0.99
GAMES = 40
"""Games of each seed in which both sides search."""
CURVE_GAMES = 40
"""Games of the bare network of each tenth of the run against the first, for the curve."""
NUM_ENVS = 48
NET = ActorCriticConfig(
    hidden=(64,),
    encoder=EncoderConfig(table_width=16, map_channels=()),
    attention_heads={"target": "targets"},
    attention_width=16,
)
SAMPLER = SamplerConfig(
    moments=12,
    gap=20,
    lookahead=LookaheadConfig(candidates=6, depth=12, rollouts=4, rounds=1, confidence=1.0),
)
"""Plans of one decision: what a longer one gains says little of its first action."""
FEEDBACK = FeedbackSearchConfig(
    iterations=40,
    keep=8,
    learner=DistillationConfig(learning_rate=1e-3, epochs=2, minibatch_size=256, value_coef=0.5),
)
PLAY = AgentSearchConfig(
    LookaheadConfig(candidates=4, plan=4, depth=8, rollouts=2, rounds=1, confidence=1.0), every=4
)


def study(seeds: Sequence[int]) -> Measured:
    """Run the iterations once for each seed and measure the last searcher against the first."""
    wins = games = 0
    curves = {}
    for seed in seeds:
        spec = make_env(ENV, 1, **OPTIONS).spec
        loop, metrics = learn(spec, seed)
        score = match(loop, spec, seed)
        wins, games = wins + score.wins, games + score.games
        curves[str(seed)] = {"metrics": metrics, "bare": curve(loop, spec, seed)}
    rate, low, high = wilson(wins, games)
    rows = sum(m["search/rows"] for c in curves.values() for m in c["metrics"])
    return Measured(
        {"fbts_win_rate": rate, "fbts_win_rate_low": low},
        {
            "fbts_win_rate": f"search with the last leaf evaluator against search with the first, "
            f"{wins} of {games} games, to {high:.3f}; {rows:.0f} positions searched",
            "fbts_win_rate_low": "lower end of its 95 % Wilson interval; bar 0.50",
        },
        curves,
    )


def learn(spec: EnvSpec, seed: int) -> tuple[FeedbackSearch, list[dict[str, float]]]:
    """Run all iterations."""
    env = make_env(ENV, NUM_ENVS, **OPTIONS)
    model = make_model(new_net(spec, seed), spec)
    searcher = PositionSearcher(env, model, SAMPLER, seed=seed)
    loop = FeedbackSearch(model.net, searcher, FEEDBACK, seed=seed)
    return loop, loop.run()


def match(loop: FeedbackSearch, spec: EnvSpec, seed: int) -> Score:
    """Let the search with the last network play the search with the first."""
    players = []
    for weights in (loop.history[-1], loop.history[0]):
        net = new_net(spec, seed)
        net.load_state_dict(weights)
        players.append(AgentSearchPolicy.looking_ahead(make_model(net, spec), PLAY))
    env = make_env(ENV, GAMES, **OPTIONS)
    return evaluate(env, players[0], {"first": players[1]}, games=GAMES, seed=seed).score("first")


def curve(loop: FeedbackSearch, spec: EnvSpec, seed: int) -> list[dict[str, float]]:
    """Let the bare networks of the run play the first one."""
    points = []
    first = new_net(spec, seed)
    first.load_state_dict(loop.history[0])
    env = make_env(ENV, CURVE_GAMES, **OPTIONS)
    for number in range(0, len(loop.history), max(1, len(loop.history) // 5)):
        net = new_net(spec, seed)
        net.load_state_dict(loop.history[number])
        score = evaluate(
            env, NetworkPolicy(net), {"first": NetworkPolicy(first)}, games=CURVE_GAMES, seed=seed
        ).score("first")
        points.append({"iteration": number, "win_rate": score.win_rate, "games": score.games})
    return points


def new_net(spec: EnvSpec, seed: int) -> ActorCritic:
    """Make the network as it is at the start."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "net"))
        return ActorCritic(spec, NET).eval()


def make_model(net: ActorCritic, spec: EnvSpec) -> AgentModel:
    """Make the model in which a network searches."""
    plugin = env_plugin(ENV)
    assert plugin.dynamics is not None  # the game's rules as a function
    dynamics = plugin.dynamics(make_config(plugin.config, OPTIONS, ENV))
    return AgentModel(dynamics, spec, net, gamma=GAMMA, reseed=reseed)  # type: ignore[arg-type]
