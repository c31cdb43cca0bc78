"""Search of one agent's actions among many players: games whose best answers are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from simrl.core import Obs, PolicyOutput, PolicyState
from simrl.core.plugins import env_plugin, make_config, make_env
from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.rollout import RolloutEngine, Seating
from simrl.rollout.evaluate import evaluate
from simrl.search.agent_evaluators import AgentEvaluator, TruncatedRollouts
from simrl.search.agent_model import AgentModel, Situation
from simrl.search.agent_policy import (
    AgentSearchConfig,
    AgentSearchPolicy,
    LookaheadPlanner,
    TreePlanner,
)
from simrl.search.candidates import draw_candidates
from simrl.search.config import SearchConfig
from simrl.search.evaluators import MixedEvaluator
from simrl.search.lookahead import (
    LookaheadConfig,
    LookaheadResult,
    lookahead,
    rollout_returns,
)

ROCK, PAPER, SCISSORS = range(3)
RPS = "rock-paper-scissors"
SMALL = ActorCriticConfig(hidden=(16,))
WITH_MEMORY = ActorCriticConfig(hidden=(16,), recurrent="lstm", recurrent_width=8)


class Stubborn:
    """Always choose the same, and count in its memory how often it was asked."""

    reads = frozenset({"policy"})

    def __init__(self, choice: int) -> None:
        self.choice = choice

    def initial_state(self, num_rows: int) -> PolicyState:
        return {"asked": torch.zeros(num_rows, 1)}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        action = torch.full((len(obs["policy"]), 1), self.choice)
        return PolicyOutput(action, {"asked": state["asked"] + 1})


def make_dynamics(name, **options):
    plugin = env_plugin(name)
    return plugin.dynamics(make_config(plugin.config, options, name))


def make_net(env, config=SMALL, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ActorCritic(env.spec, config).eval()


def rps_model(rounds=3, enemies=None, config=SMALL, gamma=1.0):
    env = make_env(RPS, 4, rounds=rounds)
    net = make_net(env, config)
    model = AgentModel(
        make_dynamics(RPS, rounds=rounds), env.spec, net, gamma=gamma, enemies=enemies
    )
    return env, model


def situation_of(env, model, seats):
    env.reset(0)
    rows = len(seats)
    game = env.snapshot()[:1].repeat(rows, 1)
    return Situation(game, torch.tensor(seats), model.initial_memory(rows))


PLANNERS = {
    "lookahead": lambda model: LookaheadPlanner(
        model, LookaheadConfig(candidates=3, depth=1, rollouts=2, rounds=1, confidence=3.0)
    ),
    "tree": lambda model: TreePlanner(model, SearchConfig(simulations=24, rule="puct")),
    "tree of rollouts": lambda model: TreePlanner(
        model,
        SearchConfig(simulations=24),
        MixedEvaluator(AgentEvaluator(model, 3), TruncatedRollouts(model, 3, depth=1), 0.5),
    ),
}


@pytest.mark.parametrize("planner", PLANNERS)
def test_search_beats_whoever_always_plays_rock_from_either_side(planner):
    env, model = rps_model(rounds=3, enemies=Stubborn(ROCK))
    policy = AgentSearchPolicy(model, PLANNERS[planner](model))
    score = evaluate(env, policy, {"rock": Stubborn(ROCK)}, games=4, seed=1, deterministic=True)
    assert score.score("rock").wins == 4


def test_the_model_plays_the_opponent_that_it_was_given():
    """Against a model of paper the best answer is scissors, whoever sits there in truth."""
    env, model = rps_model(rounds=1, enemies=Stubborn(PAPER))
    policy = AgentSearchPolicy(model, PLANNERS["lookahead"](model))
    engine = RolloutEngine(env, Seating.versus(env, policy, Stubborn(ROCK)), seed=0)
    assert engine.step(deterministic=True).reward[:, 0].tolist() == [-1.0, 1.0, -1.0, 1.0]


def test_lookahead_values_are_the_rewards_of_the_game():
    """Three rounds against rock: paper now and the policy's mean, here 0 by symmetry of draws."""
    env, model = rps_model(rounds=1, enemies=Stubborn(ROCK))
    config = LookaheadConfig(candidates=3, depth=1, rollouts=2, rounds=1)
    result = lookahead(model, situation_of(env, model, [0, 1]), config, torch_generator(0, "t"))
    for row in range(2):
        found = dict(zip(result.plan[row, :, 0, 0].tolist(), result.q[row].tolist(), strict=True))
        assert found == {ROCK: 0.0, PAPER: 1.0, SCISSORS: -1.0}
    assert result.visits.tolist() == [[2, 2, 2]] * 2


