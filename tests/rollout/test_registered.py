"""The engine with registered environments: whatever they are, random play must run and resume."""

import pytest
import torch

from simrl.core import PolicyOutput
from simrl.core.plugins import make_env
from simrl.rollout import NanGuard, RandomPolicy, RolloutEngine, Seating, evaluate

TOYS = ["counting", "identity-heads", "memory", "tic-tac-toe", "cart-pole", "double-integrator"]


def engine_of(name, num_envs=6, seed=0):
    env = make_env(name, num_envs)
    seating = Seating.self_play(env, RandomPolicy(env.spec))
    return RolloutEngine(env, seating, seed=seed, observers=[NanGuard()])


@pytest.mark.parametrize("name", TOYS)
def test_resume_is_bit_for_bit(name):
    engine = engine_of(name)
    engine.collect(9)
    saved = engine.state_dict()
    expected = engine.collect(9)
    resumed = engine_of(name)
    resumed.load_state_dict(saved)
    found = resumed.collect(9)
    assert torch.equal(expected.action, found.action)
    assert torch.equal(expected.reward, found.reward)
    assert torch.equal(expected.terminated, found.terminated)
    for group, value in expected.next_obs.items():
        assert torch.equal(value, found.next_obs[group]), group


def test_random_play_on_cart_pole_lasts_as_long_as_it_is_known_to():
    # Uniformly random play on CartPole-v1 lasts 22 steps on average.
    env = make_env("cart-pole", 50)
    score = evaluate(env, RandomPolicy(env.spec), games=400, seed=0).score()
    assert 20 < score.mean_return < 24.5
    assert score.return_low < score.mean_return < score.return_high
    assert score.mean_return == score.mean_length


def test_random_against_random_at_tic_tac_toe_wins_as_often_as_it_is_known_to():
    # Random play: the first player wins 58.5 %, the second 28.8 %, 12.7 % are drawn; so with sides
    # swapped each wins 43.6 %.
    env = make_env("tic-tac-toe", 100)
    policy = RandomPolicy(env.spec)
    score = evaluate(env, policy, {"random": RandomPolicy(env.spec)}, games=2000, seed=0).score(
        "random"
    )
    assert score.wins + score.draws + score.losses == 2000
    assert score.wins / 2000 == pytest.approx(0.436, abs=0.04)
    assert score.draws / 2000 == pytest.approx(0.127, abs=0.03)


class Second:
    """Act on the second device and say where the rows were."""

    reads = frozenset({"policy"})

    def __init__(self, device):
        self.device, self.seen = torch.device(device), []

    def initial_state(self, num_rows):
        return {"n": torch.zeros(num_rows, device=self.device)}

    def act(self, obs, state, rng, *, deterministic=False):
        rows = obs["policy"]
        self.seen.append(rows.device.type)
        u = torch.rand(len(rows), generator=rng, device=self.device)
        action = ((u + rows[:, 0].sin()) > 0.5).long().unsqueeze(1)
        extras = {"log_prob": -state["n"], "value": rows[:, :1].clone()}
        return PolicyOutput(action, {"n": state["n"] + 1}, extras)


@pytest.mark.gpu
def test_a_policy_on_a_gpu_with_environments_on_the_cpu():
    env = make_env("cart-pole", 32)
    policy = Second("cuda")
    engine = RolloutEngine(
        env, Seating.self_play(env, policy), seed=0, device="cuda", observers=[NanGuard()]
    )
    for _ in range(4):
        buffer = engine.collect(64)
        assert set(policy.seen) == {"cuda"}
        tensors = [*buffer.obs.values(), *buffer.next_obs.values(), *buffer.final_obs.values()]
        tensors += [*buffer.start_state.values(), buffer.action, buffer.reward, buffer.final_index]
        assert all(tensor.is_cuda for tensor in tensors)
        # What the policy saw, what was stored and the memory agree step by step: a staging buffer
        # that is overwritten too early would break this.
        assert torch.equal(buffer.value[..., 0], buffer.obs["policy"][..., 0])
        steps = torch.zeros(32, device="cuda") + buffer.start_state["n"]
        for t in range(64):
            steps = torch.where(buffer.episode_start[t], 0.0, steps)
            assert torch.equal(buffer.log_prob[t], -steps)
            steps = steps + 1
    state = engine.state_dict()
    expected = engine.collect(16).action.clone()
    again = RolloutEngine(
        make_env("cart-pole", 32),
        Seating.self_play(env, Second("cuda")),
        seed=0,
        device="cuda",
    )
    again.load_state_dict(state)
    assert torch.equal(expected, again.collect(16).action)


@pytest.mark.gpu
def test_scripted_opponents_stay_on_the_cpu():
    env = make_env("tic-tac-toe", 8)
    bot = RandomPolicy(env.spec)

    class Net(RandomPolicy):
        device = torch.device("cuda")

    seating = Seating.versus(env, Net(env.spec), bot, names=("net", "bot"), train=True)
    buffer = RolloutEngine(env, seating, seed=0, device="cuda").collect(20)
    assert buffer.obs["action_mask"].is_cuda and buffer.action.is_cuda
    legal = env.spec.actions.legal(buffer.obs["action_mask"], buffer.action)
    assert bool(legal.all())
