"""Cascades and residuals: rates, resets, commands and what they refuse, with counted steps."""

from dataclasses import replace

import pytest
import torch

from simrl.core import (
    Column,
    ContinuousActions,
    DiscreteActions,
    EnvSpec,
    Head,
    Layout,
    PolicyOutput,
    vector,
)
from simrl.core.checks import check_policy
from simrl.core.plugins import env_plugin, make_env
from simrl.learn.policy import NetworkPolicy
from simrl.nn import ActorCritic
from simrl.rollout import RolloutEngine, Seating
from simrl_controllers.cascade import Cascade, Level, command_view
from simrl_controllers.residual import Residual
from simrl_controllers.sampling import MppiConfig, make_mppi

ONE = ContinuousActions((-100.0,), (100.0,))
SPEC = EnvSpec(
    id="line",
    num_agents=1,
    observations={"policy": Layout((vector("line", Column("x")),))},
    actions=ONE,
    state_size=2,
    state_dtype=torch.float64,
    physics={"state": {"qpos": slice(0, 1), "command": slice(1, 2)}},
)


class Counter:
    """Give its number of decisions in the episode, and note the rows of each call."""

    reads = frozenset({"state"})

    def __init__(self):
        self.rows = []

    def initial_state(self, num_rows):
        return {"n": torch.zeros(num_rows, dtype=torch.int64)}

    def act(self, obs, state, rng, *, deterministic=False):
        self.rows.append(len(obs["state"]))
        n = state["n"] + 1
        return PolicyOutput(n[:, None].float(), {"n": n}, {"n": n, "half": n / 2.0})


class Follow(Counter):
    """Give 10 times the command in its state rows, plus its own count."""

    def __init__(self, part=slice(1, 2)):
        super().__init__()
        self.part = part

    def act(self, obs, state, rng, *, deterministic=False):
        output = super().act(obs, state, rng)
        command = obs["state"][:, self.part].sum(dim=1, keepdim=True)
        return replace(output, action=(10 * command + output.action).float())


def stack(top=4, middle=2, bottom=1):
    return Cascade(
        SPEC,
        [
            Level("task", Counter(), ONE, top),
            Level("plan", Follow(), ONE, middle),
            Level("servo", Follow(), ONE, bottom),
        ],
    )


def act(policy, memory, state=None, rng=None):
    state = torch.zeros(len(memory["steps"]), 2).double() if state is None else state
    obs = {"state": state, "seat": torch.zeros(len(state), dtype=torch.int64)}
    return policy.act(obs, memory, rng or torch.Generator())


def test_levels_decide_at_their_own_rates():
    policy = stack()
    memory, found = policy.initial_state(1), []
    for _ in range(6):
        output = act(policy, memory)
        memory = output.state
        found.append(float(output.action))
    # task: 1 at steps 0-3, 2 from 4.  plan = 10 task + its count: 11, 11, 12, 12, 23, 23.
    # servo = 10 plan + its count, which goes up with every step; all within 100.
    assert found == [100.0] * 6  # clipped to the bounds
    wide = ContinuousActions((-1e6,), (1e6,))
    spec = replace(SPEC, actions=wide)
    levels = [Level("task", Counter(), wide, 4), Level("plan", Follow(), wide, 2)]
    policy = Cascade(spec, [*levels, Level("servo", Follow(), wide)])
    memory, found = policy.initial_state(1), []
    for _ in range(6):
        output = act(policy, memory)
        memory = output.state
        found.append(float(output.action))
    assert found == [111.0, 112.0, 123.0, 124.0, 235.0, 236.0]


def test_only_the_rows_whose_turn_it_is_are_asked_and_a_reset_row_starts_anew():
    policy = stack()
    tasks = policy._levels[0].policy.rows
    memory = policy.initial_state(3)
    for step in range(6):
        output = act(policy, memory)
        memory = {key: value.clone() for key, value in output.state.items()}
        if step == 1:  # the episode of row 1 ends
            fresh = policy.initial_state(3)
            for key, value in memory.items():
                value[1] = fresh[key][1]
    # All three at step 0, row 1 again at its own step 0, then rows 0 and 2 at step 4.
    assert tasks == [3, 1, 2]
    assert memory["steps"].tolist() == [6, 4, 6]
    assert memory["task/memory/n"].tolist() == [2, 1, 2]
    assert memory["plan/memory/n"].tolist() == [3, 2, 3]
    assert memory["servo/memory/n"].tolist() == [6, 4, 6]


