"""Search of simultaneous moves against equilibria that linear programs know."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from torch import Tensor

from simrl.core import DiscreteActions, EnvSpec, Head, Layout, Obs
from simrl.core.plugins import env_plugin, make_env
from simrl.core.spec import Column, vector
from simrl.nn.actor_critic import ActorCritic
from simrl.rollout import RandomPolicy, evaluate
from simrl.search.simultaneous import (
    JointEvaluation,
    NetworkJointEvaluator,
    RandomJointEvaluator,
    RegretConfig,
    SimultaneousConfig,
    SimultaneousResult,
    SimultaneousSearchPolicy,
    UniformJointEvaluator,
    search_simultaneous,
)
from simrl.search.simultaneous.config import SimultaneousRule

# Rock-paper-scissors with unequal stakes: against (1/16, 10/16, 5/16) every choice pays 0,
# such as rock: -25 * 10/16 + 50 * 5/16 = 0.
BIASED = np.array([[0.0, -25.0, 50.0], [25.0, 0.0, -5.0], [-50.0, 5.0, 0.0]])
EQUILIBRIUM = np.array([1, 10, 5]) / 16


def spec_of(name: str, slots: int, state_size: int, agents: int = 2) -> EnvSpec:
    """Describe a game of one head with `slots` values."""
    return EnvSpec(
        id=name,
        num_agents=agents,
        observations={"policy": Layout((vector("state", Column("over", 0.0, 1.0)),))},
        actions=DiscreteActions((Head("move", slots),)),
        state_size=state_size,
    )


class MatrixGame:
    """Play one joint move and be paid `payoff` `[A, K, ..., K]`; byte 0 tells that it is over."""

    def __init__(self, payoff: np.ndarray) -> None:
        self.payoff = torch.tensor(payoff, dtype=torch.float32)
        self.agents, self.slots = self.payoff.shape[:2]
        self.spec = spec_of("matrix", self.slots, 1, self.agents)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pay, and end."""
        over = state[:, 0] != 0
        reward = torch.stack([self.payoff[(slice(None), *row[:, 0])] for row in action])
        return torch.ones_like(state), reward * ~over[:, None], torch.zeros(len(state))

    def observe(self, state: Tensor) -> Obs:
        """Show whether it is over; all moves are legal."""
        shape = (len(state), self.agents)
        policy = state[:, None, :1].float().expand(*shape, 1)
        return {"policy": policy, "action_mask": torch.ones(*shape, self.slots, dtype=torch.bool)}


class Goofspiel:
    """Bid hands of 1..n for `prizes` in that order; the higher bid wins the prize, ties nobody.

    State: n bytes a hand (1: still held) for both agents, then the number of rounds played.
    """

    def __init__(self, prizes: tuple[int, ...]) -> None:
        self.prizes = prizes
        self.cards = cards = len(prizes)
        self.spec = spec_of("goofspiel", cards, 2 * cards + 1)

    def start(self, rows: int) -> Tensor:
        """Return `rows` fresh games."""
        state = torch.ones(rows, 2 * self.cards + 1, dtype=torch.uint8)
        state[:, -1] = 0
        return state

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pay the round's prize to the higher bid, its negative to the other."""
        after, bid = state.clone(), action[:, :, 0]
        over = state[:, -1] == self.cards
        hands = after[:, :-1].view(len(state), 2, self.cards)
        held = hands.gather(2, bid[..., None])
        assert bool((held[~over] == 1).all()), "an illegal bid came out of the search"
        hands.scatter_(2, bid[..., None], 0)
        prize = torch.tensor([*self.prizes, 0]).float()[state[:, -1].long()]
        gain = prize * torch.sign(bid[:, 0] - bid[:, 1]).float()
        after[:, -1] += 1
        after[over] = state[over]
        reward = torch.stack([gain, -gain], -1) * ~over[:, None]
        return after, reward, (after[:, -1] < self.cards).float()

    def observe(self, state: Tensor) -> Obs:
        """Show nothing much; the cards in hand are legal."""
        hands = state[:, :-1].view(len(state), 2, self.cards)
        return {"policy": torch.zeros(len(state), 2, 1), "action_mask": hands == 1}


