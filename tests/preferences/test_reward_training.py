"""Fitting: the gradient by hand is autograd's, known rewards come back, runs resume bit for bit."""

import copy

import numpy as np
import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.core.spec import Block, Column, EnvSpec, Layout, vector
from simrl.nn.encoders import EncoderConfig
from simrl.preferences.dataset import PreferenceData
from simrl.preferences.minibatch import Pairs, bootstrap_weights
from simrl.preferences.reward_gradient import PlainGradient
from simrl.preferences.reward_model import RewardEnsemble, RewardModelConfig
from simrl.preferences.reward_training import RewardTrainer, RewardTrainerConfig
from simrl.preferences.segment import SegmentBatch
from simrl.rollout.observers import NonFiniteError

WEIGHTS = torch.tensor([1.0, -2.0, 0.5])
SPEC = EnvSpec(
    "made-up",
    1,
    {"policy": Layout((vector("state", Column("a"), Column("b"), Column("c")),))},
    ContinuousActions((-1.0,), (1.0,)),
)


def random_pairs(size, *, seed=0, steps=8, noise=False, ends=False):
    """Pairs labelled by the reward WEIGHTS · obs, or drawn from its Bradley-Terry model."""
    rng = torch.Generator().manual_seed(seed)
    sides = []
    for _ in range(2):
        obs = torch.randn(size, steps, 3, generator=rng)
        length = torch.full((size,), steps)
        terminated = torch.zeros(size, dtype=torch.bool)
        if ends:
            length = torch.randint(1, steps + 1, (size,), generator=rng)
            terminated = (length < steps) & (torch.rand(size, generator=rng) < 0.6)
        happened = (torch.arange(steps) < length[:, None])[..., None]
        side = SegmentBatch(
            obs=obs * happened,
            action=(torch.rand(size, steps, 1, generator=rng) * 2 - 1) * happened,
            reward=(obs * happened) @ WEIGHTS,
            reward_terms=torch.zeros(size, steps, 0),
            length=length,
            terminated=terminated,
            episode=torch.arange(size),
        )
        sides.append(side)
    margin = sides[0].reward.sum(1) - sides[1].reward.sum(1)
    label = (margin > 0).float()
    if noise:
        label = (torch.rand(size, generator=rng) < torch.sigmoid(margin)).float()
    data = PreferenceData()
    data.add(sides[0], sides[1], label)
    return data


def trainer(config=None, *, seed=0, spec=SPEC, **options):
    model = {"hidden": (16, 16), "members": 2} | options
    ensemble = RewardEnsemble(spec, RewardModelConfig(**model), seed=3)
    return RewardTrainer(ensemble, config or RewardTrainerConfig(), seed=seed)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh"])
@pytest.mark.parametrize("output", ["tanh", "linear"])
@pytest.mark.parametrize(("noise", "ends"), [(0.0, False), (0.1, True)])
def test_the_gradient_by_hand_is_that_of_autograd(monkeypatch, activation, output, noise, ends):
    monkeypatch.setattr("simrl.preferences.reward_gradient.CHUNK_FLOATS", 2 * 16 * 2 * 8 * 5)
    config = RewardTrainerConfig(label_noise=noise)
    subject = trainer(config, activation=activation, output=output, members=3, hidden=(16, 12))
    with torch.no_grad():
        subject.ensemble.absorbing_raw.copy_(torch.tensor([0.3, -0.5, 0.1]))
    data = random_pairs(12, ends=ends)
    both = SegmentBatch.cat([data.first, data.second])
    batch = Pairs(subject.ensemble, data, both, seed=5).minibatch(torch.arange(12))
    assert (batch.mask is not None) == (batch.absorbed is not None) == ends
    assert subject.plain is not None
    subject.grad.zero_()
    loss, logit = subject.plain.fill(batch, noise)
    by_hand = subject.grad.clone()
    subject.grad.zero_()
    wanted, logits = subject.loss(batch)
    wanted.backward()
    assert subject.grad.abs().max() > 1e-3
    torch.testing.assert_close(by_hand, subject.grad, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss, wanted.detach())
    torch.testing.assert_close(logit, logits)
    if ends:
        assert (subject.ensemble.absorbing_raw.grad.abs() > 1e-4).all()


def test_only_small_plain_nets_are_worked_out_by_hand():
    assert PlainGradient.fits(trainer().ensemble)
    assert not PlainGradient.fits(trainer(hidden=()).ensemble)
    large = trainer(hidden=(256, 256))
    assert not PlainGradient.fits(large.ensemble) and large.plain is None
    with pytest.raises(ValueError, match="are plain"):
        PlainGradient(large.ensemble)


