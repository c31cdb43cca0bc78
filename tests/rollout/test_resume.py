import pytest
import torch

from simrl.learn.checkpoint import flatten, unflatten
from simrl.rollout import RolloutEngine, Seating


class Alternate:
    """Seat b and c in turn; its counter is its own to save."""

    def __init__(self, count=0):
        self.count = count

    def seat(self, rows, seating):
        for row in rows.tolist():
            seating.policy_index[row, 1] = 1 + self.count % 2
            self.count += 1


def build(toy, count=0, names=("a", "b", "c")):
    env = toy.Env((3, 2, 5), agents=2)
    policies = {name: toy.Fixed(noisy=True) for name in names}
    index = torch.zeros(3, 2, dtype=torch.int64)
    index[:, 0] = names.index("a")
    index[:, 1] = names.index("b")
    trains = torch.tensor([[True, False]] * 3)
    seating = Seating(policies, index, trains)
    matchmaker = Alternate(count)
    return RolloutEngine(env, seating, seed=9, matchmaker=matchmaker), matchmaker


def copy_of(buffer):
    parts = {k: v for k, v in vars(buffer).items() if isinstance(v, torch.Tensor)}
    for name in ("obs", "start_state", "final_obs", "final_state", "next_obs", "next_state"):
        parts |= {f"{name}/{key}": value for key, value in getattr(buffer, name).items()}
    return {name: value.clone() for name, value in parts.items()}


def test_resumed_engine_continues_bit_for_bit(toy):
    engine, matchmaker = build(toy)
    engine.collect(7)
    # Through the same form as a checkpoint file: JSON data and a flat dict of tensors.
    saved, count = unflatten(*flatten(engine.state_dict())), matchmaker.count
    expected = copy_of(engine.collect(7))
    resumed, _ = build(toy, count)
    resumed.load_state_dict(saved)
    found = copy_of(resumed.collect(7))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    assert torch.equal(
        engine.state_dict()["ledger"]["returns"], resumed.state_dict()["ledger"]["returns"]
    )


def test_saving_does_not_disturb_and_the_state_is_a_copy(toy):
    engine, _ = build(toy)
    other, _ = build(toy)
    engine.collect(4)
    other.collect(4)
    saved = engine.state_dict()
    before = saved["env"].clone()
    assert torch.equal(engine.collect(4).action, other.collect(4).action)
    assert torch.equal(saved["env"], before)


def test_an_engine_can_be_saved_before_its_first_step(toy):
    engine, matchmaker = build(toy)
    saved, count = engine.state_dict(), matchmaker.count
    resumed, _ = build(toy, count)
    resumed.load_state_dict(saved)
    assert torch.equal(engine.collect(5).action, resumed.collect(5).action)


def test_a_missing_policy_is_named(toy):
    engine, _ = build(toy)
    saved = engine.state_dict()
    env = toy.Env((3, 2, 5), agents=2)
    seating = Seating.versus(env, toy.Fixed(), toy.Fixed(), names=("a", "b"))
    with pytest.raises(ValueError, match="unknown policy 'c'; the policies are a, b"):
        RolloutEngine(env, seating, seed=9).load_state_dict(saved)
