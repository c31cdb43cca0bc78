"""Drive the platoon: kernels that start, step, unroll and show many state rows.

Each car obeys s' = v, v' = a, a' = (u(t - delay) - a) / lag, with u constant during a step; the
step is the exact solution.  Plans travel from car to car through a buffer of what was sent.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl_envs.vehicle.platoon import config as c
from simrl_envs.vehicle.streams import DRAWS, ENDED, STEPS, STREAM, TIME, draw, peek

CRUISE_LOW, CRUISE_HIGH = 18.0, 25.0  # [m/s]
RECOVERY = 1.5
"""Acceleration with which the leader returns to its cruising speed [m/s^2]."""
STEP_PERIOD, STEP_CHANGE, STEP_RATE = 6.0, 5.0, 2.0
"""Steps of speed: every so many seconds, by up to so many m/s, at so many m/s^2."""
SINE_ACCELERATION, SINE_SPEED = 1.5, 4.0
"""Largest amplitudes of the sine [m/s^2, m/s]."""
TERMS = ("spacing", "speed", "effort", "collision")
"""Reward terms: squared spacing error [m^2 s], squared relative speed [m^2/s], squared command
[m^2/s^3], and 1 for each agent on a collision."""


@njit(cache=True, nogil=True)
def start_rows(rows: np.ndarray, numbers: np.ndarray) -> None:
    """Begin an episode in every row `[B, S]`."""
    for i in range(len(rows)):
        start(rows[i], numbers)


@njit(cache=True, nogil=True)
def advance_rows(
    rows: np.ndarray, action: np.ndarray, numbers: np.ndarray, terms: np.ndarray
) -> None:
    """Step every row `[B, S]` under `[B, A, 1 + horizon]`; write terms `[B, A, 4]`."""
    for i in range(len(rows)):
        advance(rows[i], action[i], numbers, terms[i])


@njit(cache=True, nogil=True)
def unroll_rows(
    rows: np.ndarray,
    actions: np.ndarray,
    numbers: np.ndarray,
    states: np.ndarray,
    terms: np.ndarray,
) -> None:
    """Step copies of rows `[B, S]` under `[B, T, A, 1 + horizon]`; write each step's result."""
    for i in range(len(rows)):
        before = rows[i]
        for t in range(actions.shape[1]):
            states[i, t] = before
            before = states[i, t]
            advance(before, actions[i, t], numbers, terms[i, t])


@njit(cache=True, nogil=True)
def offsets(numbers: np.ndarray) -> tuple[int, int, int, int, int]:
    """Return the first columns of squared errors, least gaps, ages, sent commands and plans."""
    cars = int(numbers[c.NUM_CARS])
    squares = c.CARS + 3 * cars
    gaps = squares + cars - 1
    ages = gaps + cars - 1
    sent = ages + cars - 1
    plans = sent + (cars - 1) * int(numbers[c.DELAY_STEPS])
    return squares, gaps, ages, sent, plans


@njit(cache=True, nogil=True)
def start(row: np.ndarray, numbers: np.ndarray) -> None:
    """Draw the leader's drive; put the cars near their gaps at one speed, their plans at 0."""
    stream, draws = row[STREAM], row[DRAWS]
    row[:] = 0.0
    row[STREAM], row[DRAWS] = stream, draws
    cars = int(numbers[c.NUM_CARS])
    _, gaps, ages, _, _ = offsets(numbers)
    draw_profile(row, numbers)
    wanted = numbers[c.STANDSTILL] + numbers[c.HEADWAY] * row[c.CRUISE]
    for i in range(cars):
        k = c.CARS + 3 * i
        row[k + 1] = row[c.CRUISE]
        if i == 0:
            continue
        gap = wanted + draw(row, -1.0, 1.0) * numbers[c.SPREAD]
        row[k] = row[k - 3] - numbers[c.LENGTH] - gap
        row[gaps + i - 1] = gap
        row[ages + i - 1] = numbers[c.MIN_AGE]


