"""The ensemble: what it reads, how lengths and ends count, its units, its files."""

import math

import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.core.spec import Block, Column, EnvSpec, Layout, vector
from simrl.nn.encoders import EncoderConfig
from simrl.preferences.action_encoder import ActionEncoder
from simrl.preferences.reward_files import load_reward_model, save_reward_model
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.segment import SegmentBatch

FLAT = Layout((vector("state", Column("x"), Column("v")),))
TABLE = Layout(
    (
        vector("state", Column("x"), Column("v")),
        Block("units", (3, 2), (Column("here"), Column("hp")), kind="table", present="here"),
        Block("map", (1, 4, 4), (Column("seen"),), kind="map"),
    )
)
DISCRETE = DiscreteActions((Head("button", 3), Head("target", 2)))
CONTINUOUS = ContinuousActions((-2.0, 0.0), (2.0, 1.0))


def make(layout=FLAT, actions=CONTINUOUS, **options):
    spec = EnvSpec("made-up", 1, {"policy": layout}, actions)
    options = {"hidden": (8, 8), "members": 3} | options
    return RewardEnsemble(spec, RewardModelConfig(**options), seed=1)


def segments(obs, action, length=None, terminated=None):
    size, steps = obs.shape[:2]
    return SegmentBatch(
        obs=obs,
        action=action,
        reward=torch.zeros(size, steps),
        reward_terms=torch.zeros(size, steps, 0),
        length=torch.full((size,), steps) if length is None else torch.tensor(length),
        terminated=torch.zeros(size, dtype=torch.bool)
        if terminated is None
        else torch.tensor(terminated),
        episode=torch.arange(size),
    )


def paying(rewards, absorbing, **options):
    """An ensemble whose members pay `rewards[e]` times x, and `absorbing[e]` when absorbed."""
    ensemble = make(members=len(rewards), hidden=(), output="linear", **options)
    with torch.no_grad():
        ensemble.weights[0].zero_()
        ensemble.weights[0][:, 0, 0] = torch.tensor(rewards)
        ensemble.absorbing_raw.copy_(torch.tensor(absorbing))
    return ensemble


def walk(*rows, **options):
    """Segments whose x are the given numbers."""
    x = torch.tensor(rows)
    obs = torch.stack([x, torch.zeros_like(x)], -1)
    return segments(obs, torch.zeros(*x.shape, 2), **options)


def test_a_pole_that_falls_pays_for_the_steps_that_it_misses():
    # CartPole pays 1 a step.  Of 5 steps: one pole stands, one falls after 2, one was cut after 2.
    batch = walk(
        [1.0, 1.0, 1.0, 1.0, 1.0],
        [1.0, 1.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, 0.0, 0.0, 0.0],
        length=[5, 2, 2],
        terminated=[False, True, False],
    )
    # Member 0 knows that; member 1 pays -1 a step and -2 absorbed: the same ranking, every step
    # shifted.  2 * -1 + 3 * -2 = -8.
    ensemble = paying([1.0, -1.0], [0.0, -2.0])
    assert ensemble.segment_returns(batch).tolist() == [[5.0, 2.0, 2.0], [-5.0, -8.0, -2.0]]
    stands, falls = batch.select(torch.tensor([0])), batch.select(torch.tensor([1]))
    assert ensemble.preference(stands, falls).tolist() == [[3.0], [3.0]]
    assert ensemble.preference(falls, stands).tolist() == [[-3.0], [-3.0]]


def test_steps_after_the_end_do_not_count_whatever_stands_there():
    ensemble = make()
    obs, action = torch.randn(2, 6, 2), torch.rand(2, 6, 2)
    batch = segments(obs, action, length=[4, 6], terminated=[True, False])
    obs2 = obs.clone()
    obs2[0, 4:] = 99.0
    other = segments(obs2, action, length=[4, 6], terminated=[True, False])
    assert torch.equal(ensemble.segment_returns(batch), ensemble.segment_returns(other))


