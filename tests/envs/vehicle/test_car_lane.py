"""The lane task: road, obstacles, ends, observations, camera, reference, driver."""

import math

import numpy as np
import pytest
import torch

from simrl.core import unroll
from simrl.core.checks import check_dynamics, check_env
from simrl.core.plugins import env_plugin, make_env, make_scripted
from simrl.rollout import evaluate
from simrl_envs.vehicle.base import VehicleDynamics
from simrl_envs.vehicle.car import row as r
from simrl_envs.vehicle.car.camera import OBSTACLE, ROAD, SKY
from simrl_envs.vehicle.car.config import CAR, CarLaneConfig
from simrl_envs.vehicle.car.road import locate, project
from simrl_envs.vehicle.car.rules import CarLaneRules

CENTRE = CAR.wheelbase / 2


def _straight(num_obstacles=1, **options):
    """Return an environment on a straight road along x, the car at rest at x = 20 m."""
    env = make_env(
        "car-lane", 1, max_curvature=0.0, num_obstacles=num_obstacles, moving_share=0.0, **options
    )
    env.reset(0)
    state = env.snapshot()
    row, parts = state[0].numpy(), env.spec.physics["state"]
    knots = row[parts["knots"]].reshape(-1, 4)
    knots[:, 0], knots[:, 1:] = 5.0 * np.arange(len(knots)), 0.0
    row[parts["car"]] = 0.0
    row[parts["x"]] = 20.0 - CENTRE
    row[parts["road"]] = (20.0, 0.0, 0.0, 0.0)
    return env, state


def _put_obstacle(env, state, s, offset, radius=1.0, speed=0.0):
    parts = env.spec.physics["state"]
    state[0, parts["obstacle_tracks"]] = torch.tensor([s, offset, speed], dtype=torch.float64)
    state[0, parts["obstacles"]] = torch.tensor([s, offset, speed, 0.0, radius]).double()
    return env.restore(state)


def _step(env, acceleration=0.0, steer=0.0):
    return env.step(torch.tensor([[[acceleration, steer]]]))


def test_road_is_found_again_from_any_place_beside_it():
    env = make_env("car-lane", 3)
    env.reset(5)
    numbers = env.rules.numbers
    for row in env.snapshot().numpy():
        for s, offset in ((33.3, 2.0), (80.0, -4.0), (151.7, 0.5)):
            x, y, heading, curvature = locate(row, numbers, s)
            place = (x - offset * math.sin(heading), y + offset * math.cos(heading))
            found = project(row, numbers, *place, s + 1.5, 6)
            assert found[0] == pytest.approx(s, abs=1e-3)
            assert found[1] == pytest.approx(offset, abs=1e-3)
            assert found[3] == pytest.approx(curvature, abs=1e-4)


def test_heading_is_the_direction_of_the_centre_line():
    env = make_env("car-lane", 1)
    env.reset(6)
    row, numbers = env.snapshot()[0].numpy(), env.rules.numbers
    for s in np.arange(10.0, 200.0, 3.7):
        x0, y0, *_ = locate(row, numbers, s - 0.01)
        x1, y1, *_ = locate(row, numbers, s + 0.01)
        heading = locate(row, numbers, s)[2]
        assert math.hypot(x1 - x0, y1 - y0) == pytest.approx(0.02, abs=1e-5)
        assert math.cos(heading) == pytest.approx((x1 - x0) / 0.02, abs=1e-3)


def test_collision_ends_the_episode_at_the_body_not_before():
    # The body's middle is at 20 m, half its length 2.254 m; a disc of radius 1 at 23.3 m leaves
    # 23.3 - 1 - 22.254 = 0.046 m, one at 23.2 m overlaps by 0.054 m.
    for s, hit in ((23.3, False), (23.2, True)):
        env, state = _straight()
        _put_obstacle(env, state, s, 0.0)
        step = _step(env)
        assert bool(step.terminated[0]) is hit
        if hit:
            assert step.metrics["collision"].item() == 1.0
            assert step.metrics["off_road"].item() == 0.0
            assert step.metrics["success"].item() == 0.0


