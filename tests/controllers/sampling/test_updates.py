"""The three updates, with numbers worked by hand."""

import math

import pytest
import torch

from simrl_controllers.sampling import (
    CemConfig,
    CemUpdate,
    MppiConfig,
    MppiUpdate,
    PlanDistribution,
    PredictiveUpdate,
)

KNOTS = torch.tensor([0.0, 1.0, 2.0, 4.0]).view(1, 4, 1, 1)
PLAN = PlanDistribution(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))


def costs(*values):
    return torch.tensor([values], dtype=torch.float64)


def test_predictive_sampling_takes_the_first_of_the_cheapest():
    plan, weights = PredictiveUpdate()(PLAN, KNOTS, costs(3.0, 1.0, 1.0, math.inf))
    assert float(plan.mean) == 1.0
    assert weights.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_mppi_weights_by_hand():
    # Temperature 2 and costs 0, 2 ln 2, 2 ln 4, infinity: weights 4/7, 2/7, 1/7, 0.
    update = MppiUpdate(MppiConfig(temperature=2.0), torch.zeros(1))
    plan, weights = update(PLAN, KNOTS, costs(0.0, 2 * math.log(2), 2 * math.log(4), math.inf))
    assert weights[0].tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7, 0.0])
    assert float(plan.mean) == pytest.approx((2 * 1 + 1 * 2) / 7)


def test_mppi_adapts_its_temperature_to_the_elites():
    # The elites are the costs 10 and 14, so the temperature is their mean distance from 10: 2.
    update = MppiUpdate(MppiConfig(elite_fraction=0.5), torch.zeros(1))
    _, weights = update(PLAN, KNOTS, costs(14.0, 10.0, 30.0, 1e9))
    assert float(weights[0, 0] / weights[0, 1]) == pytest.approx(math.exp(-2.0))
    # The same costs in other units give the same weights.
    _, scaled = update(PLAN, KNOTS, costs(14e3, 10e3, 30e3, 1e12))
    assert torch.allclose(weights, scaled)


def test_mppi_with_equal_costs_averages():
    update = MppiUpdate(MppiConfig(), torch.zeros(1))
    plan, weights = update(PLAN, KNOTS, costs(5.0, 5.0, 5.0, 5.0))
    assert weights[0].tolist() == pytest.approx([0.25] * 4)
    assert float(plan.mean) == pytest.approx(7 / 4)


def test_mppi_charges_the_information_theoretic_control_cost():
    # Mean 2, variance 4, temperature 3: a sample of noise e costs 3 * 2 / 4 * e = 1.5 e more.
    plan = PlanDistribution(torch.full((1, 1, 1), 2.0), torch.full((1, 1, 1), 2.0))
    knots = torch.tensor([2.0, 4.0]).view(1, 2, 1, 1)
    update = MppiUpdate(MppiConfig(temperature=3.0, control_cost=1.0), torch.zeros(1))
    _, weights = update(plan, knots, costs(0.0, 0.0))
    assert float(weights[0, 1] / weights[0, 0]) == pytest.approx(math.exp(-3.0 / 3.0))


def test_cem_fits_the_elites_with_momentum_and_a_floor():
    # Elites 1 and 2: mean 1.5, deviation 0.5; a quarter of the old mean 0 and spread 1 is kept.
    config = CemConfig(elite_fraction=0.5, momentum=0.25, min_noise=0.05)
    plan, weights = CemUpdate(config, torch.ones(1))(PLAN, KNOTS, costs(9.0, 1.0, 2.0, math.inf))
    assert weights[0].tolist() == [0.0, 0.5, 0.5, 0.0]
    assert float(plan.mean) == pytest.approx(0.75 * 1.5)
    assert float(plan.scale) == pytest.approx(0.25 * 1.0 + 0.75 * 0.5)
    floor = CemConfig(elite_fraction=0.5, momentum=0.0, min_noise=0.8)
    plan, _ = CemUpdate(floor, torch.ones(1))(PLAN, KNOTS, costs(9.0, 1.0, 2.0, math.inf))
    assert float(plan.scale) == pytest.approx(0.8)


def test_cem_leaves_diverged_samples_out_of_the_elites():
    config = CemConfig(elite_fraction=0.75, momentum=0.0, min_noise=0.05)
    plan, weights = CemUpdate(config, torch.ones(1))(
        PLAN, KNOTS, costs(math.inf, 1.0, math.inf, math.inf)
    )
    assert weights[0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert float(plan.mean) == 1.0
    assert float(plan.scale) == pytest.approx(0.05)
