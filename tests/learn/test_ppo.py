"""PPO's update: the two ways to its gradient agree, minibatches, schedules, resume, bad numbers."""

import dataclasses

import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.learn.batch import Batch
from simrl.learn.checkpoint import flatten, unflatten
from simrl.learn.ppo import NonFiniteLossError, PPOConfig, PPOLearner
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.rollout.buffer import RolloutBuffer

LAYOUT = Layout((vector("x", *(Column(f"c{index}") for index in range(5))),))
DISCRETE = DiscreteActions((Head("button", 3), Head("target", 4, True)), "button")
BOX = ContinuousActions((-1.0, -1.0), (1.0, 1.0))


def make_spec(actions):
    return EnvSpec(
        "synthetic",
        1,
        {"policy": LAYOUT, "critic": LAYOUT},
        actions,
        reward_terms=("a", "b"),
        reward_weights=(1.0, 0.5),
        reward_groups=("a", "b"),
    )


def make_buffer(net, steps=6, lanes=10, seed=0):
    """Act with `net` on random observations, so that the stored figures are its own."""
    generator = torch.Generator().manual_seed(seed)

    def obs(*lead):
        groups = {
            "policy": torch.randn(*lead, 5, generator=generator),
            "critic": torch.randn(*lead, 5, generator=generator),
        }
        if isinstance(net.actions, DiscreteActions):
            groups["action_mask"] = torch.ones(*lead, net.actions.mask_size, dtype=torch.bool)
        return groups

    seen, nothing = obs(steps, lanes), torch.zeros(steps, lanes, dtype=torch.bool)
    starts = torch.rand(steps, lanes, generator=generator) < 0.2
    state = net.initial_state(lanes)
    with torch.no_grad():
        dist, value = net.sequence(seen, state, starts)
        action, log_prob = dist.sample(generator)
    terms = torch.randn(steps, lanes, 2, generator=generator)
    return RolloutBuffer(
        lanes=torch.zeros(lanes, 2, dtype=torch.int64),
        obs=seen,
        action=action.unflatten(0, (steps, lanes)),
        log_prob=log_prob.unflatten(0, (steps, lanes)),
        value=value,
        reward=terms @ torch.tensor([1.0, 0.5]),
        reward_terms=terms,
        terminated=nothing.clone(),
        truncated=nothing,
        episode_start=starts,
        start_state=state,
        final_index=torch.zeros(0, 2, dtype=torch.int64),
        final_obs=obs(0),
        final_state={},
        next_obs=obs(lanes),
        next_state=state,
    )


def make_learner(actions=DISCRETE, *, seed=0, net=None, **options):
    torch.manual_seed(seed)
    settings = {"hidden": (16, 16), "activation": "tanh", "policy_gain": 1.0, **(net or {})}
    network = ActorCritic(make_spec(actions), ActorCriticConfig(**settings))
    return PPOLearner(network, PPOConfig(**{"minibatch_size": 20, **options}), seed=seed)


