"""COACH: the trace by hand, the step by hand, and a simulated trainer who teaches cart-pole."""

import copy

import pytest
import torch

from simrl.core.plugins import make_env, make_scripted
from simrl.nn import ActorCritic, ActorCriticConfig
from simrl.preferences.coach import CoachConfig, CoachLearner
from simrl.rollout import evaluate


def make_net(name, **config):
    torch.manual_seed(0)
    return ActorCritic(make_env(name, 1).spec, ActorCriticConfig(policy_gain=1.0, **config))


def rows(name, count, seed=0):
    """Return what `count` environments show, one row each, and an action of each."""
    env = make_env(name, count)
    obs = env.reset(seed)
    shown = [
        {key: value[i, :1] for key, value in obs.items() if key != "state"} for i in range(count)
    ]
    net = make_net(name, hidden=(5,))
    actions = [net.act_step(row, {})[0].mode() for row in shown]
    return shown, actions


@pytest.mark.parametrize("name", ["identity-heads", "identity-continuous"])
def test_the_trace_is_the_decayed_sum_of_the_gradients(name):
    net = make_net(name, hidden=(5,), activation="tanh")
    learner = CoachLearner(net, CoachConfig(trace=0.5, delay=0.0, learning_rate=1.0, max_step=None))
    shown, actions = rows(name, 3)
    for step in range(3):
        learner.observe(float(step), shown[step], actions[step], False)
    # e = grad_2 + 0.5 grad_1 + 0.25 grad_0: the slope of that sum of log-probabilities, which
    # finite differences in float64 tell without the code under test.
    double = copy.deepcopy(net).double()

    def total():
        result = 0.0
        for step, factor in zip(range(3), (0.25, 0.5, 1.0), strict=True):
            row = {
                key: value.double() if value.is_floating_point() else value
                for key, value in shown[step].items()
            }
            action = actions[step]
            action = action.double() if action.is_floating_point() else action
            result += factor * float(double.act_step(row, {})[0].log_prob(action).detach())
        return result

    for parameter, trace in zip(double.parameters(), learner.trace, strict=True):
        flat = parameter.data.view(-1)
        for index in range(0, len(flat), 5):
            kept = float(flat[index])
            flat[index] = kept + 1e-6
            up = total()
            flat[index] = kept - 1e-6
            down = total()
            flat[index] = kept
            slope = (up - down) / 2e-6
            assert slope == pytest.approx(float(trace.view(-1)[index]), abs=2e-4)


def test_a_judgement_moves_the_weights_along_the_trace():
    net = make_net("cart-pole", hidden=(4,))
    learner = CoachLearner(net, CoachConfig(delay=0.0, learning_rate=0.1, max_step=None))
    shown, actions = rows("cart-pole", 1)
    learner.observe(0.0, shown[0], actions[0], False)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    trace = [part.clone() for part in learner.trace]
    figures = learner.feedback(0.5, -0.5)
    for old, new, part in zip(before, net.parameters(), trace, strict=True):
        torch.testing.assert_close(new.detach(), old - 0.05 * part)
    size = float(sum(part.square().sum() for part in trace)) ** 0.5
    assert figures["step"] == pytest.approx(0.05 * size, rel=1e-5)
    assert figures["count"] == 1.0
    # The same with a bound goes as far as the bound.
    bounded = CoachLearner(make_net("cart-pole", hidden=(4,)), CoachConfig(delay=0, max_step=1e-3))
    bounded.observe(0.0, shown[0], actions[0], False)
    assert bounded.feedback(0.5, 1.0)["step"] == pytest.approx(1e-3)


def test_praise_makes_the_action_likelier_and_blame_less():
    shown, actions = rows("identity-heads", 1)
    for value, sign in ((1.0, 1), (-1.0, -1)):
        net = make_net("identity-heads", hidden=(5,))
        learner = CoachLearner(net, CoachConfig(delay=0.0))
        before = float(net.act_step(shown[0], {})[0].log_prob(actions[0]).detach())
        learner.observe(0.0, shown[0], actions[0], False)
        learner.feedback(0.1, value)
        after = float(net.act_step(shown[0], {})[0].log_prob(actions[0]).detach())
        assert sign * (after - before) > 1e-4


def test_young_steps_wait_and_an_episodes_end_empties_the_trace():
    shown, actions = rows("cart-pole", 3)
    learner = CoachLearner(make_net("cart-pole", hidden=(4,)), CoachConfig(delay=1.0, trace=0.9))
    learner.observe(0.0, shown[0], actions[0], False)
    learner.observe(0.5, shown[1], actions[1], True)
    assert learner.feedback(0.9, 1.0)["trace"] == 0.0  # nothing is a second old
    learner.feedback(1.2, 0.0)
    first = [part.clone() for part in learner.trace]
    assert sum(float(part.abs().sum()) for part in first) > 0
    learner.observe(1.6, shown[2], actions[2], False)  # brings the episode's last step in
    assert not torch.equal(learner.trace[0], first[0])
    learner.feedback(2.7, 0.0)  # and now the first of the next episode, alone
    alone = CoachLearner(learner.net, CoachConfig(delay=0.0))
    alone.observe(0.0, shown[2], actions[2], False)
    for got, expected in zip(learner.trace, alone.trace, strict=True):
        torch.testing.assert_close(got, expected)


def test_a_trainer_teaches_cart_pole_with_800_judgements():
    torch.manual_seed(0)
    env = make_env("cart-pole", 1)
    config = ActorCriticConfig(hidden=(32,), activation="tanh", normalise_obs=True)
    learner = CoachLearner(
        ActorCritic(env.spec, config), CoachConfig(trace=0.0, delay=0.4, learning_rate=0.05)
    )
    expert = make_scripted("cart-pole", "balance")
    rng = torch.Generator().manual_seed(0)

    def mean_return():
        return (
            evaluate(
                make_env("cart-pole", 20), learner.policy, games=20, seed=5, deterministic=True
            )
            .scores[0]
            .mean_return
        )

    untaught = mean_return()
    obs = env.reset(0)
    for step in range(800):
        row = {key: value[:, 0].clone() for key, value in obs.items() if key != "state"}
        action = learner.policy.act(row, {}, rng).action
        right = torch.equal(expert.act(row, {}, rng).action, action)
        result = env.step(action[:, None])
        learner.observe(float(step), row, action, bool(result.done[0]))
        learner.feedback(step + 0.5, 1.0 if right else -1.0)
        obs = result.obs
    assert untaught < 100
    assert mean_return() > 200


def test_state_is_kept_and_memory_is_refused():
    shown, actions = rows("cart-pole", 1)
    first = CoachLearner(make_net("cart-pole", hidden=(4,)), CoachConfig(delay=0.0))
    first.observe(0.0, shown[0], actions[0], False)
    first.feedback(0.1, 1.0)
    second = CoachLearner(make_net("cart-pole", hidden=(4,)), CoachConfig(delay=0.0))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for learner in (first, second):
        learner.feedback(0.2, 1.0)
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)
    spec = make_env("cart-pole", 1).spec
    with pytest.raises(ValueError, match="without memory"):
        CoachLearner(ActorCritic(spec, ActorCriticConfig(recurrent="gru")))
    with pytest.raises(ValueError, match="trace must be"):
        CoachConfig(trace=1.0)
