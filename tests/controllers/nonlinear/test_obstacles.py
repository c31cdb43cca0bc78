"""Nonlinear MPC passes obstacles: it does not stand before one, nor keep to a side that is shut."""

from functools import partial

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl.core.seeding import child_seed
from simrl_controllers.nonlinear import NmpcConfig, NmpcPolicy
from simrl_controllers.nonlinear.models.car_ways import PACES, Body, drive_ways

START = 20.0
"""Where the cars are put on the road [m]."""
BODY = Body(wheelbase=2.5, middle=1.25, room=1.5, half_road=3.5, max_steer=1.0)
LOW, HIGH = np.array([-6.0, -0.4]), np.array([3.0, 0.4])


def empty_road(num_rows, **options):
    """Make a straight road with one standing obstacle."""
    env = make_env("car-lane", num_rows, max_curvature=0.0, num_obstacles=1, **options)
    env.reset(0)
    return env


def put(env, starts, ahead, speed, obstacle=0.0):
    """Return rows with cars at offsets `starts`, and a disc of 1 m `ahead` at offset `obstacle`."""
    rows, parts = env.snapshot(), env.spec.physics["state"]
    for row, start in zip(rows.numpy(), starts, strict=True):
        heading = row[parts["knots"]][2]
        along = np.array([np.cos(heading), np.sin(heading)])
        left = np.array([-along[1], along[0]])
        row[parts["qpos"]] = [*(START * along + start * left), heading]
        row[parts["qvel"]] = [speed, 0.0, 0.0, 0.0]
        row[parts["road"]] = [START + 0.5 * env.spec.physics["wheelbase"], start, 0.0, 0.0]
        place = (START + ahead) * along + obstacle * left
        row[parts["obstacles"]] = [*place, 0.0, 0.0, 1.0]
        row[parts["obstacle_tracks"]] = [START + ahead, obstacle, 0.0]
    return rows


def drive(env, policy, rows, memory, seconds):
    """Return arc length and speed `[T, N]` of cars that none may lose."""
    obs, parts = env.restore(rows), env.spec.physics["state"]
    places, speeds = [], []
    for _ in range(round(seconds / env.spec.step_seconds)):
        output = policy.act({"state": obs["state"]}, memory, torch.Generator())
        memory, step = output.state, env.step(output.action[:, None])
        assert not step.terminated.any()
        obs = step.obs
        places.append(obs["state"][:, parts["road"]][:, 0].numpy().copy())
        speeds.append(obs["state"][:, parts["speed"]][:, 0].numpy().copy())
    return np.array(places), np.array(speeds)


@pytest.mark.parametrize("model", ["kinematic", "dynamic"])
@pytest.mark.parametrize(("ahead", "speed", "seconds"), [(16.0, 10.0, 3.0), (35.0, 10.0, 5.0)])
def test_an_obstacle_dead_ahead_is_passed(model, ahead, speed, seconds):
    starts = [-0.3, -0.01, 0.0, 0.01, 0.3]
    env = empty_road(len(starts), model=model)
    policy = NmpcPolicy(env.spec, NmpcConfig())
    rows = put(env, starts, ahead, speed)
    places, speeds = drive(env, policy, rows, policy.initial_state(len(starts)), seconds)
    # The disc ends 1 m and the car's tail 2.25 m behind their middles.
    assert (places[-1] > START + ahead + 3.25).all() and (speeds > 3.0).all()


@pytest.mark.parametrize("model", ["kinematic", "dynamic"])
def test_a_car_that_stands_before_an_obstacle_drives_on(model):
    # In the middle no gradient leads to either side, and the last plan is to stand still.
    starts = [-0.3, 0.0, 0.3]
    env = empty_road(len(starts), model=model)
    policy = NmpcPolicy(env.spec, NmpcConfig())
    rows = put(env, starts, 7.0, 0.0)
    memory = dict(policy.initial_state(len(starts)))
    first = rows[:, torch.from_numpy(policy.model.columns)]
    memory["plan_x"] = first[:, None].repeat(1, policy.horizon + 1, 1)
    memory["failures"] = torch.zeros_like(memory["failures"])
    places, speeds = drive(env, policy, rows, memory, 6.0)
    assert (places[-1] > START + 10.25).all() and (speeds[-1] > 3.0).all()