def test_a_disc_beside_the_corner_is_not_a_collision():
    # From the corner (22.254, 0.805) to (23.0, 1.5): sqrt(0.746^2 + 0.695^2) = 1.0196 m.
    for radius, hit in ((1.01, False), (1.03, True)):
        env, state = _straight()
        _put_obstacle(env, state, 23.0, 1.5, radius)
        assert bool(_step(env).terminated[0]) is hit


def test_the_road_ends_where_the_body_reaches_its_edge():
    # half_width 4.5 less half the body's width 0.805: 3.695 m
    for offset, out in ((3.69, False), (3.70, True)):
        env, state = _straight(num_obstacles=0)
        state[0, r.Y] = offset
        env.restore(state)
        step = _step(env)
        assert bool(step.terminated[0]) is out


def test_obstacles_drive_along_and_stay_behind_one_another():
    env = make_env("car-lane", 8, moving_share=1.0)
    env.reset(3)
    parts = env.spec.physics["state"]
    before = env.snapshot()[:, parts["obstacle_tracks"]].unflatten(-1, (-1, 3)).clone()
    state = env.snapshot()
    for _ in range(399):
        state, _, _ = VehicleDynamics(env.rules).step(state, torch.zeros(8, 1, 2))
        if (state[:, parts["ended"]] != 0).any():
            break
    after = state[:, parts["obstacle_tracks"]].unflatten(-1, (-1, 3))
    assert (after[..., 0] > before[..., 0]).all()
    assert (after[:, 1:, 0] - after[:, :-1, 0] > 14.9).all()
    speed = state[:, parts["obstacles"]].unflatten(-1, (-1, 5))[..., 2:4].norm(dim=-1)
    assert (speed > 1.0).all() and (speed < 4.5).all()


def test_observation_is_in_the_cars_frame():
    env, state = _straight()
    state[0, r.HEADING] = math.pi / 2  # the car looks along y, the road goes along x
    state[0, r.X], state[0, r.Y] = 20.0, -CENTRE
    state[0, r.SPEED] = 3.0
    obs = _put_obstacle(env, state, 30.0, 2.0)
    seen = env.spec.observations["policy"].split(obs["policy"])
    present, x, y, vx, vy, radius = seen["obstacles"][0, 0, 0].tolist()
    # The disc stands 10 m to the right of the car and 2 m + CENTRE ahead of its rear axle.
    assert (present, radius) == (1.0, 1.0)
    assert x == pytest.approx(2.0 + CENTRE, abs=1e-5) and y == pytest.approx(-10.0, abs=1e-5)
    assert vx == pytest.approx(-3.0) and vy == pytest.approx(0.0, abs=1e-6)


def test_camera_sees_road_sky_and_an_obstacle_ahead():
    env, state = _straight(observations="camera")
    clear = _put_obstacle(env, state, 300.0, 0.0)["policy"].clone()
    image = env.spec.observations["policy"].split(clear)["camera"][0, 0, 0]
    assert image[0].eq(SKY).all()
    assert image[-1, 10] == pytest.approx(ROAD) and image[-1, -10] == pytest.approx(ROAD)
    blocked = _put_obstacle(env, state, 32.0, 0.0)["policy"]
    dark = (
        env.spec.observations["policy"].split(blocked)["camera"][0, 0, 0].eq(torch.tensor(OBSTACLE))
    )
    assert dark.any()
    columns = dark.any(0).nonzero().flatten().double()
    # 10.9 m to the front of the disc: about 2 / 11 / 1.4 * 64 = 8 pixels wide, in the middle.
    assert columns.mean() == pytest.approx(31.5, abs=0.6)
    assert 6 <= len(columns) <= 10
    left = _put_obstacle(env, state, 32.0, 3.0)["policy"]
    dark = env.spec.observations["policy"].split(left)["camera"][0, 0, 0].eq(torch.tensor(OBSTACLE))
    assert dark.any(0).nonzero().flatten().double().mean() < 24


