"""The action distributions against hand-worked numbers, brute force and each other's paths."""

import itertools
import math

import pytest
import torch

from simrl.core.actions import ContinuousActions, DiscreteActions, Head
from simrl.nn.distributions import ClippedGaussian, MaskedHeads

# Buttons: 0 wait (nothing else counts), 1 move (direction counts), 2 cast (both count).
# Heads side by side: button 3, direction 2, target 3 (its mask depends on the button).
GAME = DiscreteActions((Head("button", 3), Head("dir", 2), Head("target", 3, True)), "button")


def game_mask(targets_when_casting=(True, True, False)):
    button, direction = [True, True, True], [True, True]
    targets = [[False] * 3, [False] * 3, list(targets_when_casting)]
    used = [[True, False, False], [True, True, False], [True, True, True]]
    return torch.tensor([[*button, *direction, *itertools.chain(*targets, *used)]])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


LOGITS = torch.tensor([[0.3, -0.2, 0.9, 0.5, -0.5, 0.1, 0.7, 5.0]])


def legal_actions():
    yield [0, 0, 0]
    for direction in range(2):
        yield [1, direction, 0]
    for direction, target in itertools.product(range(2), range(2)):
        yield [2, direction, target]


def test_uniform_log_prob_and_entropy_by_hand():
    dist = MaskedHeads(GAME, torch.zeros(1, 8), game_mask())
    # wait: 1/3; move: 1/3 * 1/2; cast: 1/3 * 1/2 * 1/2 (the third target is illegal).
    for action, probability in (([0, 0, 0], 1 / 3), ([1, 1, 0], 1 / 6), ([2, 0, 1], 1 / 12)):
        log_prob = dist.log_prob(torch.tensor([action]))
        assert log_prob.item() == pytest.approx(math.log(probability), abs=1e-6)
    # H = log 3 + (0 + log 2 + log 4) / 3 = log 3 + log 2.
    assert dist.entropy().item() == pytest.approx(math.log(6), abs=1e-6)
    assert dist.entropy(torch.tensor([[2, 0, 0]])).item() == pytest.approx(math.log(12), abs=1e-6)
    assert dist.entropy(torch.tensor([[0, 0, 0]])).item() == pytest.approx(math.log(3), abs=1e-6)


def test_probabilities_sum_to_one_and_entropy_is_exact():
    dist = MaskedHeads(GAME, LOGITS, game_mask())
    actions = torch.tensor(list(legal_actions()))
    rows = MaskedHeads(GAME, LOGITS.expand(7, -1), game_mask().expand(7, -1))
    log_prob = rows.log_prob(actions)
    assert log_prob.exp().sum().item() == pytest.approx(1.0, abs=1e-6)
    assert dist.entropy().item() == pytest.approx(
        -(log_prob.exp() * log_prob).sum().item(), abs=1e-6
    )
    # The one-sample estimate is unbiased: its mean over the actions' distribution is the entropy.
    mean = (log_prob.exp() * rows.entropy(actions)).sum()
    assert mean.item() == pytest.approx(dist.entropy().item(), abs=1e-6)


def test_kl_against_enumeration():
    actions = torch.tensor(list(legal_actions()))
    a = MaskedHeads(GAME, LOGITS.expand(7, -1), game_mask().expand(7, -1))
    b = MaskedHeads(GAME, LOGITS.flip(-1).expand(7, -1), game_mask().expand(7, -1))
    p, q = a.log_prob(actions), b.log_prob(actions)
    expected = (p.exp() * (p - q)).sum().item()
    assert a.kl(b)[0].item() == pytest.approx(expected, abs=1e-5)
    assert a.kl(a)[0].item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_follow_the_distribution(dtype):
    rows = 40_000
    dist = MaskedHeads(GAME, LOGITS.expand(rows, -1).to(dtype), game_mask().expand(rows, -1))
    action, log_prob = dist.sample(generator())
    assert torch.allclose(log_prob.to(dtype), dist.log_prob(action), atol=1e-5)
    seen = 0
    for legal in legal_actions():
        share = (action == torch.tensor(legal)).all(-1).float().mean().item()
        expected = dist.log_prob(torch.tensor([legal]).expand(rows, -1))[0].exp().item()
        # Standard error is at most sqrt(1/4 / 40000) = 0.0025.
        assert share == pytest.approx(expected, abs=0.0125)
        seen += share
    assert seen == pytest.approx(1.0)  # nothing illegal, and heads that do not count are 0


def test_both_paths_take_the_same_mode_and_draw_the_same():
    logits, mask = torch.randn(500, 8, generator=generator(1)), game_mask().expand(500, -1)
    single = MaskedHeads(GAME, logits, mask)
    double = MaskedHeads(GAME, logits.double(), mask)
    assert torch.equal(single.mode(), double.mode())
    uniform = torch.rand(500, 3, generator=generator(2))
    assert torch.equal(
        single._sample_kernel(logits, uniform, False)[0],
        double._sample_torch(logits.double(), uniform, False)[0],
    )


def test_kernel_gradient_equals_autograd_in_float64():
    logits = torch.randn(64, 8, generator=generator(3))
    mask = game_mask().repeat(64, 1)
    action = MaskedHeads(GAME, logits, mask).sample(generator(4))[0]
    weights = torch.randn(2, 64, generator=generator(5))
    grads = []
    for dtype in (torch.float32, torch.float64):
        leaf = logits.to(dtype).clone().requires_grad_()
        log_prob, entropy = MaskedHeads(GAME, leaf, mask).evaluate(action)
        (log_prob @ weights[0].to(dtype) + entropy @ weights[1].to(dtype)).backward()
        grads.append(leaf.grad)
    assert torch.allclose(grads[0].double(), grads[1], atol=1e-5)
    # Logits of heads that do not count get nothing.
    waiting = action[:, 0] == 0
    assert waiting.any()
    assert (grads[0][waiting][:, 3:] == 0).all()