def test_a_plan_for_the_wrong_side_is_given_up():
    starts = [-0.3, 0.0, 0.3]
    env = empty_road(len(starts))
    policy = NmpcPolicy(env.spec, NmpcConfig())
    for side in (1.8, -1.8):
        # The plan passes on the side on which the disc then turns out to be.
        before = put(env, starts, 10.0, 10.0, -side)
        memory = policy.act(
            {"state": before}, policy.initial_state(len(starts)), torch.Generator()
        ).state
        places, speeds = drive(env, policy, put(env, starts, 10.0, 10.0, side), memory, 3.0)
        assert (places[-1] > START + 13.25).all() and (speeds[-1] > 3.0).all()


@pytest.mark.parametrize("stages", [{}, {"dt": 0.1, "horizon": 30}])
def test_no_standing_and_no_chatter_in_an_episode_that_had_both(stages):
    env = make_env("car-lane", 1)
    obs, policy = env.reset(child_seed(1, "env/0")), NmpcPolicy(env.spec, NmpcConfig(**stages))
    memory, speed = policy.initial_state(1), env.spec.physics["state"]["speed"]
    slowest, pushes = np.inf, []
    for _ in range(env.spec.max_steps - 1):
        slowest = min(slowest, float(obs["state"][0, speed]))
        output = policy.act({"state": obs["state"]}, memory, torch.Generator())
        memory, obs = output.state, env.step(output.action[:, None]).obs
        pushes.append(float(output.action[0, 0]))
    assert slowest > 6.0
    if not stages:
        # Accelerations that alternated between -0.15 and 0.35 m/s^2 had second differences of 1.
        assert np.sqrt((np.diff(pushes, 2) ** 2).mean()) < 0.1


def ways(discs):
    """Drive the ways past discs (x, y) of 1 m that stand on a straight road along x."""
    targets = np.zeros((61, 6))
    targets[:, 0], targets[:, 3] = 0.5 * np.arange(61), 10.0
    first = np.array([0.0, 0.0, 0.0, 10.0, 0.0])
    stands = np.tile(np.array([[x, y, 1.0] for x, y in discs]), (61, 1, 1))
    return partial(drive_ways, BODY, LOW, HIGH, 0.05)(first, targets, stands)


def test_each_free_side_of_each_obstacle_is_driven():
    # Offsets of 2.5 m to each side of a disc's middle lie on the road up to 3.5 m.
    for discs, sides in (
        ([], 0),
        ([(20.0, 0.0)], 2),
        ([(20.0, 1.5)], 1),  # to its left is 4 m
        ([(20.0, 2.6)], 0),  # not in the way
        ([(40.0, 0.0)], 0),  # behind the last target
        ([(-8.0, 0.0)], 0),  # passed
        ([(12.0, 0.0), (27.0, 0.5)], 4),
        ([(12.0, 0.0), (27.0, -1.4)], 2),
    ):
        found = (
            ways(discs)
            if discs
            else drive_ways(
                BODY, LOW, HIGH, 0.05, np.zeros(5), np.zeros((61, 6)), np.zeros((61, 0, 3))
            )
        )
        assert found.shape == (sides * len(PACES), 60, 2)
        assert (found >= LOW).all() and (found <= HIGH).all()


def test_the_ways_lead_to_both_sides_alike():
    left, right = ways([(20.0, 0.0)]).reshape(2, len(PACES), 60, 2)
    np.testing.assert_allclose(left * [1.0, -1.0], right, atol=1e-12)
    assert left[0, 0, 1] == 0.4  # the wheels turn to the left at first
