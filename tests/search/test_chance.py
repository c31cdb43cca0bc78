"""Chance nodes against mctx's stochastic search and against exact expectations of a dice game."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from simrl.search.chance import (
    Afterstate,
    ChanceConfig,
    SampledOutcomes,
    search_chance,
    search_sampled_chance,
)
from simrl.search.config import PuctConfig, WideningConfig
from simrl.search.model import Evaluation, Transition

QUIET = PuctConfig(dirichlet_fraction=0.0, temperature=0.0)
DICE = ((1, 2), (1, 2, 3, 4), (0, 0, 5))
"""Faces of the three dice that may be thrown."""
TARGET = 6


class Dice:
    """Throw one of three dice in each of `rounds`; score the sum if it is at most TARGET, else 0.

    State: sum and rounds left.  Afterstate: the same and the die.
    """

    def afterstate(self, state: Tensor, action: Tensor) -> Afterstate:
        """Name the die; its faces are equally likely."""
        chances = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]])
        logits = chances.log()[action[:, 0]]
        after = torch.cat([state, action.to(torch.uint8)], 1)
        return Afterstate(after, logits, torch.zeros(len(state)))

    def outcome(self, afterstate: Tensor, outcome: Tensor) -> Transition:
        """Add the face."""
        faces = torch.tensor([[*die, 0, 0][:4] for die in DICE])
        state = afterstate[:, :2].clone()
        state[:, 0] += faces[afterstate[:, 2].long(), outcome].to(torch.uint8)
        state[:, 1] -= 1
        total, over = state[:, 0].float(), state[:, 1] == 0
        return Transition(state, torch.where(over & (total <= TARGET), total, 0.0), (~over).float())


def best(total: int, left: int) -> float:
    """Return the expected score under best play."""
    return max(worth(total, left)) if left else float(total if total <= TARGET else 0)


@cache
def worth(total: int, left: int) -> tuple[float, ...]:
    """Return the expected score of each die, by hand over all faces."""
    return tuple(sum(best(total + face, left - 1) for face in die) / len(die) for die in DICE)


class Even:
    """Call all dice alike and every position worth 2."""

    num_slots = 3

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Judge."""
        return Evaluation(torch.zeros(len(state), 3), torch.full((len(state),), 2.0))


ROOTS = torch.tensor([[0, 3], [3, 2], [4, 2], [1, 1]], dtype=torch.uint8)


@pytest.mark.parametrize(
    ("how", "simulations", "near"), [("chances", 20_000, 0.12), ("draws", 2_000, 0.35)]
)
def test_values_of_a_dice_game_are_the_exact_expectations(
    how: str, simulations: int, near: float
) -> None:
    config = ChanceConfig(simulations=simulations, puct=QUIET)
    rng = torch.Generator().manual_seed(0)
    if how == "chances":
        found = search_chance(Dice(), Even(), ROOTS, config, rng)
    else:
        found = search_sampled_chance(SampledOutcomes(Dice()), Even(), ROOTS, config, rng)
    for row, (total, left) in enumerate(ROOTS.tolist()):
        expected = worth(total, left)
        assert expected[int(found.slot[row])] == pytest.approx(max(expected))
        assert found.value[row] == pytest.approx(max(expected), abs=near)
        assert found.q[row].max() == pytest.approx(max(expected), abs=near)
    assert found.visits.sum(1).tolist() == [simulations] * 4
    if how == "chances":  # one throw before the end there is nothing to average but chance
        np.testing.assert_allclose(found.q[3], worth(1, 1), atol=0.06)


def test_visits_of_outcomes_follow_their_chances() -> None:
    # Only the last die of faces 0, 0, 5 from sum 1 with one throw left: 1, 1 and 6 in turn.
    class Last(Even):
        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            logits = torch.tensor([[-torch.inf, -torch.inf, 0.0]]).expand(len(state), 3)
            return Evaluation(logits, torch.zeros(len(state)))

    for simulations in (3, 6, 9):
        found = search_chance(
            Dice(), Last(), ROOTS[3:], ChanceConfig(simulations, puct=QUIET), torch.Generator()
        )
        assert found.q[0, 2] == pytest.approx((1 + 1 + 6) / 3, abs=1e-6)


