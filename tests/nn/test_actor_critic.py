"""The network as a whole: acting and sequences agree, attention, critics, value scale."""

from dataclasses import replace

import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.core.spec import Block, Column, EnvSpec, Layout, vector
from simrl.nn import ActorCritic, ActorCriticConfig, EncoderConfig, RunningNormaliser


def columns(count):
    return tuple(Column(f"c{index}") for index in range(count))


POLICY = Layout(
    (
        vector("own", *columns(4)),
        Block("targets", (3, 3), (*columns(2), Column("present", 0, 1)), "table", "present"),
    )
)
SPEC = EnvSpec(
    "skirmish",
    1,
    {"policy": POLICY, "critic": Layout((vector("all", *columns(6)),))},
    DiscreteActions((Head("button", 2), Head("target", 4, True)), "button"),
    reward_terms=("gold", "win"),
    reward_weights=(0.1, 1.0),
    reward_groups=("farm", "result"),
)


def observations(*lead, seed=0):
    generator = torch.Generator().manual_seed(seed)
    policy = torch.rand(*lead, POLICY.size, generator=generator)
    policy[..., POLICY.slices["targets"]].unflatten(-1, (3, 3))[..., 2] = 1.0
    mask = torch.ones(*lead, SPEC.actions.mask_size, dtype=torch.bool)
    return {
        "policy": policy,
        "critic": torch.randn(*lead, 6, generator=generator),
        "action_mask": mask,
    }


@pytest.mark.parametrize("critic", ["shared", "separate", "privileged"])
@pytest.mark.parametrize("recurrent", ["none", "lstm", "gru"])
def test_acting_and_learning_see_the_same(critic, recurrent):
    torch.manual_seed(0)
    config = ActorCriticConfig(
        hidden=(16,),
        recurrent=recurrent,
        recurrent_width=8,
        critic=critic,
        encoder=EncoderConfig(table_width=8),
        attention_heads={"target": "targets"},
        policy_gain=1.0,
        normalise_obs=True,
    )
    net = ActorCritic(SPEC, config)
    obs = observations(5, 4)
    net.update_normaliser(obs)
    starts = torch.zeros(5, 4, dtype=torch.bool)
    starts[2, 1] = starts[4, 3] = starts[0, 0] = True
    with torch.no_grad():
        state = net.initial_state(4)
        dist, values = net.sequence(obs, state, starts)
        logits = dist.logits.unflatten(0, (5, 4))
        for t in range(5):
            state = {k: v.masked_fill(starts[t][:, None], 0.0) for k, v in state.items()}
            now = {name: group[t] for name, group in obs.items()}
            step, value, state = net.act_step(now, state)
            assert torch.allclose(step.logits, logits[t], atol=1e-5)
            assert torch.allclose(value, values[t], atol=1e-5)
    assert values.shape == (5, 4, 2)


def test_attention_follows_the_units():
    torch.manual_seed(0)
    config = ActorCriticConfig(
        attention_heads={"target": "targets"}, policy_gain=1.0, pool_attended=False
    )
    net = ActorCritic(SPEC, config)
    torch.nn.init.zeros_(net.head.weight)
    obs = observations(6)
    order = [2, 0, 1]
    swapped = {**obs, "policy": obs["policy"].clone()}
    part = POLICY.slices["targets"]
    swapped["policy"][:, part] = obs["policy"][:, part].unflatten(-1, (3, 3))[:, order].flatten(1)
    with torch.no_grad():
        before = net.act_step(obs, {})[0].logits[:, 2:]
        after = net.act_step(swapped, {})[0].logits[:, 2:]
    assert torch.allclose(after[:, :3], before[:, order], atol=1e-6)
    assert (before[:, :3] != 0).all()
    assert (before[:, 3] == 0).all()  # the fourth value has no unit and no attention


def test_reads_name_what_the_network_needs():
    assert ActorCritic(SPEC).reads == {"policy", "action_mask"}
    config = ActorCriticConfig(critic="privileged")
    assert ActorCritic(SPEC, config).reads == {"policy", "action_mask", "critic"}


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_value_scale_keeps_every_value(critic):
    torch.manual_seed(0)
    net = ActorCritic(SPEC, ActorCriticConfig(critic=critic))
    obs = observations(8)
    with torch.no_grad():
        logits, value, _ = net.act_step(obs, {})
        for scale in (100.0, 3.0):
            net.update_value_scale(torch.randn(50, 2) * torch.tensor([scale, 0.5]) + 7.0)
            after, moved, _ = net.act_step(obs, {})
            assert torch.allclose(moved, value, rtol=1e-3, atol=1e-4)
            assert torch.equal(after.logits, logits.logits)
    assert net.value_scale[0] > 20.0


