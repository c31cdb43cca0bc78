"""Play the lane task: kernels that start, step and unroll many state rows."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simrl_envs.vehicle.car import config as c
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.command import to_rates
from simrl_envs.vehicle.car.motion import drive
from simrl_envs.vehicle.car.road import lay_road, locate, project, wrap
from simrl_envs.vehicle.streams import DRAWS, ENDED, STEPS, STREAM, TIME, draw

START_S = 20.0  # [m]
FIRST_OBSTACLE = 35.0  # [m]
OBSTACLE_GAP = 15.0
"""Obstacles keep this far apart along the road [m], so that one side is always free."""
CLOSING_RATE = 0.4
"""How fast an obstacle closes the rest of its gap to the next one [1/s]."""
TERMS = ("progress", "offset", "speed", "effort", "failure")
"""Reward terms: metres along the road, squared offset [m^2 s], squared speed error [m^2/s], squared
acceleration and steering rate [s], and 1 on a collision, off the road or at a takeover."""


@njit(cache=True, nogil=True)
def start_rows(rows: np.ndarray, numbers: np.ndarray) -> None:
    """Begin an episode in every row `[B, S]`."""
    for i in range(len(rows)):
        start(rows[i], numbers)


@njit(cache=True, nogil=True)
def advance_rows(
    rows: np.ndarray, action: np.ndarray, numbers: np.ndarray, terms: np.ndarray
) -> None:
    """Step every row `[B, S]` under `[B, 1, 2]`; write terms `[B, 1, 5]`."""
    for i in range(len(rows)):
        advance(rows[i], action[i, 0], numbers, terms[i, 0])


@njit(cache=True, nogil=True)
def unroll_rows(
    rows: np.ndarray,
    actions: np.ndarray,
    numbers: np.ndarray,
    states: np.ndarray,
    terms: np.ndarray,
) -> None:
    """Step copies of rows `[B, S]` under `[B, H, 1, 2]`; write `[B, H, S]` and `[B, H, 1, 5]`."""
    for i in range(len(rows)):
        before = rows[i]
        for t in range(actions.shape[1]):
            states[i, t] = before
            before = states[i, t]
            advance(before, actions[i, t, 0], numbers, terms[i, t, 0])


@njit(cache=True, nogil=True)
def start(row: np.ndarray, numbers: np.ndarray) -> None:
    """Draw a road, obstacles and where the car stands; keep stream and draws alone."""
    stream, draws = row[STREAM], row[DRAWS]
    row[:] = 0.0
    row[STREAM], row[DRAWS] = stream, draws
    lay_road(row, numbers)
    x, y, heading, _ = locate(row, numbers, START_S)
    offset = draw(row, -c.START_OFFSET, c.START_OFFSET)
    row[r.HEADING] = heading + draw(row, -0.1, 0.1)
    row[r.SPEED] = numbers[c.TARGET_SPEED] * draw(row, 0.6, 1.0)
    row[r.SPEED] = min(row[r.SPEED], numbers[c.MAX_SPEED])
    row[r.X] = x - offset * math.sin(heading)
    row[r.Y] = y + offset * math.cos(heading)
    row[r.S] = START_S
    scatter(row, numbers)
    place_obstacles(row, numbers, True)
    for _ in range(2):
        follow(row, numbers)
    row[r.START_S] = row[r.S]
    x, y = middle(row, numbers)
    for k in range(r.TRAIL_POINTS):
        row[r.TRAIL + 2 * k] = x
        row[r.TRAIL + 2 * k + 1] = y


@njit(cache=True, nogil=True)
def scatter(row: np.ndarray, numbers: np.ndarray) -> None:
    """Draw the obstacles: arc length, offset and speed along the road, and radius."""
    count = int(numbers[c.NUM_OBSTACLES])
    track = r.OBSTACLES + r.OBSTACLE_WIDTH * count
    for i in range(count):
        at = FIRST_OBSTACLE + i * c.OBSTACLE_SPACING + draw(row, 0.0, 10.0)
        row[track + r.TRACK_WIDTH * i] = START_S + at
        row[track + r.TRACK_WIDTH * i + 1] = draw(row, -1.8, 1.8)
        speed = draw(row, 2.0, 4.0)
        moves = draw(row, 0.0, 1.0) < numbers[c.MOVING_SHARE]
        row[track + r.TRACK_WIDTH * i + 2] = speed if moves else 0.0
        row[r.OBSTACLES + r.OBSTACLE_WIDTH * i + 4] = draw(row, 0.8, 1.2)


@njit(cache=True, nogil=True)
def advance(row: np.ndarray, action: np.ndarray, numbers: np.ndarray, terms: np.ndarray) -> None:
    """Move one row through one step and say what it did."""
    terms[:] = 0.0
    if row[ENDED] != 0.0:
        return
    seconds = numbers[c.STEP_SECONDS]
    before = row[r.S]
    push, turn = to_rates(row, numbers, action)
    drive(row, numbers, push, turn)
    move_obstacles(row, numbers)
    row[STEPS] += 1.0
    row[TIME] = row[STEPS] * seconds
    row[r.S] = before + row[r.SPEED] * seconds
    follow(row, numbers)
    row[r.HIT] = 1.0 if touches(row, numbers) else 0.0
    row[r.OFF_ROAD] = 1.0 if abs(row[r.D]) > numbers[c.ROOM] else 0.0
    failed = row[r.HIT] != 0.0 or row[r.OFF_ROAD] != 0.0
    row[ENDED] = 1.0 if failed else 0.0
    row[r.SQUARED_OFFSET] += row[r.D] * row[r.D]
    row[r.SPEED_SUM] += row[r.SPEED]
    leave_trail(row, numbers)
    slow = row[r.SPEED] - wanted_speed(row[r.CURVATURE], numbers)
    terms[0] = row[r.S] - before
    terms[1] = row[r.D] * row[r.D] * seconds
    terms[2] = slow * slow * seconds
    effort = (push / numbers[c.MAX_BRAKE]) ** 2
    effort += (turn / numbers[c.MAX_STEER_RATE]) ** 2
    terms[3] = effort * seconds
    terms[4] = row[ENDED]


@njit(cache=True, nogil=True)
def follow(row: np.ndarray, numbers: np.ndarray) -> None:
    """Find the body's middle on the road, from the expected arc length on."""
    x, y = middle(row, numbers)
    s, offset, heading, curvature = project(row, numbers, x, y, row[r.S], 2)
    row[r.S], row[r.D] = s, offset
    row[r.HEADING_ERROR] = wrap(row[r.HEADING] - heading)
    row[r.CURVATURE] = curvature