def test_widening_caps_slots_and_outcomes() -> None:
    class Line:
        """Move along a line by action and noise: no position comes twice."""

        from_root = 0

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            x = state.clone().view(torch.float64)
            self.from_root += int((x == 0).sum())
            x = x + action
            x = x + torch.rand(x.shape, generator=rng, dtype=torch.float64)
            ones = torch.ones(len(x))
            return Transition(x.view(torch.uint8), -x[:, 0].abs().float(), 0.5 * ones)

    class Moves:
        num_slots = 40

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            actions = torch.rand(len(state), 40, 1, generator=rng) * 4 - 2
            return Evaluation(torch.zeros(len(state), 40), torch.zeros(len(state)), actions)

    start = torch.zeros(3, 1, dtype=torch.float64).view(torch.uint8)
    config = ChanceConfig(
        400, puct=QUIET, actions=WideningConfig(1.0, 0.5), outcomes=WideningConfig(1.0, 0.4)
    )
    line = Line()
    found = search_sampled_chance(line, Moves(), start, config, torch.Generator().manual_seed(0))
    assert (found.visits > 0).sum(1).tolist() == [20] * 3  # 400 ** 0.5
    tried = found.visits[found.visits > 0].double()
    assert line.from_root == int((tried**0.4).floor().sum())  # outcomes behind the root's actions
    assert found.action.shape == (3, 1)
    taken = found.actions[torch.arange(3), found.slot]  # type: ignore[index]
    assert torch.equal(taken, found.action)
    # The best move leads to -noise: about -1/2.
    assert (found.action[:, 0] + 0.5).abs().max() < 0.5


def test_the_turn_may_pass_to_an_opponent() -> None:
    # The first player picks a die, the second one too, and the sum goes to the first: discount -1
    # between them, so that the second keeps it small.
    class Duel(Dice):
        def outcome(self, afterstate: Tensor, outcome: Tensor) -> Transition:
            step = super().outcome(afterstate, outcome)
            mine = afterstate[:, 1] % 2 == 0  # two rounds left: the first player's throw
            reward = torch.where(mine, step.reward, -step.reward)
            return Transition(step.state, reward, -step.discount)

    config = ChanceConfig(simulations=6000, puct=replace(QUIET, c_init=2.5))
    found = search_chance(Duel(), Even(), ROOTS[1:2], config, torch.Generator())
    reply = [min(worth(3 + face, 1)) for die in DICE for face in die]
    means = [np.mean(reply[:2]), np.mean(reply[2:6]), np.mean(reply[6:])]
    assert found.slot.item() == int(np.argmax(means))
    assert found.value.item() == pytest.approx(max(means), abs=0.15)