def test_a_linear_reward_comes_back_with_its_scale():
    # Labels are drawn from the Bradley-Terry model of WEIGHTS · obs, so the most likely linear
    # reward is WEIGHTS itself, within the standard error of a logistic regression (about 0.12).
    data = random_pairs(4000, steps=2, noise=True, seed=1)
    config = RewardTrainerConfig(
        learning_rate=0.02, batch_size=500, epochs=40, label_noise=0.0, bootstrap=False
    )
    subject = trainer(config, hidden=(), output="linear", normalise_obs=False, members=1)
    subject.fit(data)
    found = subject.ensemble.weights[0].detach()[0, 0]
    torch.testing.assert_close(found[:3], WEIGHTS, rtol=0, atol=0.25)
    assert abs(float(found[3])) < 0.25  # the action does not matter


@pytest.mark.parametrize("hidden", [(16, 16), (160, 160)])
def test_a_network_learns_to_rank_pairs_that_it_has_not_seen(hidden):
    config = RewardTrainerConfig(learning_rate=3e-3, batch_size=32, epochs=30, stop_accuracy=2.0)
    subject = trainer(config, hidden=hidden, output="linear")
    figures = subject.fit(random_pairs(300, seed=1), random_pairs(200, seed=2))
    assert figures["reward/held_out_accuracy"] > 0.93
    assert figures["reward/held_out_nll"] < 0.3
    assert figures["reward/epochs"] == 30 and figures["reward/pairs"] == 300
    reward = subject.ensemble.reward(torch.randn(500, 3), torch.zeros(500, 1))
    assert reward.shape == (500,) and 0.3 < float(reward.std()) < 3.0


def test_images_tables_and_buttons_can_be_learned_from():
    layout = Layout(
        (
            vector("state", Column("a")),
            Block("units", (2, 2), (Column("here"), Column("hp")), kind="table", present="here"),
            Block("map", (1, 4, 4), (Column("seen"),), kind="map"),
        )
    )
    spec = EnvSpec("game", 1, {"policy": layout}, DiscreteActions((Head("button", 3),)))
    rng = torch.Generator().manual_seed(0)
    sides = []
    for _ in range(2):
        obs = torch.rand(600, 4, layout.size, generator=rng)
        obs[..., layout.slices["units"]].view(600, 4, 2, 2)[..., 0] = 1.0
        button = torch.randint(0, 3, (600, 4, 1), generator=rng)
        hp = obs[..., layout.slices["units"].start + 1]
        seen = obs[..., layout.slices["map"]].mean(-1) * 8
        sides.append(
            SegmentBatch(
                obs=obs,
                action=button,
                reward=hp + seen - (button[..., 0] == 1).float(),
                reward_terms=torch.zeros(600, 4, 0),
                length=torch.full((600,), 4),
                terminated=torch.zeros(600, dtype=torch.bool),
                episode=torch.arange(600),
            )
        )
    data = PreferenceData()
    data.add(*sides, (sides[0].reward.sum(1) > sides[1].reward.sum(1)).float())
    learn, judge = data.select(torch.arange(480)), data.select(torch.arange(480, 600))
    config = RewardTrainerConfig(learning_rate=1e-2, batch_size=32, epochs=8)
    subject = trainer(
        config,
        spec=spec,
        encoder=EncoderConfig(table_width=8, map_channels=(4,)),
        output="linear",
    )
    assert subject.plain is None
    figures = subject.fit(learn, judge)
    assert figures["reward/held_out_accuracy"] > 0.8, figures


def test_falling_early_is_learned_to_be_bad():
    """A CartPole in small: every step pays 1, and what differs is how long a pole stood."""
    rng = torch.Generator().manual_seed(0)
    length = torch.randint(1, 11, (400,), generator=rng)
    happened = torch.arange(10) < length[:, None]
    batch = SegmentBatch(
        obs=torch.randn(400, 10, 3, generator=rng) * happened[..., None],
        action=torch.zeros(400, 10, 1),
        reward=happened.float(),
        reward_terms=torch.zeros(400, 10, 0),
        length=length,
        terminated=length < 10,
        episode=torch.arange(400),
    )
    first, second = batch.select(torch.arange(200)), batch.select(torch.arange(200, 400))
    data = PreferenceData()
    data.add(first, second, ((first.length - second.length).sign() + 1) / 2.0)
    config = RewardTrainerConfig(learning_rate=3e-3, batch_size=32, epochs=20, stop_accuracy=2.0)
    subject = trainer(config)
    figures = subject.fit(data)
    assert figures["reward/accuracy"] > 0.95
    # In the units of `reward`, standing pays in every state, and being down pays nothing.
    reward = subject.ensemble.reward(torch.randn(300, 3, generator=rng), torch.zeros(300, 1))
    assert bool(subject.ensemble.terminates) and subject.ensemble.absorbing_reward() == 0.0
    assert float(reward.min()) > 0.0


