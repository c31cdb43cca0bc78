import pytest
import torch

from simrl.core import Column, ContinuousActions, DiscreteActions, EnvSpec, Head, Layout, vector
from simrl.core.policy import PolicyOutput
from simrl.rollout import HoldPolicy, RandomPolicy, RolloutEngine, Seating

HEADS = DiscreteActions(
    (Head("button", 3), Head("aim", 4, conditional=True), Head("go", 2)), "button"
)


def spec_of(actions):
    layout = Layout((vector("own", Column("x")),))
    return EnvSpec("test", 1, {"policy": layout}, actions)


def mask_of(rows):
    """Button 0 is off.  Button 1 aims at 1 or 3.  Button 2 only goes, and only to 1."""
    mask = torch.zeros(rows, HEADS.mask_size, dtype=torch.bool)
    button, aim, go = HEADS.mask_slices
    mask[:, button] = torch.tensor([False, True, True])
    mask[:, aim] = torch.tensor([0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0], dtype=torch.bool)
    mask[:, go] = torch.tensor([False, True])
    used = [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    mask[:, HEADS.used_slice] = torch.tensor(used, dtype=torch.bool).flatten()
    return mask


def act(policy, rows, seed=0, **options):
    obs = {"seat": torch.zeros(rows, dtype=torch.int64), "action_mask": mask_of(rows)}
    return policy.act(obs, {}, torch.Generator().manual_seed(seed), **options)


def test_random_is_uniform_over_the_selector_then_over_the_heads_that_count():
    output = act(RandomPolicy(spec_of(HEADS)), 40_000)
    kinds, counts = output.action.unique(dim=0, return_counts=True)
    assert kinds.tolist() == [[1, 1, 0], [1, 3, 0], [2, 0, 1]]
    # 1/4, 1/4 and 1/2; the standard deviation of a count is at most 100.
    assert (counts - torch.tensor([10_000, 10_000, 20_000])).abs().max() < 500
    aimed = output.action[:, 0] == 1
    assert torch.allclose(output.extras["log_prob"][aimed].exp(), torch.tensor(0.25))
    assert torch.allclose(output.extras["log_prob"][~aimed].exp(), torch.tensor(0.5))


def test_random_is_legal_reproducible_and_deterministic_on_demand():
    policy = RandomPolicy(spec_of(HEADS))
    assert policy.reads == {"action_mask"}
    first, second = act(policy, 100).action, act(policy, 100).action
    assert torch.equal(first, second) and HEADS.legal(mask_of(100), first).all()
    assert not torch.equal(first, act(policy, 100, seed=1).action)
    assert act(policy, 2, deterministic=True).action.tolist() == [[1, 1, 0]] * 2


def test_random_names_the_head_without_a_legal_value():
    mask = mask_of(3)
    mask[1, HEADS.mask_slices[1]] = False
    mask[1, HEADS.mask_slices[0]] = torch.tensor([False, True, False])
    policy = RandomPolicy(spec_of(HEADS))
    obs = {"seat": torch.zeros(3, dtype=torch.int64), "action_mask": mask}
    with pytest.raises(ValueError, match="row 1: no value of head 'aim' is legal"):
        policy.act(obs, {}, torch.Generator())


def test_random_continuous_fills_its_bounds():
    policy = RandomPolicy(spec_of(ContinuousActions((-1.0, 2.0), (1.0, 6.0))))
    assert policy.reads == frozenset()
    obs = {"seat": torch.zeros(20_000, dtype=torch.int64)}
    output = policy.act(obs, {}, torch.Generator().manual_seed(0))
    assert output.action.dtype == torch.float32
    low, high, mean = output.action.amin(0), output.action.amax(0), output.action.mean(0)
    assert (low >= torch.tensor([-1.0, 2.0])).all() and (high <= torch.tensor([1.0, 6.0])).all()
    assert torch.allclose(mean, torch.tensor([0.0, 4.0]), atol=0.05)
    assert torch.allclose(output.extras["log_prob"].exp(), torch.tensor(1 / 8))


class Clock:
    """Choose the count that it sees and remember how often it was asked."""

    reads = frozenset({"policy"})

    def __init__(self):
        self.asked = []

    def initial_state(self, num_rows):
        return {"decisions": torch.zeros(num_rows)}

    def act(self, obs, state, rng, *, deterministic=False):
        self.asked.append(len(obs["seat"]))
        count = obs["policy"][:, :1]
        extras = {"cost": state["decisions"] + 1}
        return PolicyOutput(count.long(), {"decisions": state["decisions"] + 1}, extras)


def test_hold_decides_on_its_beat_from_the_start_of_each_episode(toy):
    env = toy.Env((7, 4))
    clock = Clock()
    hold = HoldPolicy(clock, env.spec.actions, 3, masked=False)
    engine = RolloutEngine(env, Seating.self_play(env, hold), seed=0)
    for _ in range(8):
        engine.step()
    actions = torch.stack(env.actions)[:, :, 0, 0]
    # Decisions at counts 0, 3, 6 of each episode; episodes last 7 and 4 steps.
    assert actions[:, 0].tolist() == [0, 0, 0, 3, 3, 3, 6, 0]
    assert actions[:, 1].tolist() == [0, 0, 0, 3, 0, 0, 0, 3]
    # Both at step 0 and 3, row 1 at 4, row 0 at 6, both at 7; the others ask nobody.
    assert clock.asked == [2, 2, 1, 1, 2]


def test_held_memory_and_extras(toy):
    env = toy.Env((7, 4))
    hold = HoldPolicy(Clock(), env.spec.actions, 2, masked=False)
    state = hold.initial_state(2)
    obs = {"policy": torch.zeros(2, 3), "seat": torch.zeros(2, dtype=torch.int64)}
    first = hold.act(obs, state, torch.Generator())
    assert first.extras["decided"].tolist() == [True, True]
    assert first.extras["cost"].tolist() == [1, 1]
    assert first.state["inner/decisions"].tolist() == [1, 1]
    second = hold.act(obs, first.state, torch.Generator())
    assert second.extras["decided"].tolist() == [False, False]
    assert second.state["inner/decisions"].tolist() == [1, 1]
    third = hold.act(obs, {**second.state, "steps_left": torch.tensor([0, 1])}, torch.Generator())
    assert third.extras["decided"].tolist() == [True, False]
    assert third.extras["cost"][0] == 2 and third.extras["cost"][1].isnan()


def test_a_held_action_that_became_illegal_is_decided_anew():
    hold = HoldPolicy(RandomPolicy(spec_of(HEADS)), HEADS, 10)
    mask = mask_of(2)
    obs = {"seat": torch.zeros(2, dtype=torch.int64), "action_mask": mask}
    rng = torch.Generator().manual_seed(0)
    first = hold.act(obs, hold.initial_state(2), rng)
    second = hold.act(obs, first.state, rng)
    assert torch.equal(first.action, second.action) and not second.extras["decided"].any()
    mask[0, HEADS.mask_slices[0]] = torch.arange(3) == 3 - first.action[0, 0]
    third = hold.act(obs, second.state, rng)
    assert third.extras["decided"].tolist() == [True, False]
    assert HEADS.legal(mask, third.action).all()
    # The new decision starts a new beat: 10 steps from now on.
    assert third.state["steps_left"].tolist() == [9, 7]
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        HoldPolicy(hold, HEADS, 0)


def test_what_a_policy_does_not_say_is_not_a_number_in_the_buffer(toy):
    env = toy.Env((7, 4))

    class Half(toy.Fixed):
        calls_made = 0

        def act(self, obs, state, rng, *, deterministic=False):
            self.calls_made += 1
            output = super().act(obs, state, rng)
            return output if self.calls_made % 2 else PolicyOutput(output.action, output.state)

    engine = RolloutEngine(env, Seating.self_play(env, Half()), seed=0)
    engine.collect(3)
    buffer = engine.collect(3)  # calls 4, 5, 6: only the middle one speaks
    assert buffer.log_prob.isnan().tolist() == [[True, True], [False, False], [True, True]]
    assert buffer.value.isnan().all(-1).all(-1).tolist() == [True, False, True]
