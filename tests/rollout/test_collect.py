import torch

from simrl.rollout import RolloutEngine, Seating


def engine_of(toy, lengths=(3, 2), agents=1, **options):
    env = toy.Env(lengths, agents)
    policy = toy.Fixed(4, **options)
    return RolloutEngine(env, Seating.self_play(env, policy), seed=1), policy


def test_buffer_holds_the_numbers_worked_by_hand(toy):
    # Row 0 terminates every 3 steps, row 1 is truncated every 2.  Counts seen while acting:
    #   row 0: 0 1 2 | 0 1     row 1: 0 1 | 0 1 | 0      rewards are the next count.
    engine, _ = engine_of(toy)
    buffer = engine.collect(5)
    assert buffer.lanes.tolist() == [[0, 0], [1, 0]]
    assert buffer.obs["policy"][:, 0, 0].tolist() == [0, 1, 2, 0, 1]
    assert buffer.obs["policy"][:, 1, 0].tolist() == [0, 1, 0, 1, 0]
    assert buffer.reward[:, 0].tolist() == [1, 2, 3, 1, 2]
    assert buffer.reward[:, 1].tolist() == [1, 2, 1, 2, 1]
    assert buffer.reward_terms[:, 1, 0].tolist() == [1, 2, 1, 2, 1]
    assert buffer.terminated[:, 0].tolist() == [False, False, True, False, False]
    assert buffer.truncated[:, 1].tolist() == [False, True, False, True, False]
    assert not buffer.truncated[:, 0].any() and not buffer.terminated[:, 1].any()
    assert buffer.episode_start[:, 0].tolist() == [True, False, False, True, False]
    assert buffer.episode_start[:, 1].tolist() == [True, False, True, False, True]
    # The policy counts its own steps; the engine resets it where an episode ended.
    assert buffer.log_prob[:, 0].tolist() == [0, -1, -2, 0, -1]
    assert buffer.log_prob[:, 1].tolist() == [0, -1, 0, -1, 0]
    assert buffer.value[:, 0].tolist() == [[0, 0], [10, -1], [20, -2], [0, 0], [10, -1]]
    assert (buffer.action == 4).all() and buffer.action.dtype == torch.int64


def test_truncated_rows_keep_their_final_observation_and_memory(toy):
    engine, _ = engine_of(toy)
    buffer = engine.collect(5)
    # Row 1 was cut at t = 1 and t = 3, each time with count 2 after acting twice.
    assert buffer.final_index.tolist() == [[1, 1], [3, 1]]
    assert buffer.final_obs["policy"].tolist() == [[2, 0, 0], [2, 1, 0]]
    assert buffer.final_state["n"].tolist() == [2, 2]
    # Row 0 stands at count 2 of its second episode, row 1 at count 1 of its third.
    assert buffer.next_obs["policy"].tolist() == [[2, 1, 0], [1, 2, 0]]
    assert buffer.next_state["n"].tolist() == [2, 1]


def test_next_collect_continues(toy):
    engine, _ = engine_of(toy)
    engine.collect(5)
    first = engine.collect(2)
    assert first.start_state["n"].tolist() == [2, 1]
    assert first.obs["policy"][:, 0].tolist() == [[2, 1, 0], [0, 2, 0]]
    assert first.episode_start.tolist() == [[False, False], [True, True]]
    # After a chunk that ends with an episode, the first step of the next one is a start.
    engine, _ = engine_of(toy)
    engine.collect(3)
    buffer = engine.collect(1)
    assert buffer.episode_start.tolist() == [[True, False]]
    assert buffer.start_state["n"].tolist() == [0, 1]
    assert buffer.final_index.tolist() == [[0, 1]]
    assert engine.collect(1).final_obs["policy"].shape == (0, 3)


def test_buffer_is_reused_and_usable_by_autograd(toy):
    engine, _ = engine_of(toy)
    buffer = engine.collect(4)
    assert engine.collect(4) is buffer
    tensors = [*buffer.obs.values(), *buffer.final_obs.values(), *buffer.final_state.values()]
    tensors += [*buffer.next_obs.values(), *buffer.start_state.values(), buffer.reward]
    assert not any(tensor.is_inference() for tensor in tensors)
    weight = torch.ones(3, requires_grad=True)
    (buffer.final_obs["policy"] * weight).sum().backward()
    assert weight.grad is not None


def test_two_agents_are_lanes_of_their_own(toy):
    engine, policy = engine_of(toy, agents=2)
    buffer = engine.collect(2)
    assert buffer.lanes.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert buffer.reward.tolist() == [[1, 2, 1, 2], [2, 4, 2, 4]]
    assert buffer.truncated[1].tolist() == [False, False, True, True]
    assert buffer.final_obs["policy"].tolist() == [[2, 0, 0], [2, 0, 1]]
    assert policy.calls[0]["seat"].tolist() == [0, 1, 0, 1]


def test_only_groups_that_are_read_are_asked_for_and_stored(toy):
    engine, policy = engine_of(toy, reads=("policy", "critic", "state"))
    buffer = engine.collect(2)
    assert engine.env.requests == [{"policy", "critic", "state"}]
    assert set(buffer.obs) == {"policy", "critic", "state"}
    assert buffer.final_obs["critic"].tolist() == [[102]]
    assert buffer.final_obs["state"].tolist() == [[2, 0, 8]]
    assert set(policy.calls[0]) == {"policy", "critic", "state", "seat", "n"}
