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
from simrl_envs.vehicle.car.camera import GRASS, LINE, OBSTACLE, ROAD, SKY
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


def test_someone_takes_over_before_the_roads_edge():
    for offset, ends in ((1.99, False), (2.01, True)):
        env, state = _straight(num_obstacles=0, takeover=2.0)
        state[0, r.Y] = offset
        env.restore(state)
        assert bool(_step(env).terminated[0]) is ends


def test_setpoints_are_approached_as_fast_as_the_car_can():
    # From 4 m/s to 5 m/s: 1.5 1/s of 1 m/s in 0.05 s is 0.075 m/s.  The wheels turn by 0.4 rad/s,
    # 0.02 rad in a step, and stop at 0.03 rad.
    env, state = _straight(num_obstacles=0, control="setpoints")
    state[0, r.SPEED] = 4.0
    env.restore(state)
    _step(env, 5.0, 0.03)
    assert env.snapshot()[0, [r.SPEED, r.STEER]].tolist() == pytest.approx([4.075, 0.02])
    _step(env, 5.0, 0.03)
    assert env.snapshot()[0, r.STEER] == pytest.approx(0.03)
    # Full throttle is 3 m/s^2 and full brake 6 m/s^2, however far the speed is.
    for wanted, change in ((15.0, 0.15), (0.0, -0.3)):
        env.restore(state)
        _step(env, wanted)
        assert env.snapshot()[0, r.SPEED] == pytest.approx(4.0 + change)


def test_driver_drives_the_same_by_setpoints():
    tracks = []
    for control in ("rates", "setpoints"):
        env = make_env("car-lane", 10, control=control, num_obstacles=2, max_steps=200)
        driver = make_scripted("car-lane", "driver", control=control, num_obstacles=2)
        tracks.append(evaluate(env, driver, games=10, seed=4, deterministic=True).score().metrics)
    assert tracks[1]["distance"] == pytest.approx(tracks[0]["distance"], rel=0.02)
    assert tracks[1]["success"] == tracks[0]["success"]


@pytest.mark.parametrize("lap", [250.0, 400.0, 1000.0])
def test_a_lap_closes_smoothly_within_its_curvature(lap):
    env = make_env("car-lane", 20, lap=lap, num_obstacles=0)
    env.reset(3)
    numbers, knots = env.rules.numbers, env.spec.physics["state"]["knots"]
    sides = set()
    for row in env.snapshot().numpy():
        assert np.abs(row[knots].reshape(-1, 4)[:, 3]).max() < 0.03 + 1e-9
        x0, y0, heading0, curvature0 = locate(row, numbers, 0.0)
        x1, y1, heading1, curvature1 = locate(row, numbers, lap - 1e-9)
        assert (x1, y1, curvature1) == pytest.approx((x0, y0, curvature0), abs=1e-6)
        sides.add(round((heading1 - heading0) / (2.0 * math.pi), 6))
        around = np.array([locate(row, numbers, s)[:2] for s in np.arange(0.0, lap, 5.0)])
        again = [locate(row, numbers, s + 2.0 * lap)[:2] for s in np.arange(0.0, lap, 5.0)]
        np.testing.assert_allclose(around, again, atol=1e-6)
        # Parts that are far apart along the road stay apart: two half roads of 4.5 m and a verge.
        steps = np.abs(np.subtract.outer(np.arange(len(around)), np.arange(len(around)))) * 5.0
        far = np.minimum(steps, lap - steps) > 40.0
        gaps = np.linalg.norm(around[:, None] - around[None], axis=-1)
        assert not far.any() or gaps[far].min() >= 12.0
    assert sides == {1.0, -1.0}  # once around, to the left or to the right


def test_driver_comes_around_and_the_lap_is_counted():
    options = {"lap": 250.0, "num_obstacles": 3, "moving_share": 1.0, "max_steps": 900}
    env = make_env("car-lane", 10, **options)
    driver = make_scripted("car-lane", "driver", **options)
    score = evaluate(env, driver, games=10, seed=6, deterministic=True).score()
    distance = score.episodes.metric("distance")[:, 0]
    assert (distance >= 250.0).sum() >= 7
    np.testing.assert_array_equal(score.episodes.metric("lap_done")[:, 0], distance >= 250.0)


def test_obstacles_of_a_lap_stay_behind_one_another_all_around():
    options = {"lap": 250.0, "num_obstacles": 4, "moving_share": 1.0, "max_curvature": 0.03}
    env = make_env("car-lane", 8, **options)
    env.reset(2)
    parts, state = env.spec.physics["state"], env.snapshot()
    still = torch.zeros(8, 1, 2)
    still[..., 0] = -6.0
    dynamics = VehicleDynamics(env.rules)
    for _ in range(3000):  # 150 s of 2 to 4 m/s: once around and more
        state[:, parts["ended"]] = 0.0  # somebody runs into the standing car
        state, _, _ = dynamics.step(state, still)
    s = state[:, parts["obstacle_tracks"]].unflatten(-1, (-1, 3))[..., 0]
    assert (s[:, 0] > 250.0 + 100.0).all()
    assert (s.diff(dim=1) > 14.5).all() and (s[:, 0] + 250.0 - s[:, -1] > 14.5).all()


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


