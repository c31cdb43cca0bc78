import pytest
import torch

from simrl.rollout import RolloutEngine, Seating


def versus(toy, lengths=(3, 2, 3, 2), **options):
    env = toy.Env(lengths, agents=2)
    a, b = toy.Fixed(1), toy.Fixed(2)
    return env, a, b, Seating.versus(env, a, b, **options)


def test_versus_swaps_every_second_row_and_actions_reach_their_seats(toy):
    env, a, b, seating = versus(toy, train=True)
    assert seating.policy_index.tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]
    assert seating.trains.tolist() == [[True, False], [False, True]] * 2
    engine = RolloutEngine(env, seating, seed=0)
    buffer = engine.collect(1)
    assert env.actions[0][:, :, 0].tolist() == [[1, 2], [2, 1], [1, 2], [2, 1]]
    # a holds the flat seats 0, 3, 4, 7; its buffer has these lanes and no samples of b.
    assert buffer.lanes.tolist() == [[0, 0], [1, 1], [2, 0], [3, 1]]
    assert (buffer.action == 1).all()
    assert a.calls[0]["seat"].tolist() == [0, 1, 0, 1]
    assert b.calls[0]["seat"].tolist() == [1, 0, 1, 0]
    assert a.calls[0]["policy"][:, 2].tolist() == [0, 1, 0, 1]


def test_one_call_per_policy_a_step(toy):
    env, a, b, seating = versus(toy, swap_sides=False)
    engine = RolloutEngine(env, seating, seed=0)
    for _ in range(3):
        engine.step()
    assert len(a.calls) == len(b.calls) == 3


def test_a_whole_column_sees_the_state_without_a_copy(toy):
    env = toy.Env((3, 2), agents=2)
    seen = []

    class Reader(toy.Fixed):
        def act(self, obs, state, rng, *, deterministic=False):
            seen.append(obs["state"].data_ptr())
            return super().act(obs, state, rng)

    reader = Reader(3, reads=("state",))
    seating = Seating.versus(env, reader, toy.Fixed(1), swap_sides=False)
    engine = RolloutEngine(env, seating, seed=0)
    engine.step()
    engine.step()
    assert seen[1] == env.record.data_ptr()
    # In swapped seats the rows' environments still follow: row r of the state is r's environment.
    env = toy.Env((3, 2), agents=2)
    reader = Reader(3, reads=("state", "policy"))
    engine = RolloutEngine(env, Seating.versus(env, reader, toy.Fixed(1)), seed=0)
    for _ in range(3):
        engine.step()
    assert reader.calls[2]["state"][:, 0].tolist() == [2, 0]
    assert reader.calls[2]["policy"][:, 0].tolist() == [2, 0]
    # One policy at every seat of two agents: each environment's state comes twice.
    env = toy.Env((3, 2), agents=2)
    reader = Reader(3, reads=("state",))
    engine = RolloutEngine(env, Seating.self_play(env, reader), seed=0)
    for _ in range(3):
        engine.step()
    assert reader.calls[2]["state"][:, 0].tolist() == [2, 2, 0, 0]


def test_only_some_of_the_policys_seats_train(toy):
    env = toy.Env((3, 2), agents=2)
    trains = torch.tensor([[False, True], [True, False]])
    seating = Seating({"me": toy.Fixed(1)}, torch.zeros(2, 2, dtype=torch.int64), trains)
    buffer = RolloutEngine(env, seating, seed=0).collect(2)
    assert buffer.lanes.tolist() == [[0, 1], [1, 0]]
    assert buffer.obs["policy"][1].tolist() == [[1, 0, 1], [1, 0, 0]]
    assert buffer.reward.tolist() == [[2, 1], [4, 2]]
    assert buffer.final_index.tolist() == [[1, 1]]
    assert buffer.final_obs["policy"].tolist() == [[2, 0, 0]]
    assert buffer.final_state["n"].tolist() == [2]
    assert buffer.next_state["n"].tolist() == [2, 0]


class Rotate:
    """Give the opponent's seat to b and c in turn."""

    def __init__(self):
        self.seated = []

    def seat(self, rows, seating):
        for row in rows.tolist():
            seating.policy_index[row, 1] = 1 + len(self.seated) % 2
            self.seated.append(row)