def test_reference_runs_along_the_centre_line_at_the_wanted_speed():
    env, state = _straight(num_obstacles=0)
    ahead = torch.tensor([0.0, 0.5, 2.0])
    told = env.spec.reference(state, ahead)[0]
    wanted = [[20.0 - CENTRE + 10.0 * t, 0.0, 0.0, 10.0] for t in (0.0, 0.5, 2.0)]
    torch.testing.assert_close(told, torch.tensor(wanted, dtype=torch.float64))
    with pytest.raises(ValueError, match="rising seconds"):
        env.spec.reference(state, torch.tensor([1.0, 0.5]))


def test_native_rollout_equals_single_steps():
    env = make_env("car-lane", 4, model="dynamic")
    env.reset(1)
    dynamics, start = env.spec.dynamics(), env.snapshot()
    actions = torch.randn(4, 30, 1, 2, generator=torch.Generator().manual_seed(0))
    states, rewards, discounts = unroll(dynamics, start, actions)
    state = start
    for t in range(30):
        state, reward, discount = dynamics.step(state, actions[:, t])
        assert torch.equal(state, states[:, t]) and torch.equal(reward, rewards[:, t])
        assert torch.equal(discount, discounts[:, t])


@pytest.mark.parametrize(
    "options",
    [{"model": "dynamic", "tyre": "linear"}, {"observations": "camera", "reward": "distance"}],
)
def test_variants_keep_the_contract(options):
    options = {**options, "max_steps": 30}
    check_env(lambda n: make_env("car-lane", n, **options), num_steps=40)
    check_dynamics(env_plugin("car-lane").dynamics(CarLaneConfig(**options)), _make(options))


def _make(options):
    return make_env("car-lane", 3, **options)


def test_distance_until_takeover_is_the_return():
    env = make_env("car-lane", 6, observations="camera", reward="distance", max_steps=60)
    driver = make_scripted("car-lane", "driver", observations="camera")
    score = evaluate(env, driver, games=6, seed=2, deterministic=True).scores[0]
    assert score.mean_return == pytest.approx(score.metrics["distance"], abs=1e-3)
    assert score.mean_return > 20.0


@pytest.mark.parametrize("model", ["kinematic", "dynamic"])
def test_driver_passes_most_roads(model):
    env = make_env("car-lane", 40, model=model)
    driver = make_scripted("car-lane", "driver", model=model)
    score = evaluate(env, driver, games=40, seed=3, deterministic=True).scores[0]
    assert score.metrics["success"] >= 0.85
    empty = make_env("car-lane", 10, model=model, num_obstacles=0)
    score = evaluate(empty, driver_without_obstacles(model), games=10, seed=3).scores[0]
    assert score.metrics["success"] == 1.0 and score.metrics["rmse"] < 0.3


def driver_without_obstacles(model):
    return make_scripted("car-lane", "driver", model=model, num_obstacles=0)


def test_render_shows_the_car_in_the_middle():
    env = make_env("car-lane", 1)
    env.reset(0)
    image = env.render(0)
    assert image.shape == (480, 720, 3)
    assert len(np.unique(image.reshape(-1, 3), axis=0)) >= 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "flying"}, "kinematic, dynamic"),
        ({"tyre": "magic"}, "linear, pacejka"),
        ({"observations": "radar"}, "state, camera"),
        ({"num_obstacles": -1}, "num_obstacles"),
        ({"half_width": 1.0}, "half_width"),
        ({"max_steps": 0}, "max_steps"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        CarLaneConfig(**options)


def test_a_state_that_is_not_finite_is_refused_by_part():
    env = make_env("car-lane", 2)
    env.reset(0)
    state = env.snapshot()
    state[1, r.SPEED] = float("nan")
    with pytest.raises(ValueError, match="row 1, part 'car'"):
        env.restore(state)


def test_parts_cover_the_whole_row():
    rules = CarLaneRules(CarLaneConfig())
    parts = rules.spec.physics["state"]
    covered = np.zeros(rules.spec.state_size)
    for part in parts.values():
        covered[part] += 1
    assert covered.all()