@pytest.mark.parametrize("actions", [DISCRETE, BOX])
@pytest.mark.parametrize("critic", ["shared", "separate", "privileged"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu"])
@pytest.mark.parametrize("clips", [(3.0, None), (1.05, 0.1), (None, 0.05)])
def test_gradient_by_hand_equals_autograd(actions, critic, activation, clips):
    options = {"dual_clip": clips[0], "value_clip": clips[1], "max_grad_norm": None}
    net = {"critic": critic, "activation": activation, "normalise_obs": True}
    learner = make_learner(actions, net=net, normalise_value=True, **options)
    buffer = make_buffer(learner.net)
    learner.net.update_normaliser(buffer.obs)
    # Move away from the policy that acted, so that ratios leave the clip on both sides.
    batch = learner.prepare(buffer)
    with torch.no_grad():
        for parameter in learner.net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    minibatch = next(batch.minibatches(60, torch.Generator().manual_seed(1)))
    parts = learner._gradient(minibatch, 0.03)
    by_hand = [parameter.grad.clone() for parameter in learner.net.parameters()]
    learner.explicit = None
    expected = learner._gradient(minibatch, 0.03)
    for ours, parameter in zip(by_hand, learner.net.parameters(), strict=True):
        assert torch.allclose(ours, parameter.grad, atol=2e-6)
    assert parts.keys() == expected.keys()
    for name in parts:
        assert float(parts[name]) == pytest.approx(float(expected[name]), rel=1e-4, abs=1e-6)
    assert 0.0 < parts["clip_fraction"] < 1.0


def test_loss_against_finite_differences_in_float64():
    learner = make_learner(net={"recurrent": "lstm", "recurrent_width": 4, "hidden": (4,)})
    batch = learner.prepare(make_buffer(learner.net, steps=4, lanes=3))
    minibatch = next(batch.minibatches(99, torch.Generator().manual_seed(1)))
    double = {
        name: {key: v.double() if v.is_floating_point() else v for key, v in value.items()}
        if isinstance(value, dict)
        else (value.double() if value.is_floating_point() else value)
        for name, value in vars(minibatch).items()
        if value is not None
    }
    minibatch = dataclasses.replace(minibatch, **double)
    learner.net.double()
    parameters = list(learner.net.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter += 0.05 * torch.randn(parameter.shape, dtype=torch.float64)
    learner.value_weights = learner.value_weights.double()
    loss, _ = learner.loss(minibatch, 0.02)
    grads = torch.autograd.grad(loss, parameters)
    for parameter, grad in zip(parameters, grads, strict=True):
        index, step = int(grad.abs().argmax()), 1e-6
        flat = parameter.data.view(-1)
        sides = []
        for sign in (1, -1):
            flat[index] += sign * step
            sides.append(learner.loss(minibatch, 0.02)[0].item())
            flat[index] -= sign * step
        slope = (sides[0] - sides[1]) / (2 * step)
        assert slope == pytest.approx(float(grad.view(-1)[index]), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("recurrent", [False, True])
def test_minibatches_hold_every_sample_once(recurrent):
    learner = make_learner()
    buffer = make_buffer(learner.net, steps=6, lanes=10)
    # Each sample is named by its number: 10 t + lane.
    number = torch.arange(60.0).view(6, 10)
    buffer.log_prob.copy_(number)
    batch = Batch(buffer, number, number.unsqueeze(-1).expand(6, 10, 2), recurrent)
    parts = list(batch.minibatches(18, torch.Generator().manual_seed(0)))
    assert len(parts) == 3
    seen = torch.cat([part.log_prob for part in parts])
    assert seen.sort().values.tolist() == list(range(60))
    for part in parts:
        assert torch.equal(part.log_prob, part.advantage)
        rows = part.log_prob.long()
        expected = buffer.obs["policy"].flatten(0, 1)[rows]
        assert torch.equal(part.obs["policy"].flatten(0, 1), expected)
        if recurrent:  # whole sequences in time
            times = rows.view(6, -1)
            assert (times.diff(dim=0) == 10).all()


def test_first_pass_has_ratio_one_and_metrics_are_complete():
    learner = make_learner(epochs=1, minibatch_size=1000)
    metrics = learner.update(make_buffer(learner.net))
    assert metrics["loss/approx_kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["loss/clip_fraction"] == 0.0
    # Normalised advantages have mean 0, and every ratio is 1.
    assert metrics["loss/policy"] == pytest.approx(0.0, abs=1e-5)
    for name in ("value", "entropy", "grad_norm", "explained_variance", "learning_rate"):
        assert f"loss/{name}" in metrics


NETS = [{}, {"recurrent": "lstm", "recurrent_width": 8}, {"history": 2, "critic": "separate"}]


@pytest.mark.parametrize("net", NETS)
def test_resume_continues_bit_for_bit(net):
    straight = make_learner(net=net, normalise_value=True, adapt_kl=1e-6)
    buffers = [make_buffer(straight.net, seed=seed) for seed in range(3)]
    for buffer in buffers[:2]:
        straight.update(buffer)
    saved = unflatten(*flatten(straight.state_dict()))  # as a checkpoint would
    resumed = make_learner(net=net, seed=5, normalise_value=True, adapt_kl=1e-6)
    resumed.load_state_dict(saved)
    assert straight.update(buffers[2]) == resumed.update(buffers[2])
    for left, right in zip(straight.net.parameters(), resumed.net.parameters(), strict=True):
        assert torch.equal(left, right)


def test_schedules_follow_progress():
    learner = make_learner(
        learning_rate_schedule="linear", entropy_schedule="linear", entropy_coef=0.02
    )
    buffer = make_buffer(learner.net)
    metrics = learner.update(buffer, 0.75)
    assert metrics["loss/learning_rate"] == pytest.approx(0.25 * 3e-4)
    assert metrics["loss/entropy_coef"] == pytest.approx(0.005)


@pytest.mark.parametrize("net", [{}, {"recurrent": "gru"}])
def test_target_kl_stops_the_passes(net):
    learner = make_learner(net=net, learning_rate=0.3, target_kl=0.01, epochs=10)
    buffer = make_buffer(learner.net)
    metrics = learner.update(buffer)
    assert 1 < metrics["loss/minibatches"] < 10


@pytest.mark.parametrize(("aim", "factor"), [(1e3, 1.5), (1e-9, 1 / 1.5), (None, 1.0)])
def test_the_step_size_adapts_to_how_far_the_policy_moved(aim, factor):
    learner = make_learner(adapt_kl=aim)
    buffer = make_buffer(learner.net)
    rates = [learner.update(buffer)["loss/learning_rate"] for _ in range(3)]
    assert rates == pytest.approx([3e-4, 3e-4 * factor, 3e-4 * factor**2])
    for _ in range(15):
        learner.update(buffer)
    scale = learner.update(buffer)["loss/learning_rate"] / 3e-4
    assert scale == pytest.approx(1.0 if aim is None else 10.0 if aim > 1 else 0.01)


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_a_history_is_learned_from_shuffled_samples_as_from_sequences(critic):
    net = {"history": 2, "critic": critic, "normalise_obs": True}
    learner = make_learner(BOX, net=net, minibatch_size=60, epochs=1)
    buffer = make_buffer(learner.net)
    assert learner.explicit is not None
    metrics = learner.update(buffer)
    # One minibatch of the policy that acted: every ratio is 1 only if it is shown what it saw then.
    assert metrics["loss/approx_kl"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["loss/clip_fraction"] == 0.0


@pytest.mark.parametrize("net", [{}, {"recurrent": "gru"}])
def test_a_number_gone_bad_is_named_and_its_batch_handed_over(net):
    kept = []
    learner = make_learner(net=net)
    learner.on_bad_batch = kept.append
    buffer = make_buffer(learner.net)
    buffer.obs["policy"][2, 3, 1] = torch.nan
    before = [parameter.detach().clone() for parameter in learner.net.parameters()]
    with pytest.raises(NonFiniteLossError, match="obs/policy"):
        for _ in range(5):
            learner.update(buffer)
    assert torch.isnan(kept[0]["obs/policy"]).any()
    for old, new in zip(before, learner.net.parameters(), strict=True):
        assert torch.isfinite(new).all(), old


def test_wrong_options_name_the_valid_choices():
    with pytest.raises(ValueError, match="the groups are a, b"):
        make_learner(value_group_weights={"c": 1.0})
    with pytest.raises(ValueError, match="gamma"):
        PPOConfig(gamma=1.5)
    with pytest.raises(ValueError, match="dual_clip"):
        PPOConfig(dual_clip=0.5)
    with pytest.raises(ValueError, match="adapt_kl must be positive"):
        PPOConfig(adapt_kl=0.0)
    with pytest.raises(ValueError, match="constant, linear"):
        make_learner(learning_rate_schedule="cosine").update(make_buffer(make_learner().net))


@pytest.mark.parametrize("net", [{"recurrent": "lstm"}, {"critic": "privileged"}])
@pytest.mark.parametrize("threads", [2, 3])
def test_shares_of_a_minibatch_add_up_to_its_gradient(net, threads):
    learner = make_learner(net=net, threads=1, max_grad_norm=None)
    learner.explicit = None
    batch = learner.prepare(make_buffer(learner.net, steps=5, lanes=7))  # 7 lanes: unequal shares
    minibatch = next(batch.minibatches(99, torch.Generator().manual_seed(1)))
    whole = learner._gradient(minibatch, 0.02)
    expected = [parameter.grad.clone() for parameter in learner.net.parameters()]
    learner.sharded.threads = threads
    shared = learner._gradient(minibatch, 0.02)
    for parameter, grad in zip(learner.net.parameters(), expected, strict=True):
        assert torch.allclose(parameter.grad, grad, atol=1e-6)
    for name, value in whole.items():
        assert float(shared[name]) == pytest.approx(float(value), rel=1e-4, abs=1e-6)