def test_ties_alone_teach_that_returns_are_equal():
    data = random_pairs(100)
    ties = PreferenceData()
    ties.add(data.first, data.second, torch.full((100,), 0.5))
    config = RewardTrainerConfig(learning_rate=3e-3, epochs=40)
    subject = trainer(config)
    before = subject.ensemble.logits(data.first, data.second).abs().mean()
    figures = subject.fit(ties)
    assert np.isnan(figures["reward/accuracy"])
    assert subject.ensemble.logits(data.first, data.second).abs().mean() < 0.3 * before


def test_the_bootstrap_is_poisson_and_never_changes():
    weights = bootstrap_weights(torch.arange(20_000), 3, seed=1)
    assert torch.equal(bootstrap_weights(torch.arange(50), 3, seed=1), weights[:, :50])
    assert torch.equal(weights, weights.round())
    # Poisson(1): mean 1, variance 1, and exp(-1) of the pairs are not seen at all; within four
    # standard errors of 20,000 draws
    for member in weights:
        assert float(member.mean()) == pytest.approx(1.0, abs=0.03)
        assert float(member.var()) == pytest.approx(1.0, abs=0.05)
        assert float((member == 0).float().mean()) == pytest.approx(np.exp(-1), abs=0.014)
    assert abs(np.corrcoef(weights[:2].numpy())[0, 1]) < 0.03


def test_without_the_bootstrap_members_see_the_same():
    data = random_pairs(30)
    ensemble = trainer().ensemble
    pairs = Pairs(ensemble, data, SegmentBatch.cat([data.first, data.second]), None)
    assert pairs.minibatch(torch.arange(10)).weight.tolist() == [[pytest.approx(0.1)] * 10] * 2


def test_inputs_worked_out_per_minibatch_are_the_same(monkeypatch):
    data = random_pairs(30, ends=True)
    both = SegmentBatch.cat([data.first, data.second])
    ensemble = trainer().ensemble
    ready = Pairs(ensemble, data, both, 1).minibatch(torch.tensor([4, 2]))
    monkeypatch.setattr("simrl.preferences.minibatch.PREPARED_BYTES", 0)
    late = Pairs(ensemble, data, both, 1).minibatch(torch.tensor([4, 2]))
    assert torch.equal(ready.x, late.x) and torch.equal(ready.mask, late.mask)


@pytest.mark.parametrize("hidden", [(16, 16), (260,)])
def test_fitting_resumes_bit_for_bit(hidden):
    data, more = random_pairs(60, ends=True), random_pairs(60, seed=4)
    config = RewardTrainerConfig(batch_size=16, epochs=3, stop_accuracy=2.0)
    whole, resumed = trainer(config, hidden=hidden), trainer(config, hidden=hidden)
    whole.fit(data)
    state = copy.deepcopy(whole.state_dict())
    figures = whole.fit(more)
    resumed.load_state_dict(state)
    assert resumed.fit(more) == figures
    assert resumed.fits == whole.fits == 2
    for name, value in whole.ensemble.state_dict().items():
        assert torch.equal(resumed.ensemble.state_dict()[name], value), name


def test_the_seed_orders_the_minibatches():
    data = random_pairs(60)
    config = RewardTrainerConfig(batch_size=16, epochs=2, bootstrap=False)
    weights = []
    for seed in (0, 0, 1):
        subject = trainer(config, seed=seed)
        subject.fit(data)
        weights.append(subject.flat.detach().clone())
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_patience_goes_back_to_the_best_weights():
    data, held = random_pairs(12, seed=1), random_pairs(200, seed=2)
    config = RewardTrainerConfig(
        learning_rate=0.02, batch_size=4, epochs=200, patience=5, stop_accuracy=2.0, label_noise=0.0
    )
    subject = trainer(config, hidden=(64, 64))
    figures = subject.fit(data, held)
    assert figures["reward/epochs"] < 200
    long = trainer(RewardTrainerConfig(**{**vars(config), "patience": 0, "epochs": 60}),
                   hidden=(64, 64))  # fmt: skip
    assert figures["reward/held_out_nll"] < long.fit(data, held)["reward/held_out_nll"]