def test_returns_are_sums_of_member_rewards():
    ensemble = make()
    obs, action = torch.randn(4, 6, 2), torch.rand(4, 6, 2)
    rewards = ensemble.member_rewards(obs, action)
    assert rewards.shape == (3, 4, 6) and rewards.abs().max() < 1  # tanh
    returns = ensemble.segment_returns(segments(obs, action))
    torch.testing.assert_close(returns, rewards.sum(-1))
    torch.testing.assert_close(ensemble.member_rewards(obs[0, 0], action[0, 0]), rewards[:, 0, 0])


def test_members_differ_and_a_seed_repeats_them():
    obs, action = torch.randn(5, 2), torch.rand(5, 2)
    rewards = make().member_rewards(obs, action)
    assert (rewards[0] - rewards[1]).abs().max() > 1e-3
    torch.manual_seed(5)
    before = torch.get_rng_state()
    again = make()
    assert torch.equal(again.member_rewards(obs, action), rewards)
    assert torch.equal(torch.get_rng_state(), before)  # no global generator is touched


def test_actions_are_one_hot_or_scaled():
    encoded = ActionEncoder(DISCRETE)(torch.tensor([[2, 0], [0, 1]]))
    assert encoded.tolist() == [[0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]
    scaled = ActionEncoder(CONTINUOUS)(torch.tensor([[-2.0, 0.5], [1.0, 1.0], [9.0, -9.0]]))
    assert scaled.tolist() == [[-1.0, 0.0], [0.5, 1.0], [1.0, -1.0]]
    with pytest.raises(ValueError, match="without bounds"):
        ActionEncoder(ContinuousActions((-math.inf,), (math.inf,)))


def test_the_action_can_be_left_out():
    ensemble = make(use_action=False)
    obs = torch.randn(5, 2)
    left, right = (ensemble.member_rewards(obs, torch.full((5, 2), v)) for v in (0.0, 1.0))
    assert torch.equal(left, right)
    assert not torch.equal(*(make().member_rewards(obs, torch.full((5, 2), v)) for v in (0.0, 1.0)))


def test_tables_and_maps_go_through_the_policies_encoders():
    ensemble = make(TABLE, DISCRETE, encoder=EncoderConfig(table_width=4, map_channels=(2,)))
    obs, action = torch.rand(6, TABLE.size), torch.zeros(6, 2, dtype=torch.int64)
    units = obs[:, TABLE.slices["units"]].view(6, 3, 2)
    units[:, :, 0] = torch.tensor([1.0, 1.0, 0.0])
    rewards = ensemble.member_rewards(obs, action)
    swapped = obs.clone()
    swapped[:, TABLE.slices["units"]] = units[:, [1, 0, 2]].reshape(6, 6)
    torch.testing.assert_close(ensemble.member_rewards(swapped, action), rewards)
    absent = obs.clone()
    absent.view(6, -1)[:, TABLE.slices["units"].stop - 1] = 0.9  # hp of the unit that is not there
    torch.testing.assert_close(ensemble.member_rewards(absent, action), rewards)
    for name in ("state", "units", "map"):
        changed = obs.clone()
        part = TABLE.slices[name]
        changed[:, part.start + 1] += 3.0
        assert (ensemble.member_rewards(changed, action) - rewards).abs().max() > 1e-4, name


def test_observations_are_scaled_by_the_steps_that_happened():
    ensemble = make()
    obs = torch.zeros(2, 3, 2)
    obs[0, :, 0] = torch.tensor([1.0, 5.0, 77.0])  # the last step did not happen
    obs[1, :, 0] = torch.tensor([1.0, 5.0, 3.0])
    obs[..., 1] = 4.0  # does not vary: only shifted
    ensemble.fit_obs_normaliser(segments(obs, torch.zeros(2, 3, 2), length=[2, 3]))
    # mean 3, variance (4 + 4 + 4 + 4 + 0) / 5
    assert ensemble.obs_shift.tolist() == pytest.approx([3.0, 4.0])
    assert ensemble.obs_scale.tolist() == pytest.approx([1 / math.sqrt(16 / 5), 1.0])
    x = ensemble.inputs(torch.tensor([1e6, 4.5]), torch.zeros(2))
    assert x[:2].tolist() == pytest.approx([10.0, 0.5])  # clipped


def test_flags_of_tables_are_not_scaled():
    ensemble = make(TABLE, DISCRETE)
    obs = torch.rand(2, 3, TABLE.size)
    ensemble.fit_obs_normaliser(segments(obs, torch.zeros(2, 3, 2, dtype=torch.int64)))
    assert (ensemble.obs_scale[:2] != 1).all() and (ensemble.obs_scale[2:] == 1).all()
    assert (ensemble.obs_shift[2:] == 0).all()
    far = torch.full((TABLE.size,), 40.0)
    x = ensemble.inputs(far, torch.zeros(2, dtype=torch.int64))
    assert (x[:2] == 10.0).all() and (x[2 : TABLE.size] == 40.0).all()  # not clipped either


def test_vector_blocks_are_scaled_wherever_they_lie():
    around = Layout((vector("a", Column("x")), *TABLE.blocks[1:], vector("b", Column("y"))))
    ensemble = make(around, CONTINUOUS)
    x = ensemble.inputs(torch.full((around.size,), -40.0), torch.zeros(2))[: around.size]
    assert x[0] == x[-1] == -10.0 and (x[1:-1] == -40.0).all()


def test_reward_has_the_asked_for_deviation_and_mean_zero():
    ensemble = paying([2.0, 6.0], [0.0, 0.0], reward_std=3.0)
    batch = walk([0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0])
    ensemble.fit_normaliser(batch)
    reward = ensemble.reward(batch.obs, batch.action)
    assert float(reward.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(reward.std(unbiased=False)) == pytest.approx(3.0)


def test_zero_is_the_absorbing_state_once_one_was_seen():
    ensemble = paying([1.0, 3.0], [-1.0, -3.0])
    batch = walk([1.0, 2.0], [1.0, 0.0], length=[2, 1], terminated=[False, True])
    ensemble.terminates.fill_(True)  # as `RewardTrainer.fit` does for such segments
    ensemble.fit_normaliser(batch)
    for pessimism in (0.0, 2.0):
        assert ensemble.absorbing_reward(pessimism=pessimism) == 0.0
    # above the absorbing state: member 0: 2, 3, 2; member 1: 6, 9, 6; mean 4, 6, 4, whose squares
    # have the mean 68 / 3, since the fourth step did not happen
    unit = math.sqrt(68 / 3)
    reward = ensemble.reward(batch.obs, batch.action)
    assert reward.flatten().tolist()[:3] == pytest.approx([4 / unit, 6 / unit, 4 / unit])


def test_an_end_of_which_nothing_was_learned_counts_as_average():
    ensemble = paying([1.0], [-2.0])
    ensemble.fit_normaliser(walk([0.0, 4.0], [8.0, 0.0], length=[2, 1], terminated=[False, True]))
    assert ensemble.absorbing_reward() == 0.0
    # the mean of 0, 4 and 8 is worth the same
    assert float(ensemble.reward(torch.tensor([4.0, 0.0]), torch.zeros(2))) == pytest.approx(0.0)


def test_absorbing_reward_is_in_the_units_of_reward():
    ensemble = paying([1.0], [-2.0])
    ensemble.fit_normaliser(walk([0.0, 4.0]))  # mean 2, deviation 2
    ensemble.terminates.fill_(True)  # learned since; the units are older
    assert ensemble.absorbing_reward() == pytest.approx(-2.0)
    at_minus_two = ensemble.reward(torch.tensor([-2.0, 0.0]), torch.zeros(2))
    assert float(at_minus_two) == pytest.approx(ensemble.absorbing_reward())


def test_pessimism_takes_the_members_deviation_away():
    ensemble = paying([1.0, 3.0], [0.0, 0.0])
    obs = torch.tensor([[2.0, 0.0]])
    # members say 2 and 6: mean 4, deviation 2
    values = [float(ensemble.reward(obs, torch.zeros(1, 2), pessimism=k)) for k in (0.0, 1.5, -1.0)]
    assert values == pytest.approx([4.0, 1.0, 6.0])


def test_reward_in_parts_is_the_same(monkeypatch):
    ensemble = make()
    obs, action = torch.randn(7, 5, 2), torch.rand(7, 5, 2)
    whole = ensemble.reward(obs, action)
    monkeypatch.setattr("simrl.preferences.reward_model.CHUNK", 8)
    torch.testing.assert_close(ensemble.reward(obs, action), whole)
    assert whole.shape == (7, 5) and not whole.requires_grad


def test_probability_uses_the_temperature():
    ensemble = paying([1.0, 3.0], [0.0, 0.0])
    ensemble.temperature.fill_(4.0)
    # logits 2 and 6: mean 4, over 4: σ(1)
    chance = ensemble.probability(walk([2.0]), walk([0.0]))
    assert float(chance) == pytest.approx(1 / (1 + math.exp(-1)))
    assert ensemble.logits(walk([2.0], [1.0]), walk([0.0], [0.0]), chunk=1).tolist() == [
        [2.0, 1.0],
        [6.0, 3.0],
    ]


def test_normalisers_need_steps():
    empty = walk([1.0]).select(torch.zeros(0, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least one step"):
        make().fit_normaliser(empty)
    with pytest.raises(ValueError, match="at least one step"):
        make().fit_obs_normaliser(empty)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 0}, "members must be at least 1, got 0"),
        ({"hidden": (8, 0)}, "hidden widths must be at least 1"),
        ({"activation": "gelu"}, "unknown activation 'gelu'; the choices are relu"),
        ({"output": "sigmoid"}, "unknown output 'sigmoid'; the choices are tanh, linear"),
        ({"reward_std": 0.0}, "reward_std must be positive"),
    ],
)
def test_wrong_configs_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        RewardModelConfig(**options)


