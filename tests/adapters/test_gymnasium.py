"""Gymnasium in both directions."""

import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from simrl.adapters.gymnasium import GymnasiumVec, SingleAgentGym
from simrl.core.checks.step import check_step
from simrl.core.plugins import make_env, make_scripted


@pytest.mark.parametrize(
    "name",
    ["counting", "identity", "identity-heads", "identity-continuous", "memory", "cart-pole"],
)
def test_single_agent_view_passes_gymnasiums_checker(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the advice to scale actions and to have a spec
        gymnasium_check_env(SingleAgentGym(make_env(name, 1), render_mode="rgb_array"))


def test_seat_of_a_game_passes_gymnasiums_checker():
    other = make_scripted("connect-four", "tactical")
    view = SingleAgentGym(make_env("connect-four", 1), {0: other}, seat=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gymnasium_check_env(view)


def test_view_of_counting_ends_with_the_true_last_observation():
    view = SingleAgentGym(make_env("counting", 1, truncate_at=2))
    assert view.reset(seed=0)[0].tolist() == [0]
    assert view.step(0)[:4] == (pytest.approx([1]), 1.0, False, False)
    assert view.step(0)[:4] == (pytest.approx([2]), 2.0, False, True)
    assert view.reset()[0].tolist() == [0]


def test_view_tells_when_it_replaced_an_action():
    other = make_scripted("tic-tac-toe", "tactical")
    view = SingleAgentGym(make_env("tic-tac-toe", 1), {1: other})
    _, info = view.reset(seed=0)
    assert info["action_mask"].tolist() == [True] * 9 + [False]
    assert view.step(9)[4]["illegal"] is True  # waiting is not legal; cell 0 is played
    strict = SingleAgentGym(make_env("tic-tac-toe", 1), {1: other}, on_illegal="raise")
    strict.reset(seed=0)
    with pytest.raises(ValueError, match="value 9 of head 'move'"):
        strict.step(9)


def test_every_seat_needs_a_player():
    with pytest.raises(ValueError, match=r"must play the seats \[1\], they play \[\]"):
        SingleAgentGym(make_env("tic-tac-toe", 1))
    with pytest.raises(ValueError, match="one row"):
        SingleAgentGym(make_env("counting", 2))


def test_gymnasium_cart_pole_steps_as_ours():
    env = GymnasiumVec("CartPole-v1", 4)
    obs, rng = env.reset(0), torch.Generator().manual_seed(0)
    judges = [gymnasium.make("CartPole-v1") for _ in range(4)]
    for row, judge in enumerate(judges):
        judge.reset(seed=0)
        judge.unwrapped.state = obs["policy"][row, 0].double().numpy()
    ended = np.zeros(4, bool)
    for index in range(60):
        action = torch.randint(0, 2, (4, 1, 1), generator=rng)
        step = env.step(action)
        check_step(env.spec, step, 4, f"step {index}")
        for row, judge in enumerate(judges):
            if ended[row]:
                continue
            seen, _, terminated, _, _ = judge.step(int(action[row]))
            assert bool(step.terminated[row]) == terminated
            shown = step.final_obs if terminated else step.obs
            assert np.allclose(shown["policy"][row, 0], seen, atol=1e-5)
            if terminated:
                ended[row] = True
                assert step.obs["policy"][row].abs().max() <= 0.05
    assert ended.sum() >= 3


def test_gymnasium_truncation_and_seed():
    runs = []
    for _ in range(2):
        env = GymnasiumVec("Pendulum-v1", 2)
        env.reset(3)
        rewards = []
        for _ in range(200):
            step = env.step(torch.zeros(2, 1, 1))
            rewards.append(step.reward.clone())
        runs.append(torch.stack(rewards))
        assert step.truncated.all() and not step.terminated.any()
        assert not torch.equal(step.final_obs["policy"], step.obs["policy"])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0][:, 0], runs[0][:, 1])


def test_gymnasium_discrete_observations_become_one_hot():
    env = GymnasiumVec("FrozenLake-v1", 3)
    assert env.reset(0)["policy"].sum(-1).tolist() == [[1.0]] * 3
    assert env.spec.observations["policy"].size == 16


def test_gymnasium_errors_are_clear():
    late = SyncVectorEnv(
        [lambda: gymnasium.make("CartPole-v1")], autoreset_mode=AutoresetMode.NEXT_STEP
    )
    with pytest.raises(ValueError, match=r"AutoresetMode\.SAME_STEP"):
        GymnasiumVec(late)
    env = GymnasiumVec("Pendulum-v1", 1)
    env.reset(0)
    with pytest.raises(ValueError, match="index 0 of the action is nan"):
        env.step(torch.full((1, 1, 1), float("nan")))
    with pytest.raises(NotImplementedError, match="no snapshots"):
        env.snapshot()
    with pytest.raises(ValueError, match="unknown observation group 'state'"):
        env.request(["state"])


def test_gymnasium_spaces_that_have_no_layout_are_refused():
    class Odd(gymnasium.Env):
        observation_space = gymnasium.spaces.Dict({"x": gymnasium.spaces.Discrete(2)})
        action_space = gymnasium.spaces.Discrete(2)

    with pytest.raises(ValueError, match="must be a Box or Discrete, got Dict"):
        GymnasiumVec(SyncVectorEnv([Odd], autoreset_mode=AutoresetMode.SAME_STEP))