@njit(cache=True, nogil=True)
def middle(row: np.ndarray, numbers: np.ndarray) -> tuple[float, float]:
    """Return the middle of the body, halfway between the axles [m]."""
    half = 0.5 * (numbers[c.FRONT] + numbers[c.REAR])
    heading = row[r.HEADING]
    return row[r.X] + half * math.cos(heading), row[r.Y] + half * math.sin(heading)


@njit(cache=True, nogil=True)
def wanted_speed(curvature: float, numbers: np.ndarray) -> float:
    """Return the target speed, less where the lateral acceleration would be too much [m/s]."""
    bend = max(abs(curvature), 1e-6)
    return min(numbers[c.TARGET_SPEED], math.sqrt(numbers[c.MAX_LATERAL] / bend))


@njit(cache=True, nogil=True)
def move_obstacles(row: np.ndarray, numbers: np.ndarray) -> None:
    """Drive the obstacles along the road; one that comes near the next slows down behind it."""
    count = int(numbers[c.NUM_OBSTACLES])
    track = r.OBSTACLES + r.OBSTACLE_WIDTH * count
    for k in range(count):
        i = track + r.TRACK_WIDTH * (count - 1 - k)
        if k > 0 or numbers[c.LAP] != 0.0:
            # On a closed road the last one comes to the first, which is a lap further on.
            j = i + r.TRACK_WIDTH if k > 0 else track
            further = 0.0 if k > 0 else numbers[c.LAP]
            room = max(row[j] + further - row[i] - OBSTACLE_GAP, 0.0)
            row[i + 2] = min(row[i + 2], row[j + 2] + CLOSING_RATE * room)
        row[i] += row[i + 2] * numbers[c.STEP_SECONDS]
    place_obstacles(row, numbers, False)


