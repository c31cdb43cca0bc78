"""Coordinate cars at an intersection: choose the order, then the commands.

    python scripts/intersection.py --cars 8 --seed 6 --out intersection.png

Cars come from four sides and go straight on; those of crossing roads must not be in the conflict
zone together.  First a small mixed-integer quadratic program chooses who goes before whom: what a
later entry costs a car is the second-order term of its optimal-control problem, and the orders are
searched by branch and bound.  Then each car's commands solve a quadratic program that keeps it out
of the zone before its slot and through it by the end.  The two stages are those of
"Optimisation-based coordination of connected, automated vehicles at intersections" (2020).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from rich.console import Console
from rich.table import Table

from simrl_controllers.qp import solve_qp

ZONE = 8.0  # length of the conflict zone [m]
ROOM = 4.0  # between cars of one lane [m]
BRAKE, THROTTLE = 5.0, 3.0  # [m/s^2]
SECONDS = 0.1  # length of a step [s]
COLOURS = {"north": "C0", "south": "C9", "east": "C1", "west": "C3"}


@dataclass(frozen=True)
class Car:
    """Hold one car: its lane, how far its front is from the zone [m], speed [m/s], length [m]."""

    lane: str
    distance: float
    speed: float
    length: float

    @property
    def free(self) -> float:
        """Time at which it enters the zone if nobody is there [s]."""
        return self.distance / self.speed

    @property
    def stay(self) -> float:
        """Time that it is given in the zone, a fifth more than at its own speed [s]."""
        return 1.2 * (ZONE + self.length) / self.speed

    @property
    def lead(self) -> float:
        """Time by which the next car of its lane enters later [s]."""
        return (self.length + ROOM) / self.speed + 0.8

    @property
    def weight(self) -> float:
        """Cost of its squared delay: half the second derivative of the least integral of a^2.

        To reach the zone at T with free end speed costs 3 (distance - speed T)^2 / T^3.
        """
        return 3.0 * self.speed**2 / self.free**3


@dataclass(frozen=True)
class Motion:
    """Hold a car's planned front [m from the zone's start], speed and command at each step."""

    place: np.ndarray
    speed: np.ndarray
    command: np.ndarray


def make_scene(num_cars: int, seed: int) -> list[Car]:
    """Draw cars on the four lanes, behind one another; some are trucks."""
    rng, cars, last = np.random.default_rng(seed), [], dict.fromkeys(COLOURS, 40.0)
    for _ in range(num_cars):
        lane = str(rng.choice(list(COLOURS)))
        last[lane] += float(rng.uniform(0.0, 12.0))
        truck = bool(rng.random() < 0.2)
        cars.append(Car(lane, last[lane], 11.0 if truck else 12.0, 10.0 if truck else 4.5))
        last[lane] += 20.0
    return cars


def conflict(a: Car, b: Car) -> bool:
    """Tell whether two cars' roads cross."""
    return (a.lane in ("north", "south")) != (b.lane in ("north", "south"))


def entry_times(cars: list[Car], order: tuple[int, ...]) -> tuple[float, np.ndarray]:
    """Return the cost of an order and the best entry times `[len(order)]` under it.

    A quadratic program: the least weighted squared delay such that whoever comes later waits for
    all before it that cross its road or are in its lane.
    """
    weight = np.array([cars[i].weight for i in order])
    free = np.array([cars[i].free for i in order])
    rows, least = [], []
    for b in range(len(order)):
        for a in range(b):
            first, second = cars[order[a]], cars[order[b]]
            if conflict(first, second) or first.lane == second.lane:
                rows.append(np.eye(len(order))[b] - np.eye(len(order))[a])
                least.append(first.stay if conflict(first, second) else first.lead)
    limits = (np.array(rows), np.array(least)) if rows else (None, None)
    result = solve_qp(2.0 * np.diag(weight), -2.0 * weight * free, *limits, None, 0.9 * free)
    return float(weight @ (result.x - free) ** 2), result.x


def first_come(cars: list[Car]) -> tuple[int, ...]:
    """Return the order of free arrival."""
    return tuple(sorted(range(len(cars)), key=lambda i: cars[i].free))


def best_order(cars: list[Car]) -> tuple[int, ...]:
    """Return the order of least cost: depth first, cut where a part costs as much as the best.

    A part's cost never falls when a car is added, so it bounds all orders that begin with it.
    """
    best = first_come(cars)
    bound = entry_times(cars, best)[0]
    stack: list[tuple[int, ...]] = [()]
    while stack:
        part = stack.pop()
        waiting = [i for i in first_come(cars) if i not in part]
        for i in reversed(waiting):
            ahead = [j for j in waiting if cars[j].lane == cars[i].lane]
            if ahead[0] != i:  # nobody overtakes in a lane
                continue
            longer = (*part, i)
            cost = entry_times(cars, longer)[0]
            if cost >= bound - 1e-9:
                continue
            if len(longer) == len(cars):
                best, bound = longer, cost
            else:
                stack.append(longer)
    return best