def test_lines_appear_where_a_pinhole_shows_them():
    # The camera is 1.6 m up and looks 0.25 rad down; 0.7 is the tangent of half its angle of view,
    # 32 columns.  The lowest row's rays go down by 11.5 / 32 * 0.7 = 0.2516 for each unit along
    # the axis, turned by 0.25 rad: fall 0.4911, ahead 0.9067.  They meet the ground at
    # 1.6 / 0.4911 = 3.258 lengths: 2.954 m ahead, where one metre to the left is
    # 1 / 3.258 / 0.7 * 32 = 14.03 columns and a line of 0.2 m is 2.8 of them.
    env, state = _straight(num_obstacles=0, observations="camera")
    for offset in (-1.0, -0.5, 0.5, 1.0):  # the car's place, so the line is at minus that
        state[0, r.S], state[0, r.D] = 31.5 - 2.954, offset  # looks amid a dash, 30 to 33 m
        state[0, r.X], state[0, r.Y] = 31.5 - 2.954 - CENTRE, offset
        image = env.spec.observations["policy"].split(env.restore(state)["policy"])["camera"]
        columns = (image[0, 0, 0, -1] == LINE).nonzero().flatten().double()
        assert columns.mean() == pytest.approx(31.5 + 14.03 * offset, abs=0.6)
        assert 2 <= len(columns) <= 3
    # Row 10: down by -1.5 / 32 * 0.7 = -0.0328, fall 0.2156, 7.421 lengths; the middle of a side
    # line, at 4.4 m, is 4.4 / 7.421 / 0.7 * 32 = 27.1 columns aside of a car in the middle.
    state[0, r.Y] = state[0, r.D] = 0.0
    image = env.spec.observations["policy"].split(env.restore(state)["policy"])["camera"]
    edges = (image[0, 0, 0, 10] == LINE).nonzero().flatten().tolist()
    edges = [column for column in edges if abs(column - 31.5) > 5]  # without the middle line
    assert len(edges) in (2, 4) and edges[0] == pytest.approx(31.5 - 27.1, abs=1.0)
    assert edges[-1] == pytest.approx(31.5 + 27.1, abs=1.0)
    assert image[0, 0, 0, 10, 0] == pytest.approx(GRASS)


def test_camera_turned_by_the_heading_looks_elsewhere():
    # Turned to the left by 0.2 rad, what was straight ahead is tan(0.2) / 0.7 * 32 = 9.3 columns
    # to the right (for level rays; row 3 of a camera that looks down sees 24.1 m ahead at 23.8
    # lengths, which makes 9.4 of it).
    env, state = _straight(num_obstacles=0, observations="camera")
    clear = _middle_of_road(env, state)
    state[0, r.HEADING] = 0.2
    state[0, r.X], state[0, r.Y] = 20.0 - CENTRE * math.cos(0.2), -CENTRE * math.sin(0.2)
    turned = _middle_of_road(env, state)
    assert clear == pytest.approx(31.5, abs=1.0)
    assert 8.5 < turned - clear < 11.5


def _middle_of_road(env, state):
    """Return the mean column of what is not grass, in the row that sees 24 m ahead."""
    image = env.spec.observations["policy"].split(env.restore(state)["policy"])["camera"]
    return float((image[0, 0, 0, 3] != GRASS).nonzero().double().mean())


def test_far_road_is_whole_in_sharp_bends():
    """Every row of the ground shows one stretch of road: its search never lands elsewhere."""
    options = {"observations": "camera", "max_curvature": 0.05, "num_obstacles": 0}
    for seed in range(3):
        env = make_env("car-lane", 16, **options)
        images = env.spec.observations["policy"].split(env.reset(seed)["policy"])["camera"]
        for image in images[:, 0, 0]:
            for line in image[3:]:  # up to 24 m ahead
                road = (line != torch.tensor(GRASS)).nonzero().flatten()
                assert len(road) and (road.diff() == 1).all()


def test_render_shows_what_the_camera_sees():
    plain, seen = (make_env("car-lane", 1, observations=kind) for kind in ("state", "camera"))
    images = []
    for env in (plain, seen):
        env.reset(2)
        images.append(env.render(0))
    different = np.argwhere((images[0] != images[1]).any(-1))
    assert different.min(0).tolist() >= [6, 440] and different.max(0).tolist() <= [108, 719]


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
    [
        {"model": "dynamic", "tyre": "linear"},
        {"observations": "camera", "reward": "distance"},
        {"control": "setpoints", "lap": 300.0, "takeover": 2.0, "num_obstacles": 3},
    ],
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
        ({"control": "feet"}, "rates, setpoints"),
        ({"takeover": 0.5}, "takeover must be 0 or lie above 0.8"),
        ({"takeover": 5.0}, "up to half_width"),
        ({"lap": 275.0}, "a multiple of 50 m, at least 209 m"),
        ({"lap": 250.0, "num_obstacles": 8}, "at least 340 m"),
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