def _tables(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    states, actions, afters, chances = 40, 4, 60, 3
    return {
        "after": rng.integers(afters, size=(states, actions)),
        "chance": rng.normal(size=(afters, chances)),
        "after_value": rng.normal(size=afters),
        "next": rng.integers(states, size=(afters, chances)),
        "reward": rng.normal(size=(afters, chances)) * 0.5,
        "discount": rng.choice([0.9, 0.9, 0.9, 0.0], size=(afters, chances)),
        "logits": rng.normal(size=(states, actions)),
        "value": rng.normal(size=states),
    }


class _TableModel:
    """Follow the tables; the value of afterstates is known, as to a learned model."""

    def __init__(self, tables: dict[str, np.ndarray]) -> None:
        floats = ("chance", "after_value", "reward", "discount", "logits", "value")
        self.t = {
            name: torch.from_numpy(x).float() if name in floats else torch.from_numpy(x)
            for name, x in tables.items()
        }
        self.num_slots = tables["logits"].shape[1]

    def afterstate(self, state: Tensor, action: Tensor) -> Afterstate:
        after = self.t["after"][state[:, 0].long(), action[:, 0]]
        return Afterstate(
            after.to(torch.uint8)[:, None],
            self.t["chance"][after],
            torch.zeros(len(state)),
            self.t["after_value"][after],
        )

    def outcome(self, afterstate: Tensor, outcome: Tensor) -> Transition:
        at = afterstate[:, 0].long(), outcome
        state = self.t["next"][at].to(torch.uint8)[:, None]
        return Transition(state, self.t["reward"][at], self.t["discount"][at])

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        index = state[:, 0].long()
        return Evaluation(self.t["logits"][index], self.t["value"][index])


def _mctx_visits(tables: dict[str, np.ndarray], roots: np.ndarray, simulations: int) -> np.ndarray:
    mctx = pytest.importorskip("mctx")
    jax = pytest.importorskip("jax")
    jnp = jax.numpy
    t = {name: jnp.asarray(x) for name, x in tables.items()}

    def decide(params: None, key: object, action: object, state: object) -> tuple[object, object]:
        after = t["after"][state, action]
        output = mctx.DecisionRecurrentFnOutput(
            chance_logits=t["chance"][after], afterstate_value=t["after_value"][after]
        )
        return output, after

    def happen(params: None, key: object, outcome: object, after: object) -> tuple[object, object]:
        state = t["next"][after, outcome]
        output = mctx.ChanceRecurrentFnOutput(
            action_logits=t["logits"][state],
            value=t["value"][state],
            reward=t["reward"][after, outcome],
            discount=t["discount"][after, outcome],
        )
        return output, state

    root = mctx.RootFnOutput(
        prior_logits=t["logits"][roots], value=t["value"][roots], embedding=jnp.asarray(roots)
    )
    found = mctx.stochastic_muzero_policy(
        None,
        jax.random.PRNGKey(0),
        root,
        decide,
        happen,
        num_simulations=simulations,
        dirichlet_fraction=0.0,
    )
    return np.asarray(found.action_weights) * simulations


@pytest.mark.slow  # mctx compiles for ten seconds and more
def test_visits_agree_with_mctx() -> None:
    tables = _tables(3)
    # An ended position keeps its value in mctx, which multiplies it by the discount 0.
    roots = np.arange(32)
    expected = _mctx_visits(tables, roots, 60)
    model = _TableModel(tables)
    state = torch.from_numpy(roots).to(torch.uint8)[:, None]
    config = ChanceConfig(simulations=60, puct=QUIET)
    found = search_chance(model, model, state, config, torch.Generator())
    same = (np.rint(expected) == found.visits.numpy()).all(-1)
    assert same.mean() == 1.0


def test_the_same_seed_gives_the_same_bits() -> None:
    def draw(seed: int) -> Tensor:
        config = ChanceConfig(simulations=200)
        rng = torch.Generator().manual_seed(seed)
        return search_sampled_chance(SampledOutcomes(Dice()), Even(), ROOTS, config, rng).q

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_a_time_budget_ends_the_search() -> None:
    config = ChanceConfig(simulations=200_000, seconds=0.1, puct=QUIET)
    found = search_chance(Dice(), Even(), ROOTS[:1], config, torch.Generator())
    assert 0 < found.simulations.item() < 200_000


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: ChanceConfig(simulations=0), "at least 1, got 0"),
            (lambda: ChanceConfig(outcomes=WideningConfig(0.0, 0.5)), "outcomes: widening needs"),
        ],
    )
    def test_config(self, make: Callable[[], ChanceConfig], words: str) -> None:
        with pytest.raises(ValueError, match=words):
            make()

    def test_no_legal_action(self) -> None:
        class Stuck(Even):
            def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
                logits = torch.full((len(state), 3), -torch.inf)
                return Evaluation(logits, torch.zeros(len(state)))

        with pytest.raises(ValueError, match="row 0"):
            search_chance(Dice(), Stuck(), ROOTS, ChanceConfig(), torch.Generator())

    def test_values_that_are_not_finite_name_row_and_node(self) -> None:
        class Wild(Even):
            def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
                value = torch.where(state[:, 1] == 1, torch.nan, 0.0)
                return Evaluation(torch.zeros(len(state), 3), value)

        with pytest.raises(ValueError, match="row 0, node 2"):
            search_chance(Dice(), Wild(), ROOTS[1:2], ChanceConfig(), torch.Generator())
