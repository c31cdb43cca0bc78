"""Check the search itself: budgets, equal results on every path, proofs, depth, errors."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search import (
    Evaluation,
    GumbelConfig,
    NetworkEvaluator,
    PuctConfig,
    SearchConfig,
    SearchResult,
    Transition,
    TurnModel,
    UctConfig,
    UniformEvaluator,
    WideningConfig,
    flat_spec,
    search,
)
from simrl.search.halving import visits_to_look_for
from simrl.search.kernels import batch, summary
from simrl.search.kernels.turn_rounds import collect_turns
from simrl.search.kernels.turn_whole import search_turns

SLOTS, DEPTH = 3, 4
RULES = ["gumbel", "puct", "uct"]
QUIET = PuctConfig(dirichlet_fraction=0.0, temperature=0.0)


class Numbered:
    """A game whose positions are the nodes of a full tree, numbered level by level.

    The players alternate; after `DEPTH` actions who acted last gets a reward of -1, 0 or 1.
    """

    num_slots = SLOTS

    def __init__(self, seed: int = 0) -> None:
        rng = torch_generator(seed, "tree")
        count = sum(SLOTS**level for level in range(DEPTH + 1))
        self.first_leaf = count - SLOTS**DEPTH
        self.reward = torch.randint(-1, 2, (count,), generator=rng).float()
        self.logits = torch.randn(count, SLOTS, generator=rng)
        self.value = 0.5 * torch.randn(count, generator=rng)
        self.calls: list[int] = []

    def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
        after = SLOTS * state.view(torch.int64) + 1 + action
        node = after[:, 0]
        over = node >= self.first_leaf
        reward = torch.where(over, self.reward[node], 0.0)
        return Transition(after.view(torch.uint8), reward, torch.where(over, 0.0, -1.0))

    def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
        node = state.view(torch.int64)[:, 0]
        self.calls.append(len(node))
        return Evaluation(self.logits[node], self.value[node])

    def minimax(self, node: int = 0) -> float:
        """Return the exact value of a position to whoever moves there."""
        children = range(SLOTS * node + 1, SLOTS * node + 1 + SLOTS)
        if children[0] >= self.first_leaf:
            return max(float(self.reward[child]) for child in children)
        return max(-self.minimax(child) for child in children)


def roots(count: int) -> Tensor:
    """Return starts of the numbered game: the root, then the positions after it."""
    return torch.arange(count, dtype=torch.int64)[:, None].view(torch.uint8)


def run(game: Any, config: SearchConfig, rows: int = 2, seed: int = 0) -> SearchResult:
    return search(game, game, roots(rows), config, torch_generator(seed, "search"))


def connect_four(hidden: int = 32) -> tuple[TurnModel, NetworkEvaluator, Tensor]:
    """Return model, evaluator and eight positions after 0 to 7 random plies."""
    env, plugin = make_env("connect-four", 8), env_plugin("connect-four")
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = ActorCriticConfig(hidden=(hidden,), policy_gain=2.0)
        net = ActorCritic(flat_spec(env.spec), config)
    model, evaluator = TurnModel(dynamics, env.spec), NetworkEvaluator(net, dynamics, env.spec)
    state, rng = env.reset(0)["state"].clone(), torch_generator(2, "plies")
    for row in range(8):
        for _ in range(row):
            column = torch.randint(7, (1, 1), generator=rng)
            state[row : row + 1] = model.step(state[row : row + 1], column, rng).state
    return model, evaluator, state


class Hidden:
    """Hide everything of a model but its step."""

    def __init__(self, model: TurnModel) -> None:
        self.step = model.step


def expect_same(one: SearchResult, two: SearchResult, tolerance: float = 0.0) -> None:
    assert torch.equal(one.visits, two.visits)
    assert torch.equal(one.slot, two.slot)
    for name in ("policy", "q", "value", "logits"):
        torch.testing.assert_close(
            getattr(one, name), getattr(two, name), atol=tolerance, rtol=tolerance
        )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("extra", [{}, {"max_depth": 2}])
def test_torch_equals_kernels(rule: str, extra: dict[str, Any]) -> None:
    config = SearchConfig(simulations=80, rule=rule, **extra)  # type: ignore[arg-type]
    game = Numbered()
    both = [run(game, replace(config, backend=name), 5) for name in ("kernels", "torch")]
    expect_same(*both, tolerance=1e-5)
    assert torch.equal(both[0].tree.count, both[1].tree.count)


@pytest.mark.parametrize("rule", RULES)
def test_compiled_game_equals_model_calls(rule: str) -> None:
    model, evaluator, state = connect_four()
    config = SearchConfig(simulations=60, rule=rule)  # type: ignore[arg-type]

    def on(used: Any, judge: Any, **options: Any) -> SearchResult:
        rng = torch_generator(0, "search")
        return search(used, judge, state, replace(config, **options), rng)

    whole = on(model, evaluator)
    expect_same(whole, on(Hidden(model), evaluator))
    judge = Numbered()  # any other class: rounds of one network call, rules compiled
    judge.num_slots, judge.__class__ = 7, type("Judge", (), {"__call__": evaluator.__call__})
    judge.__dict__.update(view=evaluator.view, sees_policy_alone=True, judge=evaluator.judge)
    expect_same(whole, on(model, judge))


@pytest.mark.parametrize("rule", RULES)
def test_same_seed_same_bits_and_rows_stand_alone(rule: str) -> None:
    model, evaluator, state = connect_four()
    config = SearchConfig(simulations=300, rule=rule)  # type: ignore[arg-type]
    one, two = (
        search(model, evaluator, state, config, torch_generator(4, "search")) for _ in range(2)
    )
    expect_same(one, two)
    quiet = replace(
        config,
        puct=QUIET,
        gumbel=GumbelConfig(scale=0.0),
        uct=UctConfig(shuffle=False),
    )
    together = search(model, evaluator, state, quiet, torch_generator(0, "search"))
    alone = search(model, evaluator, state[5:6], quiet, torch_generator(0, "search"))
    assert torch.equal(alone.visits[0], together.visits[5])
    assert torch.equal(alone.value[0], together.value[5])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("leaves", [1, 4])
def test_visits_add_up(rule: str, leaves: int) -> None:
    game = Numbered()
    config = SearchConfig(simulations=70, rule=rule, parallel_leaves=leaves)  # type: ignore[arg-type]
    result = run(game, config)
    assert result.visits.sum(-1).tolist() == [70, 70]
    for row in range(2):
        tree, count = result.tree, int(result.tree.count[row])
        is_open = tree.status[row, :count] == 0
        below = tree.visits[row, :count].sum(-1)
        assert torch.equal(tree.node_visits[row, :count][is_open], 1 + below[is_open].int())
        assert not tree.edges[row, :count, 6].any()  # nothing waits


@pytest.mark.parametrize("compiled", [True, False])
def test_parallel_leaves_are_judged_together(compiled: bool) -> None:
    model, evaluator, state = connect_four()
    calls: list[int] = []

    class Counting:
        num_slots = 7

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            calls.append(len(state))
            return evaluator(state, rng)

    used: Any = model if compiled else Hidden(model)
    rounds = {}
    for leaves in (1, 8):
        calls.clear()
        config = SearchConfig(simulations=64, rule="puct", parallel_leaves=leaves)
        result = search(used, Counting(), state[:2], config, torch_generator(0, "search"))
        assert result.visits.sum(-1).tolist() == [64, 64]
        assert max(calls) <= 2 * leaves
        rounds[leaves] = len(calls)
    assert rounds[1] == 65
    assert rounds[8] < 22  # leaves that would meet wait for the next round


@pytest.mark.parametrize("leaves", [1, 4])
@pytest.mark.parametrize("seed", range(4))
def test_solver_finds_the_exact_value(leaves: int, seed: int) -> None:
    game = Numbered(seed)
    config = SearchConfig(simulations=2000, rule="uct", solve=True, parallel_leaves=leaves)
    result = run(game, config, rows=4)
    for row in range(4):
        assert int(result.tree.status[row, 0]) == 3
        assert float(result.value[row]) == game.minimax(row)
        child = SLOTS * row + 1 + int(result.slot[row])
        assert -game.minimax(child) == game.minimax(row)
        chosen = torch.nn.functional.one_hot(result.slot[row], SLOTS)
        assert torch.equal(result.policy[row], chosen.float())


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(6))
def test_what_is_called_proven_is_exact(rule: str, seed: int) -> None:
    game = Numbered(seed)
    tree = run(game, SearchConfig(simulations=150, rule=rule, solve=True)).tree  # type: ignore[arg-type]
    proven = 0
    for node in range(int(tree.count[0])):
        if int(tree.status[0, node]) == 3:
            position = int(tree.positions[0, node].view(torch.int64))
            assert float(tree.value[0, node]) == game.minimax(position)
            proven += 1
    assert proven > 0 or rule == "gumbel"  # which may leave a tree half open


@pytest.mark.parametrize("rule", RULES)
def test_solver_takes_a_win_and_leaves_a_loss(rule: str) -> None:
    model, judge, state = connect_four()
    evaluator = UniformEvaluator(judge.view.dynamics, model.spec)
    rng = torch_generator(0, "search")
    position = state[:1]
    for column in (3, 0, 3, 0, 3):  # the first player threatens column 3; the second must block
        position = model.step(position, torch.tensor([[column]]), rng).state
    config = SearchConfig(simulations=600, rule=rule, solve=True)  # type: ignore[arg-type]
    block = search(model, evaluator, position, config, rng)
    assert int(block.slot) == 3
    if rule != "gumbel":  # which leaves slots early
        assert block.policy[0].tolist() == [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]  # others lose
    missed = model.step(position, torch.tensor([[6]]), rng).state
    win = search(model, evaluator, missed, config, rng)
    assert int(win.slot) == 3
    assert float(win.value) == 1.0
    assert int(win.visits.sum()) < 100


def test_depth_limit() -> None:
    game = Numbered()
    result = run(game, SearchConfig(simulations=100, rule="uct", max_depth=2))
    tree = result.tree
    assert tree.count.tolist() == [1 + SLOTS + SLOTS**2] * 2
    below = tree.child[0, tree.child[0, 0].long()].flatten().long()
    assert (tree.child[0, below] == -1).all()
    assert tree.node_visits[0, below].sum() == 100 - SLOTS  # judged again and again
    expected = game.value[tree.positions[0, below].view(torch.int64)[:, 0]]
    torch.testing.assert_close(tree.value[0, below], expected)


def test_time_budget_ends_a_search() -> None:
    config = SearchConfig(simulations=500_000, seconds=0.2, rule="puct")
    result = run(Numbered(), config)
    assert 0 < result.simulations < 500_000
    assert result.visits.sum(-1).tolist() == [result.simulations] * 2


def test_widening_opens_slots_with_visits() -> None:
    class Many(Numbered):
        num_slots = 50

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            return Transition(state.clone(), torch.zeros(len(state)), torch.ones(len(state)))

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            return Evaluation(torch.zeros(len(state), 50), torch.zeros(len(state)))

    for rule in RULES:
        config = SearchConfig(simulations=99, rule=rule, widening=WideningConfig(2.0, 0.5))  # type: ignore[arg-type]
        tried = run(Many(), config).visits > 0
        assert tried[:, :15].any(-1).all()
        assert not tried[:, 20:].any()  # 2 * sqrt(100) = 20


def test_other_sizes_need_no_other_machine_code() -> None:
    for rows, simulations in ((1, 3), (4, 20)):
        run(Numbered(), SearchConfig(simulations=simulations), rows)
        model, evaluator, state = connect_four()
        judge = UniformEvaluator(evaluator.view.dynamics, model.spec)
        for used in (evaluator, judge):
            rng = torch_generator(0, "search")
            search(model, used, state[:rows], SearchConfig(simulations=simulations), rng)
    kernels = (batch.plant, batch.collect, batch.keep_positions, batch.finish, summary.summarise)
    assert [len(kernel.signatures) for kernel in kernels] == [1] * len(kernels)
    assert [len(kernel.signatures) for kernel in (search_turns, collect_turns)] == [1, 1]


def test_halving_schedule_by_hand() -> None:
    # 16 simulations, 4 slots, log2 4 = 2 phases: 16 / (2 * 4) = 2 visits to each of 4 slots, then
    # 16 / (2 * 2) = 4 visits to each of 2.
    table = visits_to_look_for(4, 16)
    assert table[4].tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert table[1].tolist() == list(range(16))


def test_gumbel_tries_the_slots_considered_alone() -> None:
    game = Numbered()
    result = run(game, SearchConfig(simulations=32, gumbel=GumbelConfig(considered=2)))
    assert (result.visits > 0).sum(-1).tolist() == [2, 2]
    assert result.visits.tolist() == [sorted_to_two(row) for row in result.visits.tolist()]


def sorted_to_two(visits: list[int]) -> list[int]:
    """Return 16 visits for each slot that was tried."""
    return [16 if count else 0 for count in visits]


def test_dirichlet_noise_is_shared_among_legal_slots() -> None:
    model, evaluator, state = connect_four()
    rng = torch_generator(0, "search")
    position = state[:1]
    for _ in range(6):
        position = model.step(position, torch.tensor([[2]]), rng).state
    config = SearchConfig(simulations=1, rule="puct", puct=PuctConfig(dirichlet_fraction=1.0))
    draws = torch.cat(
        [search(model, evaluator, position, config, rng).tree.prob[:, 0] for _ in range(400)]
    )
    assert (draws[:, 2] == 0).all()  # the column is full
    torch.testing.assert_close(draws.sum(-1), torch.ones(400))
    legal = [0, 1, 3, 4, 5, 6]
    torch.testing.assert_close(draws[:, legal].mean(0), torch.full((6,), 1 / 6), atol=0.04, rtol=0)
    # The variance of one entry of Dir(a, ..., a) with k entries is (k - 1) / (k^2 (k a + 1)).
    assert float(draws[:, 0].var()) == pytest.approx(5 / (36 * 2.8), rel=0.3)


def test_temperature() -> None:
    game = Numbered()
    config = SearchConfig(simulations=30, rule="puct", puct=replace(QUIET, temperature=1.0))
    result = search(game, game, roots(1).expand(4000, 8), config, torch_generator(0, "search"))
    share = result.slot.bincount(minlength=SLOTS) / 4000
    torch.testing.assert_close(share, result.visits[0] / 30.0, atol=0.03, rtol=0)
    cold = run(game, replace(config, puct=QUIET), 1)
    assert int(cold.slot) == int(result.visits[0].argmax())


@pytest.mark.parametrize(("exploration", "spread"), [(0.0, 97), (1e6, 1)])
def test_uct_exploration(exploration: float, spread: int) -> None:
    class Arms(Numbered):
        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            reward = action[:, 0] / 2.0  # 0, 0.5, 1, and the episode ends
            return Transition(state.clone(), reward, torch.zeros(len(state)))

    config = SearchConfig(simulations=99, rule="uct", uct=UctConfig(exploration))
    visits = run(Arms(), config).visits
    assert (visits.max(-1).values - visits.min(-1).values <= spread).all()
    if exploration == 0.0:
        assert visits.tolist() == [[1, 1, 97]] * 2  # greedy once all are known


def test_slots_may_stand_for_any_actions() -> None:
    class Vectors(Numbered):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            self.seen.append(action.clone())
            return super().step(state, (action[:, :1] * 10).round().long() % SLOTS, rng)

        def __call__(self, state: Tensor, rng: torch.Generator) -> Evaluation:
            judged = super().__call__(state, rng)
            node = state.view(torch.int64)[:, 0]
            actions = torch.stack([torch.arange(SLOTS) / 10.0] * 2, -1) + 3.0 * node[:, None, None]
            return replace(judged, actions=actions)

    for backend in ("kernels", "torch"):
        game = Vectors()
        config = SearchConfig(simulations=20, rule="puct", puct=QUIET, backend=backend)  # type: ignore[arg-type]
        result = run(game, config)
        plain = run(Numbered(), replace(config, backend="kernels"))
        assert torch.equal(result.visits, plain.visits)
        assert torch.equal(result.action[:, 0], result.slot / 10.0 + 3.0 * torch.arange(2))
        assert all(action.shape[1] == 2 for action in game.seen)


@pytest.mark.parametrize("backend", ["kernels", "torch"])
@pytest.mark.parametrize("part", ["value", "logits"])
def test_non_finite_evaluation_names_row_and_node(backend: str, part: str) -> None:
    game = Numbered()
    getattr(game, part)[2] = torch.nan  # the second slot of the root of row 0
    config = SearchConfig(simulations=30, rule="uct", uct=UctConfig(shuffle=False), backend=backend)  # type: ignore[arg-type]
    game.logits[0] = 0.0
    with pytest.raises(ValueError, match=r"row 0, node 2: .*finite.*nan"):
        run(game, config, 1)


def test_non_finite_network_names_row_and_node() -> None:
    model, evaluator, state = connect_four()
    with torch.no_grad():
        evaluator.net.head.bias[-1] = torch.inf
    with pytest.raises(ValueError, match=r"row 0, node 0: .*finite.*inf"):
        search(model, evaluator, state, SearchConfig(), torch_generator(0, "search"))


@pytest.mark.parametrize("backend", ["kernels", "torch"])
def test_root_without_legal_action_names_its_row(backend: str) -> None:
    game = Numbered()
    game.logits[1] = -torch.inf
    with pytest.raises(ValueError, match=r"row 1: .*no legal action"):
        run(game, SearchConfig(backend=backend))  # type: ignore[arg-type]


def test_position_without_slots_is_a_leaf() -> None:
    game = Numbered()
    game.logits[1:] = -torch.inf
    for backend in ("kernels", "torch"):
        config = SearchConfig(simulations=40, rule="uct", backend=backend)  # type: ignore[arg-type]
        result = run(game, config, 1)
        assert int(result.tree.count) == 1 + SLOTS
        torch.testing.assert_close(result.q[0], -game.value[1 : 1 + SLOTS])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulations": 0}, "simulations must be at least 1, got 0"),
        ({"seconds": -1.0}, "seconds must be at least 0"),
        ({"rule": "best"}, "unknown rule 'best'; the choices are puct, gumbel, uct"),
        ({"backend": "cuda"}, "unknown backend 'cuda'"),
        ({"gumbel": GumbelConfig(considered=0)}, "considered must be at least 1"),
        ({"puct": PuctConfig(dirichlet_fraction=2.0)}, "dirichlet_fraction must be in 0..1"),
    ],
)
def test_wrong_config(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchConfig(**options)


def test_what_does_not_fit() -> None:
    model, evaluator, state = connect_four()
    rng = torch_generator(0, "search")
    with pytest.raises(ValueError, match="state and dynamics do not fit"):
        search(model, evaluator, state[:, :50], SearchConfig(), rng)
    with pytest.raises(ValueError, match="expected positions uint8"):
        search(model, evaluator, state.float(), SearchConfig(), rng)
    with pytest.raises(ValueError, match="the evaluator must return logits"):
        judge = Numbered()
        judge.num_slots = 4
        run(judge, SearchConfig())

    class Shrinking(Numbered):
        def step(self, state: Tensor, action: Tensor, rng: torch.Generator) -> Transition:
            step = super().step(state, action, rng)
            return replace(step, state=step.state[:, :4])

    for backend in ("kernels", "torch"):
        with pytest.raises(ValueError, match="state and dynamics do not fit"):
            run(Shrinking(), SearchConfig(backend=backend))  # type: ignore[arg-type]
    tree = run(Numbered(), SearchConfig()).tree
    with pytest.raises(ValueError, match="the tree to go on with has"):
        search(Numbered(), Numbered(), roots(3), SearchConfig(), rng, tree=tree)
    for option in ({"solve": True}, {"parallel_leaves": 2}, {"widening": WideningConfig()}):
        with pytest.raises(ValueError, match=f"does not know {next(iter(option))}"):
            run(Numbered(), SearchConfig(backend="torch", **option))  # type: ignore[arg-type]


def test_nets_of_all_shapes_run_in_kernels() -> None:
    env, plugin = make_env("connect-four", 4), env_plugin("connect-four")
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    obs = torch.rand(9, 85)
    legal = torch.rand(9, 7) < 0.7
    kinds = itertools.product(("relu", "leaky_relu", "tanh"), ("shared", "separate"), (True, False))
    for activation, critic, normalise in kinds:
        config = ActorCriticConfig(
            hidden=(24, 40),
            activation=activation,  # type: ignore[arg-type]
            critic=critic,  # type: ignore[arg-type]
            normalise_obs=normalise,
            policy_gain=1.0,
        )
        net = ActorCritic(flat_spec(env.spec), config)
        net.update_normaliser({"policy": torch.rand(50, 85) * 3})
        net.update_value_scale(torch.randn(100, 1) * 5 + 2)
        evaluator = NetworkEvaluator(net, dynamics, env.spec)  # type: ignore[arg-type]
        assert evaluator.kernel_net is not None
        judged = evaluator.judge(obs, legal)
        dist, value, _ = net.act_step({"policy": obs}, {})
        expected = dist.logits[:, :7].masked_fill(~legal, -torch.inf)  # type: ignore[union-attr]
        torch.testing.assert_close(judged.logits, expected.detach(), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(judged.value, value[:, 0].detach(), atol=1e-4, rtol=1e-4)
