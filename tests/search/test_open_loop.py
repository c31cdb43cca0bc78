"""Open-loop search: the closed loop's tree where there is no chance, else the best sequence."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from simrl.core.plugins import env_plugin, make_env
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search.config import PuctConfig, SearchConfig
from simrl.search.evaluators import NetworkEvaluator
from simrl.search.model import Evaluation, Transition
from simrl.search.open_loop import OpenLoopConfig, _make_tree, search_open_loop
from simrl.search.search import search
from simrl.search.turn_model import TurnModel

QUIET = PuctConfig(dirichlet_fraction=0.0, temperature=0.0)
DICE = ((0, 0, 6), (2, 2, 2), (1, 3, 3))
"""Faces of three dice; a throw that takes the sum beyond TARGET leaves nothing."""
TARGET = 7


def _score(total: int) -> int:
    return total if total <= TARGET else 0


@cache
def closed(total: int, left: int) -> float:
    """Return the expected score when each die may depend on the sum so far."""
    if left == 0:
        return _score(total)
    return max(float(np.mean([closed(total + face, left - 1) for face in die])) for die in DICE)


def sequence(total: int, dice: tuple[int, ...]) -> float:
    """Return the expected score of throwing these dice, whatever they show."""
    throws = product(*(DICE[die] for die in dice))
    return float(np.mean([_score(total + sum(faces)) for faces in throws]))


class Dice:
    """Throw dice: a state is the sum and the throws left."""

    num_slots = 3

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        """Throw."""
        face = torch.randint(3, (len(state),), generator=rng)
        after = state.clone()
        after[:, 0] += torch.tensor(DICE)[action[:, 0], face].to(torch.uint8)
        after[:, 1] -= 1
        over, total = after[:, 1] == 0, after[:, 0].float()
        return Transition(after, torch.where(over & (total <= TARGET), total, 0.0), (~over).float())

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        """Know nothing."""
        return Evaluation(torch.zeros(len(state), 3), torch.full((len(state),), 3.0))


def test_a_dice_game_is_worth_its_best_sequence_and_no_more() -> None:
    start = torch.tensor([[0, 3], [2, 3]], dtype=torch.uint8)
    config = OpenLoopConfig(simulations=6000, puct=QUIET)
    dice = Dice()
    found = search_open_loop(dice, dice, start, config, torch.Generator().manual_seed(0))
    for row, (total, left) in enumerate(start.tolist()):
        plans = {plan: sequence(total, plan) for plan in product(range(3), repeat=left)}
        optimum = max(plans.values())
        assert found.q[row].max() == pytest.approx(optimum, abs=0.25)
        assert found.value[row] == pytest.approx(optimum, abs=0.35)  # exploration included
        first = {plan[0] for plan, worth in plans.items() if worth > optimum - 1e-9}
        assert int(found.slot[row]) in first
    # To see the dice before the next throw would be worth far more.
    assert closed(2, 3) > found.value[1] + 1.0


@pytest.mark.parametrize("game", ["tic-tac-toe", "connect-four"])
def test_without_chance_it_is_the_closed_loop_search(game: str) -> None:
    plugin = env_plugin(game)
    assert plugin.dynamics is not None
    env = make_env(game, 24)
    env.reset(0)
    generator = torch.Generator().manual_seed(4)
    dynamics = plugin.dynamics(plugin.config())
    model = TurnModel(dynamics, env.spec)  # type: ignore[arg-type]
    state = env.snapshot()
    for _ in range(3):  # some positions with stones
        legal = model.view.look(state)[1]
        move = torch.multinomial(legal.float(), 1, generator=generator)
        state = model.step(state, move, generator).state
    torch.manual_seed(0)
    net = ActorCritic(env.spec, ActorCriticConfig(hidden=(32,), policy_gain=1.0))
    evaluator = NetworkEvaluator(net, dynamics, env.spec)  # type: ignore[arg-type]
    rng = torch.Generator().manual_seed(0)
    known = search(model, evaluator, state, SearchConfig(100, rule="puct", puct=QUIET), rng)
    opened = search_open_loop(model, evaluator, state, OpenLoopConfig(100, puct=QUIET), rng)
    same = (known.visits == opened.visits).all(1)
    assert same.float().mean() >= 0.95  # a tie may break otherwise in double precision
    np.testing.assert_allclose(opened.value[same], known.value[same], atol=1e-5)
    np.testing.assert_allclose(opened.q[same], known.q[same], atol=1e-5)
    assert torch.equal(opened.slot[same], known.slot[same])


def test_legal_actions_are_those_of_the_position_at_hand() -> None:
    class Doors:
        """Chance shows one of two doors; only that one may be opened, and pays 1 at once."""

        num_slots = 3

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            second = state[:, 0] > 0
            assert bool((action[second, 0] == state[second, 0].long()).all()), "a closed door"
            door = torch.randint(1, 3, (len(state),), generator=rng).to(torch.uint8)
            after = torch.where(second, 3, door)[:, None].to(torch.uint8)
            return Transition(after, second.float(), (~second).float())

        def legal(self, state: Tensor) -> Tensor:
            return torch.arange(3) == state.long()

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            logits = torch.zeros(len(state), 3).masked_fill(~self.legal(state), -torch.inf)
            return Evaluation(logits, torch.zeros(len(state)))

    doors, start = Doors(), torch.zeros(2, 1, dtype=torch.uint8)
    config = OpenLoopConfig(200, puct=QUIET)
    rng = torch.Generator().manual_seed(0)
    found = search_open_loop(doors, doors, start, config, rng, legal=doors.legal)
    assert found.visits.tolist() == [[200, 0, 0]] * 2
    assert found.q[:, 0].min() > 0.97
    assert found.nodes.tolist() == [2, 2]  # the doors end the game: no nodes behind them


def test_depth_limits_judge_the_last_position_anew() -> None:
    class Walk(Dice):
        """Slot k moves by k - 1; the evaluator says where one is."""

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            after = (state + action.to(torch.uint8) - 1).to(torch.uint8)
            return Transition(after, torch.zeros(len(state)), torch.ones(len(state)))

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            return Evaluation(torch.zeros(len(state), 3), state[:, 0].float())

    start = torch.full((1, 1), 100, dtype=torch.uint8)
    config = OpenLoopConfig(300, max_depth=1, puct=QUIET)
    found = search_open_loop(Walk(), Walk(), start, config, torch.Generator())
    assert found.q.tolist() == [[99.0, 100.0, 101.0]]
    assert found.nodes.item() == 4
    deeper = search_open_loop(
        Walk(), Walk(), start, OpenLoopConfig(300, max_depth=4, puct=QUIET), torch.Generator()
    )
    assert deeper.slot.item() == 2
    assert 102.5 < deeper.q.max() <= 104.0


def test_float_actions_come_from_the_node_where_they_were_drawn() -> None:
    class Line:
        num_slots = 5

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            x = state.clone().view(torch.float32) + action
            return Transition(x.view(torch.uint8), -x[:, 0].abs(), torch.full((len(x),), 0.5))

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            actions = torch.rand(len(state), 5, 1, generator=rng) * 4 - 2
            return Evaluation(torch.zeros(len(state), 5), torch.zeros(len(state)), actions)

    start = torch.ones(4, 1).view(torch.uint8)
    config = OpenLoopConfig(300, puct=QUIET)
    found = search_open_loop(Line(), Line(), start, config, torch.Generator().manual_seed(0))
    assert found.actions is not None
    nearest = (found.actions[..., 0] + 1.0).abs().argmin(1)
    assert (found.visits.argmax(1) == nearest).float().mean() >= 0.75
    rows = torch.arange(4)
    assert torch.equal(found.action, found.actions[rows, found.slot])


def test_trees_keep_no_positions() -> None:
    def memory(size: int) -> int:
        seen: list[int] = []

        class Big(Dice):
            def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
                seen.append(state.untyped_storage().nbytes())
                part = super().step(state[:, :2], action, rng)
                after = torch.cat([part.state, state[:, 2:]], 1)
                return Transition(after, part.reward, part.discount)

        start = torch.zeros(2, size, dtype=torch.uint8)
        start[:, 1] = 4
        big = Big()
        rng = torch.Generator().manual_seed(0)
        search_open_loop(big, big, start, OpenLoopConfig(100, puct=QUIET), rng)
        return max(seen)

    # What the model is handed is a copy of two rows, whatever the tree holds.
    assert memory(100_000) == 200_000
    tree = _make_tree(2, 3, OpenLoopConfig(100))
    assert sum(part.nbytes for part in tree) < 50_000


def test_the_same_seed_gives_the_same_bits() -> None:
    dice, start = Dice(), torch.tensor([[0, 2]], dtype=torch.uint8)

    def q(seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        return search_open_loop(dice, dice, start, OpenLoopConfig(300), rng).q

    assert torch.equal(q(1), q(1))
    assert not torch.equal(q(1), q(2))


class TestErrors:
    def test_config(self) -> None:
        with pytest.raises(ValueError, match="simulations must be at least 1, got 0"):
            OpenLoopConfig(simulations=0)

    def test_values_that_are_not_finite(self) -> None:
        class Wild(Dice):
            def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
                value = torch.where(state[:, 1] == 1, torch.nan, 0.0)
                return Evaluation(torch.zeros(len(state), 3), value)

        start = torch.tensor([[0, 2]], dtype=torch.uint8)
        with pytest.raises(ValueError, match="row 0, node 1"):
            search_open_loop(Wild(), Wild(), start, OpenLoopConfig(), torch.Generator())

    def test_no_legal_action(self) -> None:
        class Stuck(Dice):
            def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
                return Evaluation(torch.full((len(state), 3), -torch.inf), torch.zeros(len(state)))

        start = torch.tensor([[0, 2]], dtype=torch.uint8)
        with pytest.raises(ValueError, match="row 0"):
            search_open_loop(Stuck(), Stuck(), start, OpenLoopConfig(), torch.Generator())