@njit(cache=True, nogil=True)
def place_obstacles(row: np.ndarray, numbers: np.ndarray, standing: bool) -> None:
    """Write place and velocity in the world of the moving obstacles, or of all of them."""
    count = int(numbers[c.NUM_OBSTACLES])
    track = r.OBSTACLES + r.OBSTACLE_WIDTH * count
    for i in range(count):
        s, offset, speed = row[track + 3 * i], row[track + 3 * i + 1], row[track + 3 * i + 2]
        if speed == 0.0 and not standing:
            continue
        x, y, heading, curvature = locate(row, numbers, s)
        k = r.OBSTACLES + r.OBSTACLE_WIDTH * i
        row[k] = x - offset * math.sin(heading)
        row[k + 1] = y + offset * math.cos(heading)
        ground = speed * (1.0 - curvature * offset)
        row[k + 2] = ground * math.cos(heading)
        row[k + 3] = ground * math.sin(heading)


@njit(cache=True, nogil=True)
def touches(row: np.ndarray, numbers: np.ndarray) -> bool:
    """Tell whether the car's rectangle touches an obstacle's disc."""
    x, y = middle(row, numbers)
    cos, sin = math.cos(row[r.HEADING]), math.sin(row[r.HEADING])
    for i in range(int(numbers[c.NUM_OBSTACLES])):
        k = r.OBSTACLES + r.OBSTACLE_WIDTH * i
        dx, dy = row[k] - x, row[k + 1] - y
        ahead = max(abs(dx * cos + dy * sin) - 0.5 * numbers[c.LENGTH], 0.0)
        aside = max(abs(-dx * sin + dy * cos) - 0.5 * numbers[c.WIDTH], 0.0)
        if ahead * ahead + aside * aside < row[k + 4] * row[k + 4]:
            return True
    return False


@njit(cache=True, nogil=True)
def leave_trail(row: np.ndarray, numbers: np.ndarray) -> None:
    """Every few steps, drop the oldest point of the trail and add the body's middle."""
    if int(row[STEPS]) % r.TRAIL_STEPS:
        return
    for k in range(2 * (r.TRAIL_POINTS - 1)):
        row[r.TRAIL + k] = row[r.TRAIL + k + 2]
    x, y = middle(row, numbers)
    row[r.TRAIL + 2 * r.TRAIL_POINTS - 2] = x
    row[r.TRAIL + 2 * r.TRAIL_POINTS - 1] = y


@njit(cache=True, nogil=True)
def reference_rows(
    rows: np.ndarray, ahead: np.ndarray, numbers: np.ndarray, out: np.ndarray
) -> None:
    """Write x, y, heading, speed `[B, H, 4]` of the rear axle at times `ahead` `[H]` [s].

    The reference starts at the car's own arc length and moves along the centre line at the wanted
    speed; its heading is continuous with the car's own.
    """
    rear = 0.5 * (numbers[c.FRONT] + numbers[c.REAR])
    for i in range(len(rows)):
        row = rows[i]
        s, time = row[r.S] - rear, 0.0
        for k in range(len(ahead)):
            while time < ahead[k] - 1e-9:
                part = min(0.05, ahead[k] - time)
                _, _, _, curvature = locate(row, numbers, s)
                s += wanted_speed(curvature, numbers) * part
                time += part
            x, y, heading, curvature = locate(row, numbers, s)
            out[i, k, 0] = x
            out[i, k, 1] = y
            out[i, k, 2] = row[r.HEADING] + wrap(heading - row[r.HEADING])
            out[i, k, 3] = wanted_speed(curvature, numbers)