def test_a_rollout_discounts_rewards_and_ends_in_the_critic():
    """gamma 1/2, two rounds of four: 1 + 1/2 (-1) + 1/4 V; the plan is paper, then scissors."""
    env, model = rps_model(rounds=4, enemies=Stubborn(ROCK), gamma=0.5)
    situation = situation_of(env, model, [1])
    plan = torch.tensor([[[PAPER], [SCISSORS]]])
    rng = torch_generator(0, "t")
    total, taken = rollout_returns(model, situation, 2, rng, plan=plan)
    assert taken[0, :, 0].tolist() == [PAPER, SCISSORS]
    for action in ([[PAPER]], [[SCISSORS]]):
        outlook = model.look(situation, rng)
        situation, _, _ = model.advance(situation, outlook, torch.tensor(action))
    value = float(model.look(situation, rng).value)
    assert abs(value) > 1e-3
    assert float(total) == pytest.approx(0.5 + 0.25 * value, abs=1e-6)


def test_no_value_follows_the_end_of_the_game():
    env, model = rps_model(rounds=1, enemies=Stubborn(ROCK))
    plan = torch.tensor([[[PAPER]]])
    total, _ = rollout_returns(
        model, situation_of(env, model, [0]), 5, torch_generator(0, "t"), plan=plan
    )
    assert float(total) == 1.0


def test_equal_candidates_of_one_round_meet_the_same_dice():
    """Two slots with one plan have equal returns, in play against a policy that draws."""
    from simrl.search.lookahead import _round

    env, model = rps_model(rounds=8)
    situation = situation_of(env, model, [0, 1, 0])
    plan = torch.tensor([ROCK, PAPER, ROCK]).view(1, 3, 1, 1).expand(3, 3, 1, 1)
    alive = torch.ones(3, 3, dtype=torch.bool)
    config, rng = LookaheadConfig(depth=4), torch_generator(0, "t")
    returns = _round(model, situation, plan, alive, 6, config, rng)
    assert torch.equal(returns[:, 0], returns[:, 2])
    assert not torch.equal(returns[:, 0], returns[:, 1])
    assert len(returns[0, 0].unique()) > 1


def test_packing_keeps_every_bit():
    env, model = rps_model(enemies=Stubborn(ROCK), config=WITH_MEMORY)
    situation = situation_of(env, model, [0, 1, 1])
    rng = torch_generator(0, "t")
    following = situation
    for _ in range(2):  # the first round shows zeros only
        outlook = model.look(following, rng)
        following, _, _ = model.advance(following, outlook, outlook.action[:, 0])
    packed = model.pack(following)
    assert packed.dtype == torch.uint8 and packed.shape == (3, model.state_size)
    again = model.unpack(packed)
    assert torch.equal(again.game, following.game) and torch.equal(again.seat, following.seat)
    assert again.memory.keys() == following.memory.keys() and len(again.memory) == 3
    for name, value in following.memory.items():
        assert torch.equal(again.memory[name], value) and bool(value.abs().sum() > 0)
    assert torch.equal(model.pack(again), packed)


def test_memory_inside_the_model_is_that_of_the_players():
    """An LSTM that plays both sides has, step for step, the memory it has in the engine."""
    env, model = rps_model(rounds=6, config=WITH_MEMORY)
    net, rng = model.net, torch_generator(0, "t")
    obs = env.reset(3)
    truth = net.initial_state(8)
    situation = Situation(env.snapshot(), torch.tensor([0, 1, 0, 1]), model.initial_memory(4))
    for _ in range(5):
        outlook = model.look(situation, rng)
        rows = {name: obs[name].flatten(0, 1) for name in net.reads}
        dist, value, truth = net.act_step(rows, truth)
        own = torch.arange(4) * 2 + situation.seat
        assert torch.allclose(outlook.prior.logits, dist.logits[own], atol=1e-6)
        assert torch.allclose(outlook.value, value[own].sum(-1), atol=1e-6)
        for key in ("h", "c"):
            assert torch.allclose(outlook.memory[f"0/{key}"][:, 0], truth[key][own], atol=1e-6)
        obs = env.step(outlook.action).obs
        situation = Situation(env.snapshot(), situation.seat, outlook.memory)


def test_the_engine_resets_what_the_policy_remembers():
    env, model = rps_model(rounds=2, enemies=Stubborn(ROCK))
    policy = AgentSearchPolicy(model, PLANNERS["lookahead"](model))
    engine = RolloutEngine(env, Seating.versus(env, policy, Stubborn(ROCK)), seed=0)
    seen = []
    for _ in range(4):
        engine.step()
        seen.append(float(engine._plan.seated["a"].state["mind/1/asked"].max()))
    assert seen == [1.0, 0.0, 1.0, 0.0]


class Watch:
    """Keep the extras of a policy."""

    reads = frozenset()

    def __init__(self) -> None:
        self.searched: list[Tensor] = []

    def on_act(self, record) -> None:
        self.searched.append(record.acts[0].output.extras["searched"].clone())


def test_it_searches_every_third_decision_and_plays_its_plan_between():
    env, model = rps_model(rounds=7, enemies=Stubborn(ROCK))
    config = AgentSearchConfig(
        LookaheadConfig(candidates=8, plan=2, depth=2, rounds=1, confidence=20.0), every=3
    )
    policy = AgentSearchPolicy.looking_ahead(model, config)
    watch = Watch()
    engine = RolloutEngine(
        env, Seating.versus(env, policy, Stubborn(ROCK)), seed=0, observers=[watch]
    )
    for _ in range(9):
        engine.step()
    searched = [bool(x.all()) for x in watch.searched]
    assert searched == [bool(x.any()) for x in watch.searched]
    assert searched == [True, False, False, True, False, False, True, True, False]  # 7 a game


