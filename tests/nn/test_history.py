"""Histories: numbers by hand, step by step against whole sequences, and what the network shows."""

import pytest
import torch

from simrl.core.actions import ContinuousActions
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.learn.policy import NetworkPolicy
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.nn.history import History, joined_layout

LAYOUT = Layout((vector("angle", Column("a")), vector("speed", Column("b"), Column("c"))))
SPEC = EnvSpec(
    "pole",
    1,
    {"policy": LAYOUT, "critic": Layout((vector("all", Column("x"), Column("y")),))},
    ContinuousActions((-1.0,), (1.0,)),
)


def test_the_newest_comes_first_and_the_first_stands_for_what_was_before():
    history = History(2, 1)
    state = history.initial_state(1)
    shown = []
    for value in (5.0, 6.0, 7.0, 8.0):
        joined, state = history.step(torch.tensor([[value]]), state)
        shown.append(joined[0].tolist())
    assert shown == [[5, 5, 5], [6, 5, 5], [7, 6, 5], [8, 7, 6]]


@pytest.mark.parametrize("frames", [1, 3, 6])
def test_sequences_join_as_single_steps_do(frames):
    history = History(frames, 2)
    generator = torch.Generator().manual_seed(frames)
    x = torch.randn(12, 5, 2, generator=generator)
    starts = torch.zeros(12, 5, dtype=torch.bool)
    starts[0, 0] = starts[3, 1] = starts[4, 1] = starts[11, 2] = starts[0, 3] = starts[9, 3] = True
    state = history.initial_state(5)
    for lane in (1, 2, 4):  # these are within an episode already
        seen = {key: value[lane : lane + 1] for key, value in state.items()}
        for _ in range(lane):
            _, seen = history.step(torch.randn(1, 2, generator=generator), seen)
        for key, value in seen.items():
            state[key][lane] = value[0]
    whole = history.sequence(x, state, starts)
    for t in range(12):
        state = {key: value.masked_fill(starts[t][:, None], 0.0) for key, value in state.items()}
        joined, state = history.step(x[t], state)
        assert torch.equal(joined, whole[t]), t


def test_the_joined_layout_names_how_long_ago():
    layout = joined_layout(LAYOUT, 2)
    assert layout.size == 9
    assert [block.name for block in layout.blocks][2:] == [
        "angle 1 ago",
        "speed 1 ago",
        "angle 2 ago",
        "speed 2 ago",
    ]


@pytest.mark.parametrize("critic", ["shared", "separate", "privileged"])
@pytest.mark.parametrize("recurrent", ["none", "gru"])
def test_acting_and_learning_see_the_same(critic, recurrent):
    torch.manual_seed(0)
    config = ActorCriticConfig(
        hidden=(16,), history=3, critic=critic, recurrent=recurrent, normalise_obs=True
    )
    net = ActorCritic(SPEC, config)
    obs = {"policy": torch.randn(6, 4, 3) * 3 + 1, "critic": torch.randn(6, 4, 2)}
    net.update_normaliser(obs)
    starts = torch.zeros(6, 4, dtype=torch.bool)
    starts[0] = starts[2, 1] = starts[5, 3] = True
    policy = NetworkPolicy(net)
    with torch.no_grad():
        dist, values = net.sequence(obs, net.initial_state(4), starts)
        means = dist.mean.unflatten(0, (6, 4))
        state = policy.initial_state(4)
        for t in range(6):
            state = {k: v.masked_fill(starts[t][:, None], 0.0) for k, v in state.items()}
            now = {name: group[t] for name, group in obs.items()}
            out = policy.act(now, state, torch.Generator(), deterministic=True)
            assert torch.allclose(out.action, means[t].clamp(-1, 1), atol=1e-5)
            assert torch.allclose(out.extras["value"], values[t], atol=1e-5)
            state = out.state


def test_wrong_numbers_are_refused():
    with pytest.raises(ValueError, match="at least 1 frame"):
        History(0, 3)
    with pytest.raises(ValueError, match="history must be at least 0, got -1"):
        ActorCritic(SPEC, ActorCriticConfig(history=-1))