@njit(cache=True, nogil=True)
def draw_profile(row: np.ndarray, numbers: np.ndarray) -> None:
    """Draw kind, cruising speed and numbers of the leader's drive."""
    kind = numbers[c.PROFILE]
    row[c.KIND] = 1.0 + math.floor(draw(row, 0.0, 3.0)) if kind < 0.0 else kind
    row[c.CRUISE] = draw(row, CRUISE_LOW, CRUISE_HIGH)
    first, second, third = draw(row, 0.0, 1.0), draw(row, 0.0, 1.0), draw(row, 0.0, 1.0)
    row[c.SEED] = math.floor(draw(row, 0.0, 2.0**50))
    if row[c.KIND] == 1.0:
        row[c.FIRST] = 1.0 + 2.0 * first
        given = numbers[c.DECELERATION]
        row[c.SECOND] = given if given > 0.0 else 3.0 + 3.0 * second
        row[c.THIRD] = 4.0 + 6.0 * third
    elif row[c.KIND] == 3.0:
        given = numbers[c.FREQUENCY]
        row[c.FIRST] = given if given > 0.0 else 0.2 + 1.8 * first


@njit(cache=True, nogil=True)
def lead(row: np.ndarray) -> float:
    """Return the leader's command now [m/s^2].

    Brake: from FIRST on with SECOND down to the speed THIRD, 4 s there, then back.  Steps: to a new
    speed around the cruising speed every few seconds.  Sine: speed at the angular frequency FIRST.
    """
    time, kind = row[TIME] + 1e-9, row[c.KIND]
    if kind == 1.0:
        change = row[c.CRUISE] - row[c.THIRD]
        low = row[c.FIRST] + change / row[c.SECOND]
        if row[c.FIRST] <= time < low:
            return -row[c.SECOND]
        return RECOVERY if low + 4.0 <= time < low + 4.0 + change / RECOVERY else 0.0
    if kind == 2.0:
        k = int(time / STEP_PERIOD)
        before = STEP_CHANGE * (2.0 * peek(row[c.SEED], k - 1) - 1.0) if k > 0 else 0.0
        change = STEP_CHANGE * (2.0 * peek(row[c.SEED], k) - 1.0) - before
        if time - k * STEP_PERIOD < abs(change) / STEP_RATE:
            return math.copysign(STEP_RATE, change)
        return 0.0
    if kind == 3.0:
        amplitude = min(SINE_ACCELERATION, SINE_SPEED * row[c.FIRST])
        return amplitude * math.cos(row[c.FIRST] * time)
    return 0.0


@njit(cache=True, nogil=True)
def advance(row: np.ndarray, action: np.ndarray, numbers: np.ndarray, terms: np.ndarray) -> None:
    """Move one row through one step; the episode ends when two cars touch."""
    terms[:] = 0.0
    if row[ENDED] != 0.0:
        return
    seconds, cars = numbers[c.STEP_SECONDS], int(numbers[c.NUM_CARS])
    delay = int(numbers[c.DELAY_STEPS])
    squares, gaps, _, sent, _ = offsets(numbers)
    broadcast(row, action, numbers)
    move(row, 0, lead(row), numbers)
    for i in range(1, cars):
        command = action[i - 1, 0]
        if delay > 0:
            line = row[sent + (i - 1) * delay : sent + i * delay]
            command = line[0]
            for k in range(delay - 1):
                line[k] = line[k + 1]
            line[delay - 1] = action[i - 1, 0]
        move(row, i, command, numbers)
    row[STEPS] += 1.0
    row[TIME] = row[STEPS] * seconds
    for i in range(1, cars):
        gap, error, closing = spacing(row, i, numbers)
        row[squares + i - 1] += error * error
        row[gaps + i - 1] = min(row[gaps + i - 1], gap)
        if gap <= 0.0:
            row[c.HIT], row[ENDED] = 1.0, 1.0
        terms[i - 1, 0] = error * error * seconds
        terms[i - 1, 1] = closing * closing * seconds
        terms[i - 1, 2] = action[i - 1, 0] * action[i - 1, 0] * seconds
    for i in range(cars - 1):
        terms[i, 3] = row[ENDED]