def test_extras_carry_prefixes_and_say_who_decided():
    policy = stack()
    memory = act(policy, policy.initial_state(2)).state
    extras = act(policy, memory).extras
    assert extras["task/decided"].tolist() == [False, False]
    assert extras["servo/decided"].tolist() == [True, True]
    assert "task/half" not in extras
    memory["steps"] = torch.tensor([4, 5])
    extras = act(policy, memory).extras
    assert extras["task/n"].tolist() == [2, 0]
    assert extras["task/half"][0] == 1.0 and bool(extras["task/half"][1].isnan())


def test_the_command_is_written_over_the_environments_own_and_nowhere_else():
    policy = stack(1, 1, 1)
    state = torch.tensor([[5.0, 7.0]]).double()
    kept = state.clone()
    output = act(policy, policy.initial_state(1), state)
    assert torch.equal(state, kept)
    # The command of the environment, 7, does not reach the middle level; the task's 1 does.
    assert float(output.state["plan/action"]) == 11.0


def test_a_view_appends_the_command_and_a_conversion_shapes_it():
    view = command_view(SPEC, ("a", "b"))
    assert view.state_size == 4
    assert view.physics["state"]["command"] == slice(2, 4)
    policy = Cascade(
        SPEC,
        [
            Level(
                "task", Counter(), ONE, command=lambda action: torch.cat([action, 2 * action], 1)
            ),
            Level("servo", Follow(slice(2, 4)), ONE, view=view),
        ],
    )
    # The command is (1, 2): 10 * 3 + 1.
    assert float(act(policy, policy.initial_state(1)).action) == 31.0


def test_a_command_goes_into_the_block_of_the_observations_too():
    blocks = (vector("x", Column("x")), vector("command", Column("c")))
    spec = replace(SPEC, observations={"policy": Layout(blocks)}, physics={})

    class Look(Counter):
        reads = frozenset({"policy"})

        def act(self, obs, state, rng, *, deterministic=False):
            return PolicyOutput(10 * obs["policy"][:, 1:], {"n": state["n"] + 1})

    policy = Cascade(spec, [Level("task", Counter(), ONE), Level("servo", Look(), ONE)])
    obs = {
        "policy": torch.tensor([[3.0, 4.0]]),
        "state": torch.zeros(1, 2),
        "seat": torch.zeros(1, dtype=torch.int64),
    }
    assert float(policy.act(obs, policy.initial_state(1), torch.Generator()).action) == 10.0
    assert policy.reads == {"policy", "state"}


def test_discrete_levels_command_by_their_conversion():
    class Button(Counter):
        def act(self, obs, state, rng, *, deterministic=False):
            return PolicyOutput((state["n"] + 1)[:, None], {"n": state["n"] + 1})

    buttons = DiscreteActions((Head("gait", 4),))
    table = torch.tensor([0.0, 3.0, 5.0, 9.0])
    policy = Cascade(
        SPEC,
        [
            Level("task", Button(), buttons, 2, command=lambda action: table[action]),
            Level("servo", Follow(), ONE, 1),
        ],
    )
    memory = policy.initial_state(1)
    assert memory["task/action"].dtype == torch.int64
    assert float(act(policy, memory).action) == 31.0


def test_a_network_commands_a_planner_in_the_engine():
    env = make_env("double-integrator", 3)
    plugin = env_plugin("double-integrator")
    torch.manual_seed(0)
    network = NetworkPolicy(ActorCritic(env.spec), values=False)
    goal = ContinuousActions((-1.0,), (1.0,))
    model = plugin.dynamics(plugin.config())
    # The planner plans on longer rows, whose last number is the command of the network.
    named = replace(env.spec, dynamics=lambda: model, state_dtype=torch.uint8)
    view = command_view(named, ("goal",))
    planner = make_mppi(view, MppiConfig(horizon=8, samples=4, knots=4))
    policy = Cascade(
        env.spec,
        [
            Level("task", network, goal, 5, command=lambda action: 100 + 100 * action),
            Level("plan", planner, env.spec.actions, view=view),
        ],
    )
    check_policy(policy, env, num_steps=6)
    engine = RolloutEngine(env, Seating.self_play(env, policy, train=False), seed=0)
    table = engine.run_episodes(3)
    assert len(table) == 3 and bool((table.length == 100).all())


