"""The network as a policy: what it hands over, and that few rows in NumPy see the same net."""

import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.core.spec import Column, EnvSpec, Layout, vector
from simrl.learn.policy import NetworkPolicy
from simrl.learn.ppo import PPOLearner
from simrl.nn import ActorCritic, ActorCriticConfig

LAYOUT = Layout((vector("x", *(Column(f"c{index}") for index in range(4))),))
DISCRETE = DiscreteActions((Head("button", 3), Head("target", 2, True)), "button")
BOX = ContinuousActions((-1.0,), (1.0,))


def make(actions=DISCRETE, **options):
    torch.manual_seed(0)
    spec = EnvSpec("synthetic", 1, {"policy": LAYOUT, "critic": LAYOUT}, actions)
    settings = {"hidden": (16,), "activation": "tanh", "policy_gain": 1.0, **options}
    return ActorCritic(spec, ActorCriticConfig(**settings))


def make_obs(rows, actions=DISCRETE):
    generator = torch.Generator().manual_seed(1)
    obs = {
        "policy": torch.randn(rows, 4, generator=generator),
        "critic": torch.randn(rows, 4, generator=generator),
    }
    if isinstance(actions, DiscreteActions):
        obs["action_mask"] = torch.ones(rows, actions.mask_size, dtype=torch.bool)
    return obs


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("actions", [DISCRETE, BOX])
@pytest.mark.parametrize("critic", ["shared", "separate", "privileged"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "leaky_relu"])
def test_numpy_path_sees_the_same_network(actions, critic, activation):
    net = make(actions, critic=critic, activation=activation, normalise_obs=True)
    obs = make_obs(6, actions)
    net.update_normaliser(obs)
    policy = NetworkPolicy(net)
    assert policy._plain is not None
    for _ in range(2):
        quick = policy.act(obs, {}, rng())
        plain, policy._plain = policy._plain, None
        slow = policy.act(obs, {}, rng())
        policy._plain = plain
        assert torch.allclose(quick.action.double(), slow.action.double(), atol=1e-5)
        for name in ("log_prob", "value"):
            assert torch.allclose(quick.extras[name], slow.extras[name], atol=1e-5)
        # A learner moves the weights into one tensor; the policy must follow them and what it does.
        learner = PPOLearner(net)
        with torch.no_grad():
            learner.explicit.weights += 0.1


def test_extras_and_privileged_groups():
    net = make(critic="privileged")
    player, learner = NetworkPolicy(net, values=False, show_probs=True), NetworkPolicy(net)
    assert learner.reads == {"policy", "action_mask", "critic"}
    assert player.reads == {"policy", "action_mask"}
    obs = {name: value for name, value in make_obs(5).items() if name in player.reads}
    output = player.act(obs, {}, rng())
    assert "value" not in output.extras
    assert torch.allclose(output.extras["button_probs"].sum(-1), torch.ones(5))


@pytest.mark.parametrize("recurrent", ["none", "lstm"])
def test_same_stream_same_action_and_deterministic_is_the_mode(recurrent):
    policy = NetworkPolicy(make(recurrent=recurrent, recurrent_width=8))
    obs, state = make_obs(64), policy.initial_state(64)
    first, again = policy.act(obs, state, rng()), policy.act(obs, state, rng())
    other = policy.act(obs, state, rng(1))
    assert torch.equal(first.action, again.action)
    assert not torch.equal(first.action, other.action)
    modes = [policy.act(obs, state, rng(s), deterministic=True).action for s in range(2)]
    assert torch.equal(*modes)
    assert set(first.state) == set(state)
    for name, value in first.state.items():
        assert value.shape == (64, 8), name