def test_an_opponent_is_fixed_for_an_episode(toy):
    env = toy.Env((3, 2, 4), agents=2)
    policies = {"a": toy.Fixed(1), "b": toy.Fixed(2), "c": toy.Fixed(3)}
    index = torch.tensor([[0, 1]] * 3)
    seating = Seating(policies, index, index == 0)
    matchmaker = Rotate()
    engine = RolloutEngine(env, seating, seed=0, matchmaker=matchmaker)
    episodes = {}
    for _ in range(12):
        before = env.record.clone()
        engine.step()
        for row in range(3):
            key = (row, int(before[row, 1]))
            episodes.setdefault(key, set()).add(int(env.actions[-1][row, 1, 0]))
    assert all(len(actions) == 1 for actions in episodes.values())
    assert len(episodes) == 4 + 6 + 3
    assert set().union(*episodes.values()) == {2, 3}
    # Reset seats every row once; then a row is seated anew only where its episode ended.
    assert matchmaker.seated[:3] == [0, 1, 2]
    assert len(matchmaker.seated) == 3 + 4 + 6 + 3
    # Opponents' memories moved with their seats: each counts the steps of its own episode.
    for name in ("a", "b", "c"):
        for call in policies[name].calls:
            assert torch.equal(call["n"], call["policy"][:, 0])


def test_collecting_goes_on_while_opponents_change(toy):
    env = toy.Env((3, 2, 4), agents=2)
    # The learner also sits at the opponent's seat at times, where it does not train.
    policies = {"a": toy.Fixed(1), "b": toy.Fixed(2)}
    index = torch.tensor([[0, 1]] * 3)
    trains = index == 0

    class Mix:
        count = 0

        def seat(self, rows, seating):
            for row in rows.tolist():
                seating.policy_index[row, 1] = self.count % 2
                self.count += 1

    engine = RolloutEngine(env, Seating(policies, index, trains), seed=0, matchmaker=Mix())
    buffer = engine.collect(7)
    assert (buffer.action == 1).all()
    assert buffer.lanes[:, 1].tolist() == [0, 0, 0]
    assert torch.equal(buffer.obs["policy"][:, :, 0], -buffer.log_prob)
    assert buffer.obs["policy"][:, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert (buffer.obs["policy"][:, :, 2] == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows, s: s.policy_index.__setitem__((0, 0), 1), "agent 0, which trains"),
        (lambda rows, s: s.policy_index.__setitem__((0, 1), 2), "there is no policy 2"),
        (
            lambda rows, s: 0 in rows.tolist() or s.policy_index.__setitem__((0, 1), 0),
            "environment 0, agent 1, which is in the middle of an episode",
        ),
    ],
)
def test_a_matchmaker_that_oversteps_is_stopped(toy, change, message):
    class Bad:
        def seat(self, rows, seating):
            change(rows, seating)

    env = toy.Env((3, 2), agents=2)
    seating = Seating.versus(env, toy.Fixed(), toy.Fixed(), swap_sides=False, train=True)
    engine = RolloutEngine(env, seating, seed=0, matchmaker=Bad())
    with pytest.raises(ValueError, match=message):
        engine.collect(3)


def test_an_opponent_added_on_the_way_gets_its_observations(toy):
    env = toy.Env((3, 2), agents=2)
    late = toy.Fixed(7, reads=("policy", "critic"))

    class Late:
        def seat(self, rows, seating):
            if len(rows) == 1:
                if "late" not in seating.policies:
                    seating.add("late", late)
                seating.policy_index[rows, 1] = seating.index_of("late")

    seating = Seating.versus(env, toy.Fixed(1), toy.Fixed(2), swap_sides=False)
    engine = RolloutEngine(env, seating, seed=0, matchmaker=Late())
    for _ in range(3):
        engine.step()
    assert env.requests == [{"policy"}, {"policy", "critic"}]
    assert late.calls[0]["critic"].tolist() == [[100]]
    assert env.actions[2][:, 1, 0].tolist() == [2, 7]


def test_errors_name_the_offender(toy):
    env = toy.Env((3, 2), agents=2)
    a, b = toy.Fixed(), toy.Fixed()
    with pytest.raises(ValueError, match="training seats hold a, b"):
        Seating({"a": a, "b": b}, torch.tensor([[0, 1]]), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"environment 0, agent 1: there is no policy 5"):
        Seating({"a": a}, torch.tensor([[0, 5]]))
    with pytest.raises(ValueError, match="unknown policy 'z'; the policies are a, b"):
        Seating.versus(env, a, b).index_of("z")
    with pytest.raises(ValueError, match="one team"):
        Seating.versus(toy.Env(), a, b)
    with pytest.raises(ValueError, match=r"seating is for \[2, 2\] seats, but count has \[2, 1\]"):
        RolloutEngine(toy.Env(), Seating.versus(env, a, b), seed=0)
    with pytest.raises(ValueError, match="no seat of the seating trains"):
        RolloutEngine(env, Seating.versus(env, a, b), seed=0).collect(2)
    bad = toy.Fixed()
    bad.act = lambda *args, **kwargs: (
        type(a).act(toy.Fixed(), *args, **kwargs).__class__(torch.zeros(1, 1))
    )
    with pytest.raises(ValueError, match=r"policy 'b' must return actions torch.int64 \[2, 1\]"):
        RolloutEngine(env, Seating.versus(env, a, bad), seed=0).step()