def solve_matrix(payoff: np.ndarray) -> tuple[float, np.ndarray]:
    """Return value and an optimal mixture of the row player, who maximises payoff `[M, N]`."""
    rows, columns = payoff.shape
    result = linprog(
        c=np.r_[np.zeros(rows), -1.0],
        A_ub=np.c_[-payoff.T, np.ones(columns)],
        b_ub=np.zeros(columns),
        A_eq=np.r_[np.ones(rows), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * rows + [(None, None)],
    )
    return float(result.x[-1]), result.x[:-1]


def goofspiel_matrix(
    own: frozenset[int], other: frozenset[int], prizes: tuple[int, ...]
) -> np.ndarray:
    """Return the first agent's payoff of each pair of bids, best play afterwards included."""
    return np.array(
        [
            [
                prizes[0] * np.sign(a - b) + goofspiel_value(own - {a}, other - {b}, prizes[1:])
                for b in sorted(other)
            ]
            for a in sorted(own)
        ]
    )


def goofspiel_value(own: frozenset[int], other: frozenset[int], prizes: tuple[int, ...]) -> float:
    """Return the value to the first agent by backward induction over linear programs."""
    return solve_matrix(goofspiel_matrix(own, other, prizes))[0] if own else 0.0


def _start(rows: int, size: int = 1) -> Tensor:
    return torch.zeros(rows, size, dtype=torch.uint8)


def _search(
    game: MatrixGame | Goofspiel, state: Tensor, seed: int = 0, **options: object
) -> SimultaneousResult:
    config = SimultaneousConfig(**options)  # type: ignore[arg-type]
    evaluator = UniformJointEvaluator(game, game.spec)
    rng = torch.Generator().manual_seed(seed)
    return search_simultaneous(game, game.spec, evaluator, state, config, rng)


def _gap(strategy: Tensor) -> np.ndarray:
    return (strategy - torch.from_numpy(EQUILIBRIUM).float()).abs().amax((-1, -2)).numpy()


def _exploitability(payoff: np.ndarray, strategy: Tensor) -> np.ndarray:
    """Return how much more than the value both could get together, for each row."""
    x, y = strategy.double().numpy().transpose(1, 0, 2)
    return (payoff @ y.T).max(0) - (x @ payoff).min(1)


def test_the_linear_program_knows_the_biased_equilibrium() -> None:
    value, mixture = solve_matrix(BIASED)
    assert value == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(mixture, EQUILIBRIUM, atol=1e-9)


@pytest.mark.parametrize(
    ("rule", "regret"),
    [("regret", RegretConfig()), ("regret", RegretConfig(plus=False)), ("smooth", RegretConfig())],
)
def test_biased_rock_paper_scissors_is_solved(rule: SimultaneousRule, regret: RegretConfig) -> None:
    game = MatrixGame(np.stack([BIASED, -BIASED]))
    found = _search(game, _start(6), simulations=400_000, rule=rule, regret=regret)
    assert _gap(found.strategy).max() < 0.02
    assert found.value.abs().max() < 1.0  # of stakes up to 50
    assert found.q.abs().max() < 2.5  # every choice is worth about 0 in the equilibrium
    assert found.nodes.tolist() == [10] * 6  # the root and nine joint choices, each once


def test_decoupled_uct_stays_away_from_the_equilibrium() -> None:
    game = MatrixGame(np.stack([BIASED, -BIASED]))
    for simulations in (20_000, 200_000):
        found = _search(game, _start(6), simulations=simulations, rule="uct")
        assert _gap(found.strategy).min() > 0.1


@pytest.mark.parametrize("rule", ["regret", "smooth"])
def test_random_matrix_games_are_hard_to_exploit(rule: SimultaneousRule) -> None:
    rng = np.random.default_rng(77)
    for slots in (2, 4, 7):
        payoff = rng.uniform(-1, 1, (slots, slots))
        game = MatrixGame(np.stack([payoff, -payoff]))
        found = _search(game, _start(3), simulations=100_000, rule=rule)
        assert _exploitability(payoff, found.strategy).max() < 0.05
        assert found.value[:, 0].numpy() == pytest.approx(solve_matrix(payoff)[0], abs=0.03)


@pytest.mark.parametrize("rule", ["regret", "smooth"])
def test_goofspiel_has_the_value_of_backward_induction(rule: SimultaneousRule) -> None:
    game = Goofspiel((2, 4, 3, 1))
    fresh, uneven = game.start(2)
    uneven = uneven.clone()
    uneven[[2, 4, 8]] = torch.tensor([0, 0, 1], dtype=torch.uint8)  # hands 1 2 4 and 2 3 4
    found = _search(game, torch.stack([fresh, uneven]), simulations=60_000, rule=rule)
    every = frozenset((1, 2, 3, 4))
    whole = goofspiel_matrix(every, every, (2, 4, 3, 1))
    part = goofspiel_matrix(frozenset((1, 2, 4)), frozenset((2, 3, 4)), (4, 3, 1))
    held = found.strategy[1:, 0][:, [0, 1, 3]], found.strategy[1:, 1][:, [1, 2, 3]]
    assert found.strategy[1, 0, 2] == 0.0
    assert found.strategy[1, 1, 0] == 0.0
    values = [solve_matrix(whole)[0], solve_matrix(part)[0]]
    assert values[1] < -1.0  # the smaller hand loses: not a game that is even for all
    np.testing.assert_allclose(found.value[:, 0].numpy(), values, atol=0.05)
    np.testing.assert_allclose(found.value.sum(-1).numpy(), 0.0, atol=1e-5)
    assert _exploitability(whole, found.strategy[:1])[0] < 0.3
    assert _exploitability(part, torch.stack(held, 1))[0] < 0.3


@pytest.mark.parametrize("rule", ["regret", "smooth", "uct"])
def test_three_agents_find_what_dominates(rule: SimultaneousRule) -> None:
    # Agent i earns [5, 2, 0][own slot] + (i + 1) for each other agent who plays slot 0: slot 0 is
    # best whatever the others do, and all playing it pays 5 + 2 (i + 1): 7, 9 and 11.
    own = np.array([5.0, 2.0, 0.0])
    payoff = np.zeros((3, 3, 3, 3))
    for joint in np.ndindex(3, 3, 3):
        for agent in range(3):
            others = sum(joint[j] == 0 for j in range(3) if j != agent)
            payoff[(agent, *joint)] = own[joint[agent]] + (agent + 1) * others
    game = MatrixGame(payoff)
    found = _search(game, _start(2), simulations=20_000, rule=rule)
    assert found.strategy[:, :, 0].min() > 0.9
    np.testing.assert_allclose(found.value[0].numpy(), [7, 9, 11], atol=0.7)
    # Slot 1 instead of 0 costs 3, and slot 2 costs 5, whoever plays it.
    cost = found.q[..., :1] - found.q
    np.testing.assert_allclose(cost.numpy(), np.broadcast_to([0, 3, 5], (2, 3, 3)), atol=0.7)


def test_discounts_and_depth_limits_count() -> None:
    game = Goofspiel((1, 2))
    state = game.start(1)
    # Bids 2 against 1 win prize 1 and lose prize 2: 1 - 2 gamma; equal bids pay 0 throughout.  So
    # agent 0 gains 1 - 2 gamma by bidding 2 instead of 1, whatever the other bids.
    for gamma in (1.0, 0.25):
        found = _search(game, state, simulations=4000, rule="regret", gamma=gamma)
        gain = found.q[0, 0, 1] - found.q[0, 0, 0]
        assert gain == pytest.approx(1 - 2 * gamma, abs=0.05)
        assert found.strategy[0, 0, int(gamma < 0.5)] > 0.9
    shallow = _search(game, state, simulations=4000, rule="uct", max_depth=1)
    assert shallow.q[0, 0, 1] > shallow.q[0, 0, 0]  # it sees only the first prize
    assert shallow.nodes.item() == 5


def test_the_same_seed_gives_the_same_bits() -> None:
    game = Goofspiel((3, 1, 2))
    first, second, other = (
        _search(game, game.start(3), seed, simulations=500) for seed in (1, 1, 2)
    )
    assert torch.equal(first.strategy, second.strategy)
    assert torch.equal(first.value, second.value)
    assert not torch.equal(first.strategy, other.strategy)


def test_random_play_tells_good_hands() -> None:
    game = Goofspiel((1, 3, 2))
    better = game.start(1)
    better[0, [2, 5 - 2]] = 0  # hands 1 2 and 2 3: the second agent holds more
    better[0, -1] = 1
    evaluator = RandomJointEvaluator(game, game.spec)
    judged = evaluator(better.expand(4000, -1).clone(), torch.Generator().manual_seed(0))
    # Rounds: bids 1 or 2 against 2 or 3, uniform.  P(lower) = 3/4 with 1 tie in 4 each round, and
    # both rounds together pay -(3 + 2) * 3/4 = -3.75 on average.
    assert judged.value[:, 0].mean() == pytest.approx(-3.75, abs=0.1)
    assert torch.equal(judged.logits[0] == -torch.inf, ~game.observe(better)["action_mask"][0])


def test_a_time_budget_ends_the_search() -> None:
    game = Goofspiel((2, 4, 3, 1))
    found = _search(game, game.start(2), simulations=100_000, seconds=0.2)
    assert 0 < int(found.simulations.min()) < 100_000


class TestErrors:
    def test_config(self) -> None:
        for options, words in (
            ({"simulations": 0}, "at least 1, got 0"),
            ({"rule": "nash"}, "rules are regret, smooth, uct"),
            ({"gamma": 0.0}, "gamma"),
        ):
            with pytest.raises(ValueError, match=words):
                SimultaneousConfig(**options)  # type: ignore[arg-type]

    def test_states_that_do_not_fit(self) -> None:
        game = Goofspiel((1, 2))
        with pytest.raises(ValueError, match=r"goofspiel: expected states \[B >= 1, 5\]"):
            _search(game, _start(2, 4))

    def test_no_legal_action_names_row_and_agent(self) -> None:
        game = Goofspiel((1, 2))
        state = game.start(2)
        state[1, 2:4] = 0
        with pytest.raises(ValueError, match="row 1, node 0: agent 1 has no legal action"):
            _search(game, state)

    def test_an_evaluator_that_is_not_finite(self) -> None:
        game = Goofspiel((1, 2))

        def judge(state: Tensor, rng: torch.Generator) -> JointEvaluation:
            value = torch.zeros(len(state), 2)
            value[state[:, -1] == 1] = torch.nan
            return JointEvaluation(torch.zeros(len(state), 2, 2), value)

        config = SimultaneousConfig(simulations=5)
        rng = torch.Generator().manual_seed(0)
        with pytest.raises(ValueError, match="row 0, node 1: the evaluator's output is not finite"):
            search_simultaneous(game, game.spec, judge, game.start(1), config, rng)

    def test_more_than_one_head(self) -> None:
        spec = make_env("identity-heads", 1).spec
        with pytest.raises(ValueError, match="one discrete head"):
            UniformJointEvaluator(Goofspiel((1, 2)), spec)

    def test_too_many_joint_actions(self) -> None:
        spec = spec_of("crowd", 256, 1, agents=8)
        with pytest.raises(ValueError, match="too many"):
            search_simultaneous(
                Goofspiel((1, 2)),
                spec,
                lambda state, rng: None,  # type: ignore[arg-type, return-value]
                _start(1),
                SimultaneousConfig(),
                torch.Generator(),
            )


def test_the_policy_plays_in_the_engine() -> None:
    plugin = env_plugin("rock-paper-scissors")
    env = make_env("rock-paper-scissors", 8)
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    evaluator = UniformJointEvaluator(dynamics, env.spec)
    policy = SimultaneousSearchPolicy(
        dynamics, env.spec, evaluator, SimultaneousConfig(simulations=5000)
    )
    result = evaluate(env, policy, {"random": RandomPolicy(env.spec)}, games=16, seed=3)
    assert result.score("random").games == 16
    env.reset(0)
    rows = {"state": env.snapshot(), "seat": torch.arange(8) % 2}
    output = policy.act(rows, {}, torch.Generator().manual_seed(0))
    assert output.action.shape == (8, 1)
    np.testing.assert_allclose(output.extras["search_policy"].numpy(), 1 / 3, atol=0.08)
    np.testing.assert_allclose(output.extras["log_prob"].exp().numpy(), 1 / 3, atol=0.08)


def test_a_network_judges_every_agent() -> None:
    game = Goofspiel((1, 2, 3))
    net = ActorCritic(game.spec)
    state = game.start(2)
    state[0, 0] = 0
    judged = NetworkJointEvaluator(net, game, game.spec)(state, torch.Generator())
    obs = game.observe(state)
    for row in range(2):
        for agent in range(2):
            one = {name: group[row, agent][None] for name, group in obs.items()}
            dist, value, _ = net.act_step(one, {})
            assert judged.value[row, agent] == pytest.approx(value.sum().item(), abs=1e-6)
            probs = judged.logits[row, agent].softmax(-1)
            np.testing.assert_allclose(
                probs.numpy(), dist.selector_probs()[0].detach().numpy(), atol=1e-6
            )