def plan_car(car: Car, entry: float, horizon: int, leader: Motion | None, room: float) -> Motion:
    """Solve for the commands: slot, speed and, behind a leader, `room` between fronts [m].

    Raises:
        ValueError: no command fits the slot.
    """
    k = np.arange(1, horizon + 1)
    ahead = np.clip(k[:, None] - k[None, :] + 1, 0, None)
    speeds = SECONDS * (ahead > 0)
    places = SECONDS**2 * np.where(ahead > 0, ahead - 0.5, 0.0)
    coast, time = -car.distance + car.speed * SECONDS * k, SECONDS * k
    high = np.where(time <= entry + 1e-9, 0.0, np.inf)
    if leader is not None:
        high = np.minimum(high, leader.place - room)
    low = np.where(time >= entry + car.stay - 1e-9, ZONE + car.length, -np.inf)
    cost = 2.0 * (np.eye(horizon) + 0.05 * speeds.T @ speeds)
    rows, bounds = np.vstack([places, speeds]), np.ones(horizon)
    low = np.append(low - coast, np.full(horizon, 1.0 - car.speed))
    high = np.append(high - coast, np.full(horizon, 3.0))
    result = solve_qp(cost, np.zeros(horizon), rows, low, high, -BRAKE * bounds, THROTTLE * bounds)
    if not result.success:
        raise ValueError(f"no commands bring {car} into its slot at {entry:.2f} s: {result.status}")
    command = result.x
    return Motion(coast + places @ command, car.speed + speeds @ command, command)


def plan_all(cars: list[Car], order: tuple[int, ...]) -> tuple[float, list[Motion], np.ndarray]:
    """Return the effort (integral of a^2), every car's motion and its entry time."""
    _, times = entry_times(cars, order)
    horizon = int(np.ceil((times.max() + 4.0) / SECONDS))
    motions: dict[int, Motion] = {}
    for i, entry in zip(order, times, strict=True):
        before = [j for j in motions if cars[j].lane == cars[i].lane]
        leader = motions[before[-1]] if before else None
        room = cars[before[-1]].length + ROOM if before else 0.0
        motions[i] = plan_car(cars[i], float(entry), horizon, leader, room)
    effort = sum(float(motion.command @ motion.command) for motion in motions.values()) * SECONDS
    entries = np.array([times[order.index(i)] for i in range(len(cars))])
    return effort, [motions[i] for i in range(len(cars))], entries


def overlaps(cars: list[Car], motions: list[Motion]) -> list[tuple[int, int]]:
    """List the pairs of crossing cars that are in the zone in the same step."""
    inside = [
        (m.place > 1e-6) & (m.place < ZONE + c.length - 1e-6)
        for c, m in zip(cars, motions, strict=True)
    ]
    pairs = [(a, b) for b in range(len(cars)) for a in range(b) if conflict(cars[a], cars[b])]
    return [(a, b) for a, b in pairs if bool((inside[a] & inside[b]).any())]


def draw(cars: list[Car], plans: dict[str, list[Motion]], path: str) -> None:
    """Draw each plan as distance over time; the conflict zone is grey."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(plans), figsize=(12, 5), sharey=True, squeeze=False)
    for axis, (title, motions) in zip(axes[0], plans.items(), strict=True):
        axis.axhspan(0.0, ZONE, color="0.85")
        for car, motion in zip(cars, motions, strict=True):
            time = SECONDS * np.arange(1, len(motion.place) + 1)
            rear = motion.place - car.length
            axis.fill_between(time, rear, motion.place, color=COLOURS[car.lane], alpha=0.7)
        for lane, colour in COLOURS.items():
            axis.plot([], [], color=colour, label=f"from {lane}", linewidth=5)
        axis.set(title=title, xlabel="time [s]", ylim=(-60, 40))
    axes[0][0].set_ylabel("distance past the start of the conflict zone [m]")
    axes[0][0].legend(loc="lower right")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> int:
    """Plan both orders, print them and draw them."""
    parser = argparse.ArgumentParser(description="coordinate cars at an intersection")
    parser.add_argument("--cars", type=int, default=8, help="number of cars, 2 to 10")
    parser.add_argument("--seed", type=int, default=6, help="seed of the scene")
    parser.add_argument("--out", default="intersection.png", help="picture to write")
    options = parser.parse_args()
    if not 2 <= options.cars <= 10:
        raise ValueError(f"--cars must be 2 to 10, got {options.cars}")
    cars = make_scene(options.cars, options.seed)
    plans, columns = {}, []
    for title, order in (
        ("first come, first served", first_come(cars)),
        ("best order", best_order(cars)),
    ):
        effort, motions, entries = plan_all(cars, order)
        cost = entry_times(cars, order)[0]
        title = f"{title}: cost {cost:.2f}, effort {effort:.1f} m²/s³"
        plans[title] = motions
        columns.append((title, order, entries))
        print(f"{title}, pairs in the zone together: {len(overlaps(cars, motions))}")
    table = Table(title="entry into the conflict zone [s]")
    for name in ("car", "from", "alone", "first come", "best order"):
        table.add_column(name, justify="right")
    for i, car in enumerate(cars):
        entries = [f"{times[i]:.2f} ({order.index(i) + 1}.)" for _, order, times in columns]
        table.add_row(str(i), car.lane, f"{car.free:.2f}", *entries)
    Console(emoji=False).print(table)
    draw(cars, plans, options.out)
    print(f"picture: {options.out}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ValueError as error:
        sys.exit(f"intersection.py: {error}")