@njit(cache=True, nogil=True)
def move(row: np.ndarray, car: int, command: float, numbers: np.ndarray) -> None:
    """Move one car exactly under a command held for one step; it neither reverses nor speeds."""
    x = row[c.CARS + 3 * car : c.CARS + 3 * car + 3]
    h, lag = numbers[c.STEP_SECONDS], numbers[c.LAG]
    fade = math.exp(-h / lag)
    rest = (x[2] - command) * lag * (1.0 - fade)
    before = x[1]
    x[1] = before + command * h + rest
    moved = before * h + 0.5 * command * h * h + (x[2] - command) * lag * h - lag * rest
    x[2] = command + (x[2] - command) * fade
    if x[1] <= 0.0:
        x[1], x[2] = 0.0, max(x[2], 0.0)
        moved = max(moved, 0.0)
    if x[1] > numbers[c.MAX_SPEED]:
        x[1], x[2] = numbers[c.MAX_SPEED], min(x[2], 0.0)
    x[0] += moved


@njit(cache=True, nogil=True)
def spacing(row: np.ndarray, car: int, numbers: np.ndarray) -> tuple[float, float, float]:
    """Return gap to the car before, its error against d0 + h v, and the relative speed."""
    k = c.CARS + 3 * car
    gap = row[k - 3] - row[k] - numbers[c.LENGTH]
    error = gap - numbers[c.STANDSTILL] - numbers[c.HEADWAY] * row[k + 1]
    return gap, error, row[k - 2] - row[k + 1]


@njit(cache=True, nogil=True)
def broadcast(row: np.ndarray, action: np.ndarray, numbers: np.ndarray) -> None:
    """Send every car's plan, newest first; draw which one each follower has next.

    The leader is driven by a person: it sends its present acceleration, held.  A message that
    arrives late does not replace a fresher one.
    """
    cars, horizon = int(numbers[c.NUM_CARS]), int(numbers[c.HORIZON])
    oldest = int(numbers[c.MAX_AGE])
    _, _, ages, _, plans = offsets(numbers)
    for i in range(cars):
        own = row[plans + i * oldest * horizon : plans + (i + 1) * oldest * horizon]
        for k in range(oldest * horizon - 1, horizon - 1, -1):
            own[k] = own[k - horizon]
        for k in range(horizon):
            own[k] = row[c.CARS + 2] if i == 0 else action[i - 1, 1 + k]
        if i == 0:
            continue
        age = numbers[c.MIN_AGE]
        if numbers[c.MAX_AGE] > age:
            age = math.floor(draw(row, age, numbers[c.MAX_AGE] + 1.0))
        row[ages + i - 1] = min(age, row[ages + i - 1] + 1.0)


@njit(cache=True, nogil=True)
def observe_rows(rows: np.ndarray, numbers: np.ndarray, out: np.ndarray) -> None:
    """Write `[B, A, D]` float32: the car, what it has sent, and its predecessor's message."""
    agents, horizon = int(numbers[c.NUM_CARS]) - 1, int(numbers[c.HORIZON])
    delay, oldest = int(numbers[c.DELAY_STEPS]), int(numbers[c.MAX_AGE])
    _, _, ages, sent, plans = offsets(numbers)
    for b in range(len(rows)):
        row = rows[b]
        for i in range(agents):
            seen, k = out[b, i], c.CARS + 3 * (i + 1)
            gap, error, closing = spacing(row, i + 1, numbers)
            seen[0], seen[1] = row[k + 1], row[k + 2]
            seen[2], seen[3] = min(max(gap, -50.0), 500.0), closing
            seen[4] = min(max(error, -500.0), 500.0)
            for j in range(delay):
                seen[5 + j] = row[sent + i * delay + j]
            age = int(row[ages + i])
            seen[5 + delay] = age * numbers[c.STEP_SECONDS]
            first = plans + (i * oldest + max(age, 1) - 1) * horizon
            for j in range(horizon):
                seen[6 + delay + j] = row[first + j]
