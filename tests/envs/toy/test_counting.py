"""The counting environment: every figure by hand."""

import pytest
import torch

from simrl.core.plugins import make_env


def _play(env, steps):
    env.reset(0)
    nothing = torch.zeros(env.num_envs, env.spec.num_agents, 1, dtype=torch.int64)
    rows = []
    for _ in range(steps):
        step = env.step(nothing)
        rows.append(
            (
                step.obs["policy"][0, 0, 0].item(),
                step.final_obs["policy"][0, 0, 0].item(),
                step.reward[0].tolist(),
                bool(step.terminated[0]),
                bool(step.truncated[0]),
            )
        )
    return rows


def test_truncation_resets_in_the_same_step():
    # Steps 1, 2, 3 pay 1, 2, 3; at step 3 the limit cuts: obs is 0 again, final_obs is 3.
    rows = _play(make_env("counting", 2, truncate_at=3), 4)
    assert [row[0] for row in rows] == [1, 2, 0, 1]
    assert rows[2][1] == 3
    assert [row[2] for row in rows] == [[1], [2], [3], [1]]
    assert [row[3] for row in rows] == [False] * 4
    assert [row[4] for row in rows] == [False, False, True, False]


def test_termination_wins_over_truncation():
    rows = _play(make_env("counting", 1, terminate_at=2, truncate_at=2), 2)
    assert [row[3:] for row in rows] == [(False, False), (True, False)]


def test_second_agent_is_paid_double():
    rows = _play(make_env("counting", 1, num_agents=2), 2)
    assert [row[2] for row in rows] == [[1, 2], [2, 4]]


def test_metric_and_critic_group():
    env = make_env("counting", 1, terminate_at=2, truncate_at=0)
    assert env.reset(0)["critic"].tolist() == [[[0, 2]]]
    nothing = torch.zeros(1, 1, 1, dtype=torch.int64)
    env.step(nothing)
    assert env.step(nothing).metrics["count"].tolist() == [2]


def test_random_lengths_cover_their_range():
    env = make_env("counting", 300, terminate_at=4, truncate_at=0, random_length=True)
    ends = env.reset(3)["critic"][:, 0, 1]
    # Each of 1..4 has probability 1/4: 75 of 300 expected, standard deviation 7.5.
    assert sorted(ends.unique().tolist()) == [1, 2, 3, 4]
    assert all(45 < int((ends == value).sum()) < 105 for value in (1, 2, 3, 4))


def test_config_errors_name_the_field():
    with pytest.raises(ValueError, match="terminate_at and truncate_at"):
        make_env("counting", 1, truncate_at=0)
    with pytest.raises(ValueError, match="random_length needs terminate_at"):
        make_env("counting", 1, random_length=True)


def test_errors_at_the_boundary():
    env = make_env("counting", 2)
    with pytest.raises(ValueError, match="call reset"):
        env.step(torch.zeros(2, 1, 1, dtype=torch.int64))
    env.reset(0)
    with pytest.raises(ValueError, match=r"int64 \(2, 1, 1\)"):
        env.step(torch.zeros(2, 1, 1))
    with pytest.raises(ValueError, match="environment 1, agent 0: value 2 of head 'nothing'"):
        env.step(torch.tensor([[[0]], [[2]]]))
    with pytest.raises(ValueError, match="the groups are policy, critic, action_mask, state"):
        env.request(["picture"])
    with pytest.raises(ValueError, match="a snapshot of 1 rows"):
        env.restore(env.snapshot(), torch.tensor([0]))
    with pytest.raises(ValueError, match="row 2"):
        env.render(2)
