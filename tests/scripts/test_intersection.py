"""The intersection: nobody meets in the zone, and the best order is the best."""

import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "intersection.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.mark.parametrize("seed", range(6))
def test_crossing_cars_never_share_the_zone(script, seed):
    cars = script["make_scene"](7, seed)
    for order in (script["first_come"](cars), script["best_order"](cars)):
        _, motions, entries = script["plan_all"](cars, order)
        assert script["overlaps"](cars, motions) == []
        for car, motion, entry in zip(cars, motions, entries, strict=True):
            step = int(np.floor(entry / 0.1 + 1e-9)) - 1  # the last step not after the slot's start
            assert motion.place[step] <= 1e-6
            assert motion.place[-1] >= 8.0 + car.length - 1e-6
            assert motion.command.min() >= -5.0 - 1e-6 and motion.command.max() <= 3.0 + 1e-6


def test_cars_of_one_lane_keep_their_distance(script):
    cars = script["make_scene"](8, 6)
    _, motions, _ = script["plan_all"](cars, script["best_order"](cars))
    for a, b in itertools.combinations(range(len(cars)), 2):
        if cars[a].lane == cars[b].lane:
            assert (motions[a].place - cars[a].length - motions[b].place).min() >= 4.0 - 1e-6


def test_best_order_is_the_least_of_all_orders(script):
    cars = script["make_scene"](5, 6)

    def keeps_lanes(order):
        return all(
            order.index(a) < order.index(b)
            for a, b in itertools.combinations(range(5), 2)
            if cars[a].lane == cars[b].lane
        )

    orders = [order for order in itertools.permutations(range(5)) if keeps_lanes(order)]
    least = min(script["entry_times"](cars, order)[0] for order in orders)
    found = script["entry_times"](cars, script["best_order"](cars))[0]
    assert found == pytest.approx(least, abs=1e-6)
    assert found < 0.9 * script["entry_times"](cars, script["first_come"](cars))[0]


@pytest.mark.parametrize("seed", range(8))
def test_best_order_never_costs_more_than_first_come(script, seed):
    cars = script["make_scene"](6, seed)
    best = script["entry_times"](cars, script["best_order"](cars))[0]
    assert best <= script["entry_times"](cars, script["first_come"](cars))[0] + 1e-9


def test_overlaps_finds_two_cars_in_the_zone(script):
    car, motion = script["Car"], script["Motion"]
    place = np.array([-5.0, 2.0, 9.0])
    cars = [car("north", 40.0, 12.0, 4.5), car("east", 40.0, 12.0, 4.5)]
    both = [motion(place, place, place), motion(place, place, place)]
    assert script["overlaps"](cars, both) == [(0, 1)]
    assert script["overlaps"]([cars[0], car("south", 40.0, 12.0, 4.5)], both) == []


def test_entry_times_by_hand(script):
    # Both would enter at 40 / 12 = 3.3333 s and weigh the same, and the first stays
    # 1.2 * 12.5 / 12 = 1.25 s.  Alone they would split the wait of 1.25 s in halves, but nobody
    # enters before 0.9 * 3.3333 = 3 s, so the first gives 0.3333 s.
    car = script["Car"]
    cars = [car("north", 40.0, 12.0, 4.5), car("east", 40.0, 12.0, 4.5)]
    cost, times = script["entry_times"](cars, (0, 1))
    assert times == pytest.approx([3.0, 4.25], abs=1e-6)
    weight = 3.0 * 144.0 / (40.0 / 12.0) ** 3
    assert cost == pytest.approx(weight * (0.33333**2 + 0.91667**2), rel=1e-4)


def test_script_prints_and_draws(script, tmp_path, monkeypatch, capsys):
    out = tmp_path / "plan.png"
    monkeypatch.setattr(sys, "argv", ["intersection.py", "--cars", "4", "--out", str(out)])
    assert script["main"]() == 0
    assert out.stat().st_size > 10_000
    assert "pairs in the zone together: 0" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["intersection.py", "--cars", "40"])
    with pytest.raises(ValueError, match="2 to 10"):
        script["main"]()