def test_log_prob_and_entropy_against_finite_differences():
    logits = torch.randn(5, 8, generator=generator(6), dtype=torch.float64, requires_grad=True)
    mask = game_mask().repeat(5, 1)
    action = MaskedHeads(GAME, logits, mask).sample(generator(7))[0]
    assert torch.autograd.gradcheck(lambda x: MaskedHeads(GAME, x, mask).evaluate(action), logits)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[1e4, -1e4, 0.0, 50.0, -50.0, 0.0, 0.0, 0.0]], requires_grad=True)
    dist = MaskedHeads(GAME, logits, game_mask())
    log_prob, entropy = dist.evaluate(torch.tensor([[0, 0, 0]]))
    (log_prob + entropy).sum().backward()
    assert log_prob.item() == 0.0
    assert entropy.item() == 0.0
    assert torch.isfinite(logits.grad).all()
    assert dist.sample(generator())[0].tolist() == [[0, 0, 0]]


def test_a_row_without_a_legal_value_is_named():
    mask = torch.cat([game_mask(), game_mask((False, False, False))])
    logits = torch.tensor([[0.0] * 8, [-9e9, -9e9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    dist = MaskedHeads(GAME, logits, mask)
    with pytest.raises(ValueError, match=r"row 1: head 'target'"):
        dist.sample(generator())
    with pytest.raises(ValueError, match=r"row 1: head 'target'"):
        dist.check()
    MaskedHeads(GAME, logits[:1], mask[:1]).check()


def test_an_illegal_action_is_named():
    dist = MaskedHeads(GAME, LOGITS, game_mask())
    with pytest.raises(ValueError, match=r"row 0: value 2 of head 'target'"):
        dist.log_prob(torch.tensor([[2, 0, 2]]))


def test_single_head_without_mask_is_a_plain_categorical():
    actions = DiscreteActions((Head("action", 4),))
    logits = torch.randn(10, 4, generator=generator(8))
    action = torch.randint(4, (10, 1), generator=generator(9))
    ours, theirs = MaskedHeads(actions, logits), torch.distributions.Categorical(logits=logits)
    assert torch.allclose(ours.log_prob(action), theirs.log_prob(action[:, 0]), atol=1e-6)
    assert torch.allclose(ours.entropy(), theirs.entropy(), atol=1e-6)
    assert torch.allclose(ours.selector_probs(), theirs.probs, atol=1e-6)


BOX = ContinuousActions((-1.0, 0.0), (1.0, 4.0))


def test_clipped_gaussian_inside_equals_normal():
    mean = torch.tensor([[0.1, -0.2]])
    dist = ClippedGaussian(BOX, mean, torch.tensor([-1.0, -2.0]))
    # The second number's centre is 2 and its half range 2: 1.9 stands for (1.9 - 2) / 2 = -0.05.
    normal = torch.distributions.Normal(mean, torch.tensor([-1.0, -2.0]).exp())
    expected = normal.log_prob(torch.tensor([[0.3, -0.05]])).sum()
    assert dist.log_prob(torch.tensor([[0.3, 1.9]])).item() == pytest.approx(
        expected.item(), abs=1e-5
    )
    assert dist.entropy().item() == pytest.approx(normal.entropy().sum().item(), abs=1e-6)


def test_clipped_gaussian_bound_holds_the_tail():
    one = ContinuousActions((-1.0,), (1.0,))
    dist = ClippedGaussian(one, torch.zeros(1, 1), torch.zeros(1))
    # P(standard normal > 1) = 0.158655; density inside plus both tails is all there is.
    for bound in (-1.0, 1.0):
        value = dist.log_prob(torch.tensor([[bound]])).exp().item()
        assert value == pytest.approx(0.158655, abs=1e-5)


def test_clipped_gaussian_samples_within_bounds_and_hits_them():
    dist = ClippedGaussian(BOX, torch.zeros(20_000, 2), torch.zeros(2))
    action, log_prob = dist.sample(generator())
    assert action.dtype == torch.float32
    assert action[:, 1].min() == 0.0
    assert action[:, 1].max() == 4.0
    assert (action[:, 0] == 1.0).float().mean().item() == pytest.approx(0.1587, abs=0.013)
    assert torch.allclose(log_prob, dist.log_prob(action))
    assert torch.equal(dist.mode()[0], torch.tensor([0.0, 2.0]))


def test_clipped_gaussian_against_finite_differences():
    mean = torch.randn(6, 2, generator=generator(1), dtype=torch.float64, requires_grad=True)
    log_std = torch.tensor([0.2, -0.3], dtype=torch.float64, requires_grad=True)
    action = ClippedGaussian(BOX, mean, log_std).sample(generator(2))[0].double()
    assert (action == 1.0).any() or (action == 4.0).any() or (action <= 0.0).any()
    assert torch.autograd.gradcheck(
        lambda m, s: ClippedGaussian(BOX, m, s).log_prob(action), (mean, log_std)
    )


def test_clipped_gaussian_kl_equals_torch():
    mean, other = torch.randn(2, 5, 2, generator=generator(3))
    a_std, b_std = torch.tensor([0.1, -0.4]), torch.tensor([-0.2, 0.3])
    ours = ClippedGaussian(BOX, mean, a_std).kl(ClippedGaussian(BOX, other, b_std))
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, a_std.exp()),
        torch.distributions.Normal(other, b_std.exp()),
    ).sum(-1)
    assert torch.allclose(ours, theirs, atol=1e-5)