def test_a_learned_residual_is_scaled_and_clipped():
    class Give(Counter):
        def __init__(self, value):
            super().__init__()
            self.value = value

        def act(self, obs, state, rng, *, deterministic=False):
            value = torch.tensor([self.value]).expand(len(obs["state"]), -1)
            return PolicyOutput(value, {"n": state["n"] + 1}, {"log_prob": -state["n"].float()})

    two = replace(SPEC, actions=ContinuousActions((-5.0, -5.0), (5.0, 5.0)))
    policy = Residual(two, Give([1.0, 4.0]), Give([0.5, -30.0]), scale=2.0, limit=(9.0, 3.0))
    output = policy.act(
        {"state": torch.zeros(2, 2), "seat": torch.zeros(2)},
        policy.initial_state(2),
        torch.Generator(),
    )
    # 1 + 2 * 0.5 = 2; 4 - min(60, 3) = 1.
    assert output.action.tolist() == [[2.0, 1.0]] * 2
    assert set(output.state) == {"base/n", "residual/n"}
    assert output.extras["residual/log_prob"].tolist() == [0.0, 0.0]
    assert output.extras["residual/change"].tolist() == [[1.0, -3.0]] * 2
    # 4 + 3 is beyond the bounds of 5.
    policy = Residual(two, Give([1.0, 4.0]), Give([0.0, 30.0]), limit=3.0)
    output = policy.act({"state": torch.zeros(1, 2)}, policy.initial_state(1), torch.Generator())
    assert output.action.tolist() == [[1.0, 5.0]]


def test_a_network_as_the_residual_of_a_controller():
    env = make_env("double-integrator", 4)
    plugin = env_plugin("double-integrator")
    base = plugin.policies["lqr"](plugin.config())
    torch.manual_seed(0)
    network = NetworkPolicy(ActorCritic(env.spec))
    policy = Residual(env.spec, base, network, scale=0.5, limit=0.1)
    check_policy(policy, env)
    obs = {"policy": env.reset(0)["policy"][:, 0], "seat": torch.zeros(4, dtype=torch.int64)}
    rng = torch.Generator().manual_seed(0)
    change = policy.act(obs, {}, rng).action - base.act(obs, {}, rng).action
    assert 0.0 < float(change.abs().max()) <= 0.1 + 1e-6


def test_cascades_that_do_not_fit_are_named():
    task, servo = Level("task", Counter(), ONE, 4), Level("servo", Follow(), ONE)
    with pytest.raises(ValueError, match="levels with names of their own, got \\['a', 'a'\\]"):
        Cascade(SPEC, [replace(task, name="a"), replace(servo, name="a")])
    with pytest.raises(ValueError, match="level 'servo': every must be at least 1, got 0"):
        Cascade(SPEC, [task, replace(servo, every=0)])
    with pytest.raises(ValueError, match="every 4 steps, which is no multiple of the 3 of 'servo'"):
        Cascade(SPEC, [task, replace(servo, every=3)])
    with pytest.raises(ValueError, match="'servo' has no place for a command"):
        Cascade(replace(SPEC, physics={}), [task, servo])
    with pytest.raises(ValueError, match="the lowest level, 'servo', must give"):
        Cascade(SPEC, [task, replace(servo, actions=ContinuousActions((0.0,), (1.0,)))])
    with pytest.raises(ValueError, match="a command needs at least one name"):
        command_view(SPEC, ())
    wide = replace(task, command=lambda action: action.repeat(1, 3))
    policy = Cascade(SPEC, [wide, servo])
    with pytest.raises(
        ValueError, match=r"'servo' has a command of \[1\] numbers, and was given 3"
    ):
        act(policy, policy.initial_state(1))
    with pytest.raises(ValueError, match="scale needs 1 or 1 numbers from 0 on"):
        Residual(SPEC, Counter(), Counter(), scale=(1.0, 2.0))
    with pytest.raises(ValueError, match="a residual adds to continuous actions"):
        Residual(make_env("tic-tac-toe", 1).spec, Counter(), Counter())