def test_the_same_seed_gives_the_same_game():
    def play(seed):
        env, model = rps_model(rounds=20)
        policy = AgentSearchPolicy.looking_ahead(model)
        engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=seed)
        return torch.stack([engine.step().reward.clone() for _ in range(8)])

    assert torch.equal(play(1), play(1))
    assert not torch.equal(play(1), play(2))


def test_new_dice_are_thrown_for_every_imagined_future():
    env, model = rps_model()
    calls = []

    def reseed(game: Tensor, rng: torch.Generator) -> Tensor:
        calls.append(len(game))
        game = game.clone()
        game[:, :8] = torch.randint(0, 256, (len(game), 8), generator=rng, dtype=torch.uint8)
        return game

    told = AgentModel(model.dynamics, model.spec, model.net, gamma=1.0, reseed=reseed)
    situation = situation_of(env, told, [0, 1])
    config = LookaheadConfig(candidates=3, depth=1, rollouts=2, rounds=2)
    kept = situation.game.clone()
    lookahead(told, situation, config, torch_generator(0, "t"))
    assert calls == [4, 8]  # 2 rows, 2 rollouts and then 4: each its own future
    assert torch.equal(situation.game, kept)


def test_candidates_are_different_and_carry_their_probability():
    env = make_env("identity-heads", 3)
    net = make_net(env)
    obs = env.reset(0)
    rows = {name: obs[name].flatten(0, 1) for name in net.reads}
    prior, _, _ = net.act_step(rows, {})
    actions, logits = draw_candidates(prior, 6, torch_generator(0, "t"), draws=60)
    for row in range(3):
        real = logits[row] > -math.inf
        tuples = [tuple(a) for a in actions[row][real].tolist()]
        assert len(set(tuples)) == len(tuples) >= 2
        for slot in range(6):
            alone = type(prior)(
                prior.actions, prior.logits[row : row + 1], prior.mask[row : row + 1]
            )
            if real[slot]:
                assert alone.log_prob(actions[row, slot][None]).item() == pytest.approx(
                    float(logits[row, slot]), abs=1e-5
                )
            else:
                assert actions[row, slot].tolist() == actions[row, 0].tolist()


def test_a_confidence_of_nothing_keeps_the_prior():
    env, model = rps_model(rounds=1, enemies=Stubborn(ROCK))
    situation = situation_of(env, model, [0])
    result = lookahead(
        model,
        situation,
        LookaheadConfig(candidates=3, depth=1, confidence=0.0),
        torch_generator(0, "t"),
    )
    assert torch.allclose(result.policy, result.logits.softmax(1))


def test_a_target_moves_in_proportion_to_what_is_certain():
    """Prior 3/4 and 1/4, values 0 and 1, errors 1/2: z is -1/2 and 3/2, so 0.6375 and 0.3625."""
    _, model = rps_model()
    logits = torch.tensor([[0.75, 0.25]]).log()
    q, error = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.5]])
    empty = torch.zeros(1, 2)
    outlook = model.look(situation_of(make_env(RPS, 1), model, [0]), torch_generator(0, "t"))
    result = LookaheadResult(
        empty[..., None, None].long(), logits, q, error, empty.long(), empty, empty[:, 0], outlook
    )
    # 3/4 (1 - 0.3 / 2) and 1/4 (1 + 0.3 * 3/2), which sum to 1.
    assert result.target(0.3).tolist()[0] == pytest.approx([0.6375, 0.3625], abs=1e-4)


def test_what_is_wrong_is_named():
    _, model = rps_model(enemies=Stubborn(ROCK))
    with pytest.raises(ValueError, match="uint8 \\[B, "):
        model.unpack(torch.zeros(2, 3, dtype=torch.uint8))
    with pytest.raises(ValueError, match="gamma"):
        AgentModel(model.dynamics, model.spec, model.net, gamma=0.0)
    other = make_env("identity", 1)
    with pytest.raises(ValueError, match="identity"):
        AgentModel(model.dynamics, model.spec, make_net(other), gamma=1.0)
    pendulum = make_env("pendulum", 1)
    with pytest.raises(ValueError, match="discrete"):
        AgentModel(model.dynamics, pendulum.spec, make_net(pendulum), gamma=1.0)
    with pytest.raises(ValueError, match="depth of at least"):
        LookaheadConfig(plan=4, depth=3)
    with pytest.raises(ValueError, match="rollouts must be at least 2"):
        LookaheadConfig(rollouts=1)
    with pytest.raises(ValueError, match="at least 2 slots"):
        AgentEvaluator(model, 1)
    with pytest.raises(ValueError, match="every must be"):
        AgentSearchPolicy.looking_ahead(model, AgentSearchConfig(every=0))