def test_a_folder_brings_the_model_back(tmp_path):
    ensemble = make(TABLE, DISCRETE, encoder=EncoderConfig(table_width=4), reward_std=2.0)
    obs, action = torch.rand(4, 3, TABLE.size), torch.zeros(4, 3, 2, dtype=torch.int64)
    batch = segments(obs, action, length=[3, 3, 3, 2], terminated=[False, False, False, True])
    ensemble.fit_obs_normaliser(batch)
    ensemble.fit_normaliser(batch)
    ensemble.temperature.fill_(1.7)
    ensemble.terminates.fill_(True)
    save_reward_model(ensemble, tmp_path / "model")
    copy = load_reward_model(tmp_path / "model", ensemble.spec)
    assert copy.config == ensemble.config
    for name, value in ensemble.state_dict().items():
        assert torch.equal(copy.state_dict()[name], value), name
    assert torch.equal(copy.reward(obs, action), ensemble.reward(obs, action))


def test_a_folder_that_does_not_fit_says_why(tmp_path):
    ensemble = make()
    save_reward_model(ensemble, tmp_path)
    with pytest.raises(ValueError, match=r"learned on made-up .* but made-up has"):
        load_reward_model(tmp_path, make(TABLE).spec)
    weights = tmp_path / "reward_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"reward_model.safetensors cannot be read"):
        load_reward_model(tmp_path, ensemble.spec)
    (tmp_path / "reward_model.yaml").write_text("model: {members: many}")
    with pytest.raises(ValueError, match=r"reward_model.yaml cannot be read"):
        load_reward_model(tmp_path, ensemble.spec)
    with pytest.raises(ValueError, match="cannot be read"):
        load_reward_model(tmp_path / "nowhere", ensemble.spec)
