"""TAMER: credit by hand, exact best actions, and a simulated trainer who teaches cart-pole."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env, make_scripted
from simrl.preferences.tamer import (
    FeedbackModel,
    TamerConfig,
    TamerLearner,
    TamerPolicy,
    credit_weights,
    tamer_loss,
)
from simrl.rollout import RandomPolicy, RolloutEngine, Seating, evaluate


def test_credit_is_the_mass_of_the_delay_on_each_step():
    # A judgement at t = 10 with a delay uniform over 0.28 to 4.0 s is for 6.0 to 9.72.
    #   shown 5.0-6.5: 6.0-6.5 counts, 0.5 / 3.72;  6.5-9.0: 2.5 / 3.72;
    #   9.0-9.9: 9.0-9.72 counts, 0.72 / 3.72;  9.9 on: too fresh.
    begin = torch.tensor([5.0, 6.5, 9.0, 9.9], dtype=torch.float64)
    end = torch.tensor([6.5, 9.0, 9.9, math.inf], dtype=torch.float64)
    weights = credit_weights(begin, end, 10.0, (0.28, 4.0))
    expected = [0.5 / 3.72, 2.5 / 3.72, 0.72 / 3.72, 0.0]
    assert weights.tolist() == pytest.approx(expected)
    assert float(weights.sum()) == pytest.approx(1.0)


def test_the_loss_by_hand():
    # 0.5 (1 - 0)^2 + 0.25 (0 + 1)^2 + 0 = 0.75
    loss = tamer_loss(
        torch.tensor([1.0, 0.0, 9.0]), torch.tensor([0.0, -1.0, 1.0]), torch.tensor([0.5, 0.25, 0])
    )
    assert float(loss) == 0.75


def test_the_gradient_of_the_loss_agrees_with_finite_differences():
    env = make_env("identity-heads", 3)
    obs = env.reset(0)
    torch.manual_seed(0)
    model = FeedbackModel(env.spec, TamerConfig(hidden=(6,), normalise_obs=False)).double()
    seen, mask = obs["policy"][:, 0].double(), obs["action_mask"][:, 0]
    action, _ = model.best(seen.float().double(), mask)
    feedback, weight = torch.tensor([1.0, -1.0, 0.5]), torch.tensor([0.3, 1.0, 0.2])

    def loss():
        return tamer_loss(model(seen, action, mask), feedback, weight)

    for parameter in model.parameters():
        (grad,) = torch.autograd.grad(loss(), [parameter])
        flat = parameter.data.view(-1)
        for index in range(0, len(flat), 7):
            kept = float(flat[index])
            sides = []
            for shift in (1e-6, -1e-6):
                flat[index] = kept + shift
                sides.append(float(loss().detach()))
            flat[index] = kept
            slope = (sides[0] - sides[1]) / 2e-6
            assert slope == pytest.approx(float(grad.view(-1)[index]), abs=1e-6)


def test_the_best_action_is_the_best_of_all_legal_ones():
    env = make_env("identity-heads", 8)
    obs = env.reset(3)
    model = FeedbackModel(env.spec, TamerConfig(normalise_obs=False), seed=1)
    torch.nn.init.normal_(model.head.weight)
    seen, mask = obs["policy"][:, 0], obs["action_mask"][:, 0]
    with torch.no_grad():
        action, value = model.best(seen, mask)
    actions = env.spec.actions
    every = torch.tensor(list(itertools.product(*(range(head.size) for head in actions.heads))))
    for row in range(8):
        many = len(every)
        row_mask = mask[row].expand(many, -1)
        legal = actions.legal(row_mask, every).all(-1)
        scores = model(seen[row].expand(many, -1), every, row_mask).detach()
        assert float(value[row]) == pytest.approx(float(scores[legal].max()), abs=1e-5)
        assert bool(actions.legal(mask[row], action[row]).all())
        again = model(seen[row : row + 1], action[row : row + 1], mask[row : row + 1])
        assert float(again.detach()) == pytest.approx(float(value[row]), abs=1e-5)


def teach(learner, count, *, name, judge, step_seconds, seed=0):
    """Let a simulated person judge every step after a random delay; return the judgements."""
    env = make_env(name, 1)
    delays = np.random.default_rng(seed)
    rng = torch.Generator().manual_seed(seed)
    obs, now, given, waiting = env.reset(seed), 0.0, 0, []
    while True:
        row = {key: value[:, 0].clone() for key, value in obs.items() if key != "state"}
        action = learner.policy.act(row, {}, rng).action
        step = env.step(action[:, None])
        learner.observe(now, row, action, bool(step.done[0]))
        waiting.append((now + delays.uniform(0.28, 4.0), judge(row, action, step)))
        obs, now = step.obs, now + step_seconds
        for when, value in sorted(entry for entry in waiting if entry[0] <= now):
            learner.feedback(when, value)
            given += 1
            if given == count:
                return
        waiting = [entry for entry in waiting if entry[0] > now]


EXPERT = make_scripted("cart-pole", "balance")


def balance(row, action, step):
    return 1.0 if torch.equal(EXPERT.act(row, {}, torch.Generator()).action, action) else -1.0


def cart_pole_return(policy):
    env = make_env("cart-pole", 20)
    return evaluate(env, policy, games=20, seed=5).scores[0].mean_return


def test_a_trainer_teaches_cart_pole_with_300_judgements():
    # Four seconds a step, as a person judges in slow motion: a judgement is for one step or two.
    spec = make_env("cart-pole", 1).spec
    learner = TamerLearner(spec, seed=0)
    untaught = cart_pole_return(learner.policy)
    teach(learner, 300, name="cart-pole", judge=balance, step_seconds=4.0)
    assert untaught < 120
    assert cart_pole_return(learner.policy) > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_trainer_teaches_cart_pole_though_four_steps_share_a_judgement(seed):
    spec = make_env("cart-pole", 1).spec
    learner = TamerLearner(spec, TamerConfig(learning_rate=1e-2), seed=seed)
    teach(learner, 1200, name="cart-pole", judge=balance, step_seconds=1.0, seed=seed)
    assert cart_pole_return(learner.policy) > 200


def test_continuous_actions_are_chosen_within_their_bounds():
    env = make_env("identity-continuous", 1)
    learner = TamerLearner(env.spec, TamerConfig(learning_rate=1e-2), seed=0)

    def judge(row, action, step):
        return 1.0 + max(-2.0, 4.0 * float(step.reward[0, 0]))  # rewards are -squared errors

    teach(learner, 400, name="identity-continuous", judge=judge, step_seconds=4.0)
    env = make_env("identity-continuous", 16)
    engine = RolloutEngine(env, Seating.self_play(env, learner.policy, train=False), seed=1)
    table = engine.run_episodes(16)
    random = make_env("identity-continuous", 16)
    floor = RolloutEngine(
        random, Seating.self_play(random, RandomPolicy(random.spec), train=False), seed=1
    ).run_episodes(16)
    assert table.returns.mean() > 0.4 * floor.returns.mean()  # both negative


def test_learning_resumes_bit_for_bit():
    spec = make_env("cart-pole", 1).spec
    first = TamerLearner(spec, seed=2)
    teach(first, 10, name="cart-pole", judge=balance, step_seconds=4.0)
    second = TamerLearner(spec, seed=9)
    saved = copy.deepcopy(first.state_dict())
    second.load_state_dict(copy.deepcopy(saved))
    first.load_state_dict(saved)  # both without the steps that are not yet judged
    results = []
    for learner in (first, second):
        teach(learner, 10, name="cart-pole", judge=balance, step_seconds=4.0, seed=5)
        results.append(learner.model.state_dict())
    for key, value in results[0].items():
        assert torch.equal(value, results[1][key]), key
    assert first.count == second.count == 20


def test_judgements_without_steps_teach_nothing():
    env = make_env("cart-pole", 1)
    learner = TamerLearner(env.spec)
    assert learner.feedback(1.0, 1.0) == {"credited": 0.0, "count": 1.0}
    assert isinstance(learner.policy, TamerPolicy)
    obs = env.reset(0)
    row = {key: value[:, 0] for key, value in obs.items() if key != "state"}
    learner.observe(5.0, row, torch.zeros(1, 1, dtype=torch.int64), False)
    # Only 0.1 s old: nobody judges that fast.
    assert learner.feedback(5.1, 1.0)["credited"] == 0.0
    with pytest.raises(ValueError, match="delay must be"):
        TamerConfig(delay=(2.0, 1.0))
