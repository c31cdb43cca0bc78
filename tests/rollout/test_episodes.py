import numpy as np
import pytest
import torch

from simrl.rollout import EpisodeStats, RolloutEngine, Seating, evaluate, wilson
from simrl.rollout.intervals import mean_interval


def test_each_row_counts_its_share_however_short_its_episodes(toy):
    # Row 1's episodes last 1 step, row 0's last 6: taking the first six to end would give five of
    # row 1.  Six episodes in two rows are three each.
    env = toy.Env((6, 1))
    engine = RolloutEngine(env, Seating.self_play(env, toy.Fixed()), seed=0)
    table = engine.run_episodes(6)
    assert table.env_row.tolist() == [0, 1, 0, 1, 0, 1]
    assert table.episode.tolist() == [0, 0, 1, 1, 2, 2]
    assert table.length.tolist() == [6, 1, 6, 1, 6, 1]
    assert table.returns[:, 0].tolist() == [21, 1, 21, 1, 21, 1]  # 1 + 2 + ... + 6 = 21
    assert table.terminated.tolist() == [True, False] * 3
    assert table.metrics["score"].tolist() == [0, 0, 1, 1, 2, 2]


def test_odd_numbers_of_episodes_and_fewer_than_rows(toy):
    env = toy.Env((3, 2, 2))
    engine = RolloutEngine(env, Seating.self_play(env, toy.Fixed()), seed=0)
    assert engine.run_episodes(4).env_row.tolist() == [0, 1, 2, 0]
    assert engine.run_episodes(2).env_row.tolist() == [0, 1]
    with pytest.raises(ValueError, match="at least 1"):
        engine.run_episodes(0)


def test_rows_of_the_table_are_plain(toy):
    env = toy.Env((3, 2), agents=2)
    seating = Seating.versus(env, toy.Fixed(1), toy.Fixed(2))
    table = RolloutEngine(env, seating, seed=0).run_episodes(2)
    first, second = table.to_rows()
    assert first == {
        "env_row": 0,
        "episode": 0,
        "length": 3,
        "terminated": True,
        "policy/agent_0": "a",
        "policy/agent_1": "b",
        "return/agent_0": 6.0,
        "return/agent_1": 12.0,
        "outcome/agent_0": -1,
        "outcome/agent_1": 1,
        "score": 0.0,
    }
    assert (second["policy/agent_0"], second["policy/agent_1"]) == ("b", "a")
    assert table.mean_over_seats("outcome", table.seats_of("a")).tolist() == [-1, -1]
    with pytest.raises(ValueError, match="unknown policy 'c'; the policies are a, b"):
        table.seats_of("c")
    with pytest.raises(ValueError, match="the metrics are outcome, score"):
        table.metric("gold")


def test_statistics_are_of_the_training_seats(toy):
    env = toy.Env((3, 2), agents=2)
    seating = Seating.versus(env, toy.Fixed(5), toy.Fixed(2), swap_sides=False, train=True)
    stats = EpisodeStats()
    engine = RolloutEngine(env, seating, seed=0, observers=[stats])
    assert stats.summary() == {}
    engine.collect(6)
    # Row 0: two episodes of length 3 and return 6; row 1: three of length 2 and return 3.
    assert stats.summary() == {
        "rollout/length": pytest.approx((2 * 3 + 3 * 2) / 5),
        "rollout/return": pytest.approx((2 * 6 + 3 * 3) / 5),
        "rollout/outcome": 1.0,
        "rollout/score": pytest.approx((0 + 1 + 0 + 1 + 2) / 5),
        "rollout/episodes": 5.0,
    }


def test_window_keeps_the_newest(toy):
    env = toy.Env((3,))
    stats = EpisodeStats(window=2)
    engine = RolloutEngine(env, Seating.self_play(env, toy.Fixed()), seed=0, observers=[stats])
    engine.collect(9)
    assert stats.summary()["rollout/score"] == 1.5  # episodes 1 and 2 of 0, 1, 2


def test_statistics_survive_a_checkpoint(toy):
    env = toy.Env((3, 1))
    stats, again = EpisodeStats(window=3), EpisodeStats(window=3)
    again.load_state_dict(stats.state_dict())
    assert again.summary() == {}
    engine = RolloutEngine(env, Seating.self_play(env, toy.Fixed()), seed=0, observers=[stats])
    engine.collect(6)  # 2 episodes of row 0 and 6 of row 1
    again.load_state_dict(stats.state_dict())
    assert again.summary() == stats.summary()
    assert again.summary()["rollout/episodes"] == 8