def test_a_fit_stops_when_it_ranks_well_enough():
    config = RewardTrainerConfig(learning_rate=3e-3, batch_size=16, epochs=100, stop_accuracy=0.9)
    figures = trainer(config).fit(random_pairs(200))
    assert figures["reward/epochs"] < 100 and figures["reward/accuracy"] >= 0.9


def test_l2_keeps_weights_small():
    data = random_pairs(60)
    sizes = []
    for l2 in (0.0, 1.0):
        config = RewardTrainerConfig(
            learning_rate=3e-3, batch_size=8, epochs=40, stop_accuracy=2.0, l2=l2
        )
        subject = trainer(config)
        subject.fit(data)
        sizes.append(float(subject.flat.detach().norm()))
    assert sizes[1] < 0.7 * sizes[0]


def test_a_loss_that_is_not_finite_stops_and_names_the_tensor():
    data = random_pairs(30)
    obs = data.second.obs
    obs[7, 2, 1] = torch.nan
    seen = []
    subject = trainer(normalise_obs=False)
    subject.on_bad_batch = seen.append
    before = subject.flat.detach().clone()
    with pytest.raises(NonFiniteError, match=r"fit 0: the loss is not finite; not finite are x$"):
        subject.fit(data)
    assert torch.isnan(seen[0]["x"]).any()
    assert torch.equal(subject.flat.detach(), before)


def test_nothing_to_learn_from_is_said():
    with pytest.raises(ValueError, match="there are no preferences to learn from"):
        trainer().fit(PreferenceData())


def test_pairs_of_another_environment_are_refused():
    def spec(observed, heads):
        columns = [Column(f"x{index}") for index in range(observed)]
        actions = DiscreteActions(tuple(Head(f"h{index}", 2) for index in range(heads)))
        return EnvSpec("other", 1, {"policy": Layout((vector("state", *columns),))}, actions)

    data = random_pairs(4)
    for observed, heads, message in (
        (4, 1, "hold observations of 3 numbers, those of other have 4"),
        (3, 2, "hold actions of 1 numbers, those of other have 2"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer(spec=spec(observed, heads)).fit(data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"batch_size": 0}, "batch_size must be positive"),
        ({"l2": -1.0}, "l2 must not be negative"),
        ({"label_noise": 1.0}, "label noise must be"),
    ],
)
def test_wrong_configs_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        RewardTrainerConfig(**options)


@pytest.mark.gpu
def test_an_ensemble_on_a_gpu_learns_from_pairs_on_the_cpu():
    data = random_pairs(300, ends=True)
    config = RewardTrainerConfig(learning_rate=3e-3, batch_size=32, epochs=20, stop_accuracy=2.0)
    ensemble = RewardEnsemble(SPEC, RewardModelConfig(hidden=(32, 32), output="linear"), seed=3)
    subject = RewardTrainer(ensemble.to("cuda"), config)
    assert subject.plain is None
    assert subject.fit(data, random_pairs(100, seed=2, ends=True))["reward/held_out_accuracy"] > 0.8
    reward = ensemble.reward(torch.randn(7, 3, device="cuda"), torch.zeros(7, 1, device="cuda"))
    assert reward.is_cuda and torch.isfinite(reward).all()


def test_without_an_absorbing_state_an_end_is_average_play():
    data = random_pairs(60, ends=True)
    fitted = trainer(RewardTrainerConfig(epochs=3), absorbing=False)
    before = fitted.ensemble.absorbing_raw.clone()
    fitted.fit(data)
    ensemble = fitted.ensemble
    assert torch.equal(ensemble.absorbing_raw, before)
    assert not ensemble.terminates and ensemble.absorbing_reward() == 0.0
    both = SegmentBatch.cat([data.first, data.second])
    rewards = ensemble.member_rewards(both.obs, both.action)
    assert torch.allclose(ensemble.segment_returns(both), (rewards * both.mask).sum(-1))
    # The mean over the steps that happened is zero, so playing on is worth no more than the end.
    assert float(ensemble.reward(both.obs, both.action)[both.mask].mean()) == pytest.approx(
        0, abs=1e-5
    )