def test_continuous_actions_give_a_gaussian():
    spec = EnvSpec("pole", 1, {"policy": POLICY}, ContinuousActions((-2.0,), (2.0,)))
    net = ActorCritic(spec, ActorCriticConfig(initial_log_std=-0.5))
    dist, value, _ = net.act_step({"policy": torch.zeros(3, POLICY.size)}, {})
    assert dist.mean.shape == (3, 1)
    assert value.shape == (3, 1)
    assert dist.log_std.tolist() == [-0.5]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ActorCriticConfig(attention_heads={"aim": "targets"}), "the heads are button, target"),
        (ActorCriticConfig(attention_heads={"target": "foes"}), "the blocks are own, targets"),
        (ActorCriticConfig(attention_heads={"button": "targets"}), "has 2 values"),
        (ActorCriticConfig(activation="swish"), "relu, leaky_relu, tanh"),
        (ActorCriticConfig(critic="none"), "shared, separate, privileged"),
    ],
)
def test_wrong_configs_name_the_valid_choices(config, message):
    with pytest.raises(ValueError, match=message):
        ActorCritic(SPEC, config)


def test_normaliser_equals_the_statistics_of_all_it_saw():
    generator = torch.Generator().manual_seed(0)
    parts = [torch.randn(n, 3, generator=generator) * 4 + 100 for n in (1, 7, 500, 64)]
    norm = RunningNormaliser(3)
    for part in parts:
        norm.update(part)
    everything = torch.cat(parts).double()
    assert torch.allclose(norm.mean, everything.mean(0), atol=1e-9)
    assert torch.allclose(norm.var, everything.var(0, unbiased=False), atol=1e-9)
    scaled = norm(torch.cat(parts))
    assert scaled.mean().abs() < 1e-4
    norm.frozen = True
    norm.update(torch.zeros(10, 3))
    assert torch.allclose(norm.mean, everything.mean(0), atol=1e-9)


def test_rows_of_a_table_share_what_is_known_of_those_present():
    table = Block(
        "units", (2, 2), (Column("present", 0.0, 1.0), Column("x")), kind="table", present="present"
    )
    picture = Block("picture", (1, 1, 2), (Column("grey"),), kind="map")
    norm = RunningNormaliser(Layout((vector("v", Column("a")), table, picture)))
    #                   a    present, x    present, x   two cells
    first = torch.tensor([[1.0, 1.0, 4.0, 0.0, 0.0, 0.0, 2.0], [3.0, 1.0, 8.0, 1.0, 6.0, 4.0, 6.0]])
    norm.update(first)
    # Units that are present have x of 4, 8 and 6: mean 6, variance 8 / 3.  Cells 0, 2, 4, 6: 3, 5.
    assert norm.mean.tolist() == pytest.approx([2, 0, 6, 0, 6, 3, 3])
    assert norm.var.tolist() == pytest.approx([1, 1, 8 / 3, 1, 8 / 3, 5, 5])
    scaled = norm(first)
    assert scaled[:, [1, 3]].tolist() == [[1.0, 0.0], [1.0, 1.0]]
    assert scaled[1, 2] == pytest.approx(2.0 / (8 / 3) ** 0.5)
    nobody = torch.tensor([[2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 3.0]])
    norm.update(nobody)
    assert norm.mean[2] == pytest.approx(6.0) and norm.var[4] == pytest.approx(8 / 3)
    assert norm.mean[0] == pytest.approx(2.0) and norm.var[0] == pytest.approx(2 / 3)


def test_a_unit_that_is_always_there_is_seen_through_the_normaliser():
    layout = Layout(
        (
            Block(
                "units",
                (1, 2),
                (Column("present", 0.0, 1.0), Column("x")),
                kind="table",
                present="present",
            ),
        )
    )
    spec = replace(SPEC, observations={"policy": layout})
    net = ActorCritic(spec, ActorCriticConfig(hidden=(8,), normalise_obs=True))
    x = torch.stack([torch.ones(200), torch.linspace(-1, 1, 200)], -1)
    x[0, 0] = 0.0  # away once in 200 times: its deviation is small
    net.update_normaliser({"policy": x})
    near, far = ({"policy": torch.tensor([[1.0, place]])} for place in (-1.0, 1.0))
    assert not torch.equal(net.value(near, {}), net.value(far, {}))