def test_evaluate_counts_wins_by_the_outcome(toy):
    env = toy.Env((3, 2, 3, 2), agents=2)
    table = evaluate(
        env,
        toy.Fixed(2),
        {"weak": toy.Fixed(1), "same": toy.Fixed(2), "strong": toy.Fixed(3)},
        games=8,
        seed=0,
    )
    weak, same, strong = table.scores
    assert (weak.wins, weak.draws, weak.losses) == (8, 0, 0)
    assert (same.wins, same.draws, same.losses) == (0, 8, 0)
    assert (strong.wins, strong.draws, strong.losses) == (0, 0, 8)
    # Wilson, 8 of 8, z^2 = 3.8415: low = 8 / (8 + 3.8415) = 0.6756.
    assert (weak.win_rate, weak.win_high) == (1.0, 1.0)
    assert weak.win_low == pytest.approx(0.6756, abs=1e-4)
    # Returns: agent 0 in even rows (3 steps: 6), agent 1 in odd rows (2 steps: 2 * 3): all 6.
    assert weak.mean_return == 6.0 and weak.return_low == 6.0
    assert weak.mean_length == 2.5
    # Episodes end at the longest row's share: 2 episodes of 3 steps.
    assert weak.act_times.calls == 6 and weak.act_times.rows == 4
    assert weak.opponent_act_times.calls == 6
    assert table.score("strong") is strong
    row = table.to_rows()[0]
    assert row["opponent"] == "weak" and row["act_calls"] == 6 and row["score"] == 0.5


def test_evaluate_alone(toy):
    score = evaluate(toy.Env((3, 2)), toy.Fixed(), games=4, seed=0).score()
    # Returns 6, 3, 6, 3: mean 4.5, s = sqrt(3), t(3) = 3.1824: half = 3.1824 * 1.7321 / 2 = 2.756.
    assert score.mean_return == 4.5
    assert score.return_low == pytest.approx(4.5 - 2.756, abs=1e-3)
    assert np.isnan(score.win_rate) and score.opponent is None


def test_evaluate_refuses_what_is_unfair(toy):
    with pytest.raises(ValueError, match="even number of games"):
        evaluate(toy.Env((3, 2), agents=2), toy.Fixed(), {"b": toy.Fixed()}, games=3, seed=0)
    with pytest.raises(ValueError, match="in 3 environments"):
        evaluate(toy.Env((3, 2, 3), agents=2), toy.Fixed(), {"b": toy.Fixed()}, games=4, seed=0)
    with pytest.raises(ValueError, match="give opponents"):
        evaluate(toy.Env((3, 2), agents=2), toy.Fixed(), games=4, seed=0)


def test_intervals_against_published_numbers():
    # Wilson for 81 of 263 (Newcombe 1998, table I, method 3): 0.2553 to 0.3662.
    rate, low, high = wilson(81, 263)
    assert (round(rate, 4), round(low, 4), round(high, 4)) == (0.3080, 0.2553, 0.3662)
    # 0 of 20: 0 to 0.1611; 1 of 29: 0.0061 to 0.1718 (same table).
    assert [round(x, 4) for x in wilson(0, 20)] == [0.0, 0.0, 0.1611]
    assert [round(x, 4) for x in wilson(1, 29)[1:]] == [0.0061, 0.1718]
    assert wilson(0, 0)[1:] == (0.0, 1.0) and np.isnan(wilson(0, 0)[0])
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)
    assert np.isnan(mean_interval(np.array([2.0]))[1])


def test_same_seed_same_bits_and_other_seeds_differ(toy):
    def play(seed):
        env = toy.Env((3, 2), agents=2)
        policy = toy.Fixed(noisy=True)
        engine = RolloutEngine(env, Seating.self_play(env, policy), seed=seed)
        return engine.collect(20).action.clone(), env.seed

    first, second, other = play(3), play(3), play(4)
    assert torch.equal(first[0], second[0]) and first[1] == second[1]
    assert not torch.equal(first[0], other[0]) and first[1] != other[1]


def test_adding_an_opponent_leaves_the_others_draws_alone(toy):
    def draws(extra):
        env = toy.Env((3, 2), agents=2)
        policies = {"a": toy.Fixed(noisy=True), "b": toy.Fixed(1)} | extra
        index = torch.tensor([[0, 1], [0, 2 if extra else 1]])
        engine = RolloutEngine(env, Seating(policies, index), seed=5)
        for _ in range(10):
            engine.step()
        return torch.stack(env.actions)[:, :, 0]

    assert torch.equal(draws({}), draws({"c": toy.Fixed(noisy=True)}))
