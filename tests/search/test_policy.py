"""Check the search as a policy: the contract, whose turn it is, trees kept between moves."""

from __future__ import annotations

import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import env_plugin, make_env
from simrl.core.seeding import torch_generator
from simrl.nn.actor_critic import ActorCritic, ActorCriticConfig
from simrl.search.config import PuctConfig, SearchConfig
from simrl.search.evaluators import NetworkEvaluator, UniformEvaluator
from simrl.search.plain_net import flat_spec
from simrl.search.policy import SearchPolicy, SearchPolicyConfig
from simrl.search.search import search
from simrl.search.tree_memory import take_trees
from simrl.search.turn_model import TurnModel


def make_policy(game: str, **options: object) -> SearchPolicy:
    env = make_env(game, 1)
    plugin = env_plugin(game)
    assert plugin.dynamics is not None
    dynamics = plugin.dynamics(plugin.config())
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = ActorCritic(flat_spec(env.spec), ActorCriticConfig(hidden=(32,), policy_gain=1.0))
    reuse = bool(options.pop("reuse", True))
    config = SearchPolicyConfig(SearchConfig(simulations=16, **options), reuse=reuse)  # type: ignore[arg-type]
    evaluator = NetworkEvaluator(net, dynamics, env.spec)
    return SearchPolicy(TurnModel(dynamics, env.spec), evaluator, config)


@pytest.mark.parametrize("rule", ["gumbel", "puct", "uct"])
@pytest.mark.parametrize("reuse", [True, False])
def test_contract(rule: str, reuse: bool) -> None:
    check_policy(make_policy("tic-tac-toe", rule=rule, reuse=reuse), make_env("tic-tac-toe", 4))


def test_waits_where_the_other_moves() -> None:
    policy, env = make_policy("connect-four"), make_env("connect-four", 2)
    obs = env.reset(0)
    rows = {
        "state": obs["state"].repeat_interleave(2, 0),
        "action_mask": obs["action_mask"].flatten(0, 1),
        "seat": torch.tensor([0, 1, 0, 1]),
    }
    output = policy.act(rows, policy.initial_state(4), torch_generator(0, "policy"))
    assert output.extras["searched"].tolist() == [True, False, True, False]
    assert output.action[1, 0] == output.action[3, 0] == 7  # wait
    assert output.extras["search_policy"][1].isnan().all()
    share = output.extras["search_policy"][[0, 2]]
    torch.testing.assert_close(share.sum(-1), torch.ones(2))
    assert output.state["tree_count"].tolist() == [17, 0, 17, 0]


def test_subtree_is_cut_out_node_for_node() -> None:
    policy, env = make_policy("connect-four"), make_env("connect-four", 1)
    start = env.reset(0)["state"].clone()
    config = SearchConfig(simulations=60, rule="puct", puct=PuctConfig(dirichlet_fraction=0.0))
    rng = torch_generator(0, "search")
    whole = search(policy.model, policy.evaluator, start, config, rng).tree
    slot = int(whole.visits[0, 0].argmax())
    child = int(whole.child[0, 0, slot])
    memory = {
        "tree_" + name: getattr(whole, name)
        for name in ("edges", "child", "values", "ints", "state", "count")
    }
    rows, position = torch.tensor([0]), whole.positions[:, child]
    cut = take_trees(memory, rows, position, 0)

    def compare(old: int, new: int) -> int:
        """Compare two subtrees; return how many nodes they have."""
        assert torch.equal(whole.edges[0, old], cut.edges[0, new])
        assert torch.equal(whole.positions[0, old], cut.positions[0, new])
        assert whole.value[0, old] == cut.value[0, new]
        assert whole.node_visits[0, old] == cut.node_visits[0, new]
        pairs = zip(whole.child[0, old].tolist(), cut.child[0, new].tolist(), strict=True)
        total = 1
        for one, two in pairs:
            assert (one < 0) == (two < 0)
            total += compare(one, two) if one >= 0 else 0
        return total

    assert compare(child, 0) == int(cut.count[0]) > 10
    small = take_trees(memory, rows, position, whole.capacity - 5)
    assert small.count.tolist() == [5]
    assert torch.equal(small.edges[0, 0], cut.edges[0, 0])  # what was left out is still counted
    elsewhere = take_trees(memory, rows, torch.full_like(position, 9), 0)
    assert elsewhere.count.tolist() == [0]


def test_kept_tree_adds_its_visits_to_the_next_search() -> None:
    env = make_env("connect-four", 1)
    policy = make_policy("connect-four", rule="puct")
    obs = env.reset(0)
    memory, rng = policy.initial_state(1), torch_generator(0, "policy")
    seat = torch.zeros(1, dtype=torch.int64)
    expected = 0
    for _ in range(3):
        rows = {"state": obs["state"], "action_mask": obs["action_mask"][:, 0], "seat": seat}
        output = policy.act(rows, memory, rng, deterministic=True)
        memory = output.state
        assert int(memory["tree_ints"][0, 0, 0]) == max(expected, 1) + 16
        slot = int(output.action[0, 0])
        mine = int(memory["tree_child"][0, 0, slot])
        visits = memory["tree_edges"][0, mine, 0]
        reply = int(visits.argmax())  # a reply that the tree knows
        expected = int(memory["tree_ints"][0, int(memory["tree_child"][0, mine, reply]), 0])
        for joint in ([slot, 7], [7, reply]):
            obs = env.step(torch.tensor([[[joint[0]], [joint[1]]]])).obs
    assert expected > 0


def test_solved_end_of_tic_tac_toe_is_exact() -> None:
    env, policy = make_env("tic-tac-toe", 1), make_policy("tic-tac-toe")
    env.reset(0)
    # x o x   x threatens the left column, so o must take its foot; that threatens the bottom row,
    # x . .   so x must block it, and the two cells that are left make no line: a draw.
    # . . o
    for turn, cell in enumerate((0, 1, 2, 8, 3)):
        joint = [[cell], [9]] if turn % 2 == 0 else [[9], [cell]]
        env.step(torch.tensor([joint]))
    uniform = UniformEvaluator(policy.model.view.dynamics, env.spec)  # type: ignore[arg-type]
    config = SearchConfig(simulations=200, rule="uct", solve=True)
    result = search(policy.model, uniform, env.snapshot(), config, torch_generator(0, "search"))
    assert int(result.tree.status[0, 0]) == 3
    assert int(result.slot) == 6
    assert float(result.value) == 0.0
    assert int(result.visits.sum()) < 200  # it stops when all is proven
