"""Splines against values worked by hand."""

import pytest
import torch

from simrl_controllers.sampling import Spline


def evaluate(kind, knots, horizon):
    spline = Spline(kind, len(knots), horizon)
    return (spline.basis @ torch.tensor(knots)[:, None]).flatten().tolist()


def test_zero_order_holds_each_knot():
    assert evaluate("zero", [1.0, 2.0], 5) == [1.0, 1.0, 1.0, 2.0, 2.0]


def test_linear_runs_from_the_first_control_to_the_last():
    assert evaluate("linear", [0.0, 1.0, 3.0], 5) == [0.0, 0.5, 1.0, 2.0, 3.0]


def test_cubic_by_hand():
    # Knots 0, 1, 0, 1 at times 0, 1, 2, 3; slopes 1, 0, 0, 1 (one-sided at the ends, central
    # inside).  Halfway in [0, 1]: (0 + 1) / 2 + (1 - 0) / 8 = 0.625; in [1, 2]: 0.5;
    # in [2, 3]: (0 + 1) / 2 + (0 - 1) / 8 = 0.375.
    assert evaluate("cubic", [0.0, 1.0, 0.0, 1.0], 7) == pytest.approx(
        [0.0, 0.625, 1.0, 0.5, 0.0, 0.375, 1.0]
    )


@pytest.mark.parametrize("kind", ["zero", "linear", "cubic"])
def test_a_knot_for_every_control_is_the_control_itself(kind):
    controls = [3.0, -1.0, 2.0, 0.5]
    assert evaluate(kind, controls, 4) == pytest.approx(controls)
    moved = Spline(kind, 4, 4).shift @ torch.tensor(controls)[:, None]
    assert moved.flatten().tolist() == pytest.approx([-1.0, 2.0, 0.5, 0.5], abs=1e-5)


def test_a_shifted_zero_order_knot_is_the_mean_of_what_it_now_covers():
    # Controls 0 0 0 3 3 3 move to 0 0 3 3 3 3: the means over three are 1 and 3.
    moved = Spline("zero", 2, 6).shift @ torch.tensor([[0.0], [3.0]])
    assert moved.flatten().tolist() == pytest.approx([1.0, 3.0])


def test_a_ramp_moves_on_by_one_control():
    spline = Spline("linear", 3, 21)
    ramp = torch.arange(21.0)[:, None]
    knots = spline.fit @ ramp
    assert (spline.basis @ knots).flatten().tolist() == pytest.approx(ramp.flatten().tolist())
    after = (spline.basis @ (spline.shift @ knots)).flatten()
    # Exactly one ahead but near the end, where the last control is repeated.
    assert after[:10].tolist() == pytest.approx((ramp[1:11, 0]).tolist(), abs=0.15)


@pytest.mark.parametrize("kind", ["zero", "linear", "cubic"])
def test_a_constant_stays(kind):
    spline = Spline(kind, 4, 17)
    knots = torch.full((4, 1), 2.5)
    assert torch.allclose(spline.basis @ knots, torch.tensor(2.5))
    assert torch.allclose(spline.shift @ knots, knots, atol=1e-5)


def test_bad_splines_are_named():
    with pytest.raises(ValueError, match="horizon must be at least 1, got 0"):
        Spline("linear", 1, 0)
    with pytest.raises(ValueError, match="knots must be from 1 to the horizon of 5, got 6"):
        Spline("linear", 6, 5)
    with pytest.raises(ValueError, match="unknown spline 'quintic'; the splines are zero, linear"):
        Spline("quintic", 2, 5)
