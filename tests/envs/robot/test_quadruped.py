"""The tasks of four-legged robots: what they ask, pay and call a fall."""

import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env, make_scripted
from simrl_envs.robot.terms.ground import ground_height

TASKS = ("quadruped-velocity", "quadruped-stand", "quadruped-recover")


def _hold(env):
    low, high = (torch.tensor(side) for side in (env.spec.actions.low, env.spec.actions.high))
    return ((low + high) / 2).expand(env.num_envs, 1, -1).contiguous()


def _part(env, name):
    return env.snapshot()[:, env.spec.physics["state"][name]]


def _term(env, timestep, name):
    return timestep.reward_terms[:, 0, env.spec.reward_terms.index(name)]


def test_middle_of_the_actions_stands():
    env = make_env("quadruped-stand", 4, seconds=1.0)
    env.reset(0)
    for _ in range(50):
        timestep = env.step(_hold(env))
    assert timestep.truncated.all()
    assert (timestep.metrics["height_share"] > 0.97).all()
    assert (timestep.metrics["rmse"] < 0.05).all()


def test_spec_tells_controllers_the_robot():
    spec = make_env("quadruped-velocity", 1).spec
    physics = spec.physics
    assert physics["model"] == "quadruped"
    assert physics["feet"] == ("FL", "FR", "RL", "RR")
    assert physics["joints"][:3] == ("FL_hip_joint", "FL_thigh_joint", "FL_calf_joint")
    assert physics["reference"] == ("vx", "vy", "yaw_rate")
    assert physics["torque_limit"][:3] == [23.7, 23.7, 45.43]
    assert physics["mass"] == pytest.approx(15.2, abs=0.05)
    assert len(physics["home"]) == 19


def test_commands_stay_in_their_ranges_and_are_renewed():
    env = make_env(
        "quadruped-velocity", 32, command_x=(0.2, 0.4), command_y=(0.0, 0.0), resample=0.1
    )
    env.reset(0)
    first = _part(env, "command").clone()
    moving = first[:, 0] != 0.0
    assert ((first[moving, 0] >= 0.2) & (first[moving, 0] <= 0.4)).all()
    assert not first[:, 1].any()
    assert 0 < int((~moving).sum()) < 12  # a tenth of the commands is to stand
    for _ in range(4):
        env.step(_hold(env))
    assert torch.equal(_part(env, "command"), first)
    env.step(_hold(env))  # the fifth step of 0.02 s
    assert not torch.equal(_part(env, "command"), first)
    ahead = env.spec.reference(env.snapshot(), torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(ahead[:, 1], _part(env, "command"))


def test_tracking_rewards_by_hand():
    env = make_env("quadruped-velocity", 3, command_x=(0.5, 0.5), command_y=(0.0, 0.0), still=0.0)
    env.reset(0)
    state = env.snapshot()
    parts = env.spec.physics["state"]
    state[:, parts["command"]] = torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64)
    env.restore(state)
    timestep = env.step(_hold(env))
    # Standing still under a command of 0.5 m/s: exp(-0.5^2 / 0.25) = 0.368.
    torch.testing.assert_close(
        _term(env, timestep, "track_velocity"), torch.full((3,), 0.368), atol=0.08, rtol=0
    )
    weights = torch.tensor(env.spec.reward_weights)
    torch.testing.assert_close(timestep.reward, (timestep.reward_terms * weights).sum(-1))


def test_velocity_is_judged_in_the_robots_heading():
    env = make_env("quadruped-velocity", 1, command_x=(0.5, 0.5), command_y=(0.0, 0.0), still=0.0)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    quarter = np.pi / 4
    state[:, parts["qpos"]][:, 3:7] = torch.tensor([np.cos(quarter), 0, 0, np.sin(quarter)])
    qvel = state[:, parts["qvel"]]
    qvel[:] = 0.0
    qvel[:, 1] = 0.5  # along world y, which is forward for a robot that faces y
    env.restore(state)
    timestep = env.step(_hold(env))
    assert float(_term(env, timestep, "track_velocity")[0]) > 0.9


def test_time_in_the_air_is_paid_on_landing():
    env = make_env("quadruped-velocity", 1, command_x=(1.0, 1.0), still=0.0)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    qpos, qvel = state[:, parts["qpos"]], state[:, parts["qvel"]]
    qpos[:, 2] += 0.1
    qvel[:] = 0.0
    env.restore(state)
    paid = []
    for _ in range(15):
        timestep = env.step(_hold(env))
        paid.append(float(_term(env, timestep, "air_time")[0]))
    # A drop of 0.1 m takes sqrt(0.2 / 9.81) = 0.143 s: each foot lands 0.1 s before 0.25 s is up,
    # the time being counted in steps of 0.02 s.
    landed = [value for value in paid if value != 0.0]
    assert sum(landed) == pytest.approx(4 * (0.15 - 0.25), abs=0.1)
    assert not any(paid[:6])


def test_lying_on_the_side_is_a_fall():
    env = make_env("quadruped-velocity", 2)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[1, parts["qpos"]][3:7] = torch.tensor([np.cos(0.7), np.sin(0.7), 0, 0])  # 1.4 rad
    state[1, parts["qpos"]][2] = 0.6
    env.restore(state)
    timestep = env.step(_hold(env))
    assert timestep.terminated.tolist() == [False, True]
    assert float(timestep.metrics["success"][1]) == 0.0


def test_falls_start_any_way_up():
    env = make_env("quadruped-recover", 64)
    env.reset(0)
    qpos = _part(env, "qpos")
    up = 1.0 - 2.0 * (qpos[:, 4] ** 2 + qpos[:, 5] ** 2)
    # Uniform orientations: the vertical's cosine is uniform between -1 and 1, variance 1/3.
    assert abs(float(up.mean())) < 0.25
    assert float(up.var()) == pytest.approx(1 / 3, abs=0.12)
    torch.testing.assert_close(qpos[:, 3:7].norm(dim=1), torch.ones(64, dtype=torch.float64))


def test_rough_ground_is_under_the_robots():
    env = make_env("quadruped-velocity", 8, terrain="rough", terrain_height=0.2)
    obs = env.reset(0)
    place = _part(env, "qpos")[:, :3]
    assert float(place[:, :2].abs().max()) > 2.0  # spread over the field
    layout = env.spec.observations["critic"]
    scan = layout.split(obs["critic"])["height_scan"][:, 0]
    assert float(scan.std(dim=1).min()) > 0.002
    clearance = layout.split(obs["critic"])["foot_clearances"][:, 0]
    assert float(clearance.min()) > 0.0
    for _ in range(50):
        timestep = env.step(_hold(env))
    assert not timestep.terminated.any()
    flat = make_env("quadruped-velocity", 1)
    still = flat.spec.observations["critic"].split(flat.reset(0)["critic"])["height_scan"]
    assert float(still.std()) < 1e-6


def _scan(env, obs):
    """Return the ground's heights under the 11 x 7 points in the world's frame [m], and x, y."""
    state, parts = env.snapshot(), env.spec.physics["state"]
    base = state[:, parts["qpos"]][:, :3].numpy()
    scan = env.spec.observations["critic"].split(obs["critic"])["height_scan"][:, 0]
    return base, base[:, 2, None] - scan.reshape(len(base), -1).numpy()


def _placed(terrain, x, **options):
    """Put a robot above x [m] on the ground, looking along x."""
    env = make_env("quadruped-velocity", 1, terrain=terrain, **options)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    home = torch.tensor(env.spec.physics["home"], dtype=torch.float64)
    home[0], home[2] = x, home[2] + 1.0
    state[:, parts["qpos"]], state[:, parts["qvel"]] = home, 0.0
    return env, env.restore(state)


def test_slope_rises_from_the_flat_middle():
    # Flat to 1 m, up to 4 m: at x = 2.5, seen from 2.0 to 3.0 m in steps of 0.1, tan(0.3) a metre.
    env, obs = _placed("slope", 2.5, terrain_slope=0.3)
    _, ground = _scan(env, obs)
    rows = ground.reshape(11, 7)
    assert rows[:, 3] == pytest.approx([0.30934 * (1.0 + 0.1 * k) for k in range(11)], abs=1e-4)
    level = _scan(*_placed("slope", 4.5, terrain_slope=0.3))[1]
    assert level.reshape(11, 7)[5] == pytest.approx(0.30934 * 3.0, abs=1e-4)
    start = make_env("quadruped-velocity", 4, terrain="slope")
    place = _scan(start, start.reset(0))[0]
    assert np.abs(place[:, :2]).max() == 0.0  # in the middle


def test_stairs_have_their_height_and_depth():
    # Stairs of 0.3 m: risers end at 1.05, 1.35, 1.65 m, ..., so 1.1 and 1.3 lie on the first one.
    env, obs = _placed("stairs", 1.5, stair_height=0.04, stair_depth=0.3)
    along = _scan(env, obs)[1].reshape(11, 7)[:, 3]  # x from 1.0 to 2.0
    expected = [0, 0.04, 0.04, 0.04, 0.08, 0.08, 0.08, 0.12, 0.12, 0.12, 0.16]
    assert along == pytest.approx(expected, abs=1e-5)
    down = _scan(*_placed("stairs", 8.0, stair_height=0.04))[1].reshape(11, 7)[:, 3]
    assert down[5:] == pytest.approx([0.0] * 6, abs=1e-6)
    assert down[:5] == pytest.approx([0.08, 0.08, 0.04, 0.04, 0.04], abs=1e-5)


def test_feet_rest_on_the_ground_that_terms_read():
    for terrain, x in (("slope", 2.5), ("stairs", 2.5), ("steps", 2.5)):
        env = make_env(
            "quadruped-stand", 1, terrain=terrain, terrain_slope=0.15, control="position"
        )
        env.reset(0)
        state, parts = env.snapshot(), env.spec.physics["state"]
        home = torch.tensor(env.spec.physics["home"], dtype=torch.float64)
        home[0], home[2] = x, home[2] + {"slope": 0.27, "stairs": 0.31, "steps": 0.05}[terrain]
        state[:, parts["qpos"]], state[:, parts["qvel"]] = home, 0.0
        env.restore(state)
        for _ in range(50):
            env.step(_hold(env))
        model, data = env.mujoco_state(0)
        feet = [data.geom(name) for name in env.spec.physics["feet"]]
        x, y, z = np.array([foot.xpos for foot in feet]).T
        under = ground_height(env.task.robot, x, y)
        radius = model.geom("FL").size[0]
        gap = z - under - radius
        # On a slope a sphere touches beside its lowest point: r (1/cos 0.15 - 1) = 0.2 mm; the
        # diagonals of cells and the compliance of contacts add a few; stairs have edges.
        assert gap.min() > (-0.006 if terrain == "slope" else -0.03), (terrain, gap)
        assert np.sort(gap)[2] < 0.01, (terrain, gap)


def test_steps_are_tiles_of_one_seed():
    env, obs = _placed("steps", 3.0, stair_height=0.06, stair_depth=0.5, terrain_seed=3)
    heights = _scan(env, obs)[1]
    assert heights.min() >= 0.0 and 0.02 < np.ptp(heights) <= 0.06
    again = _scan(*_placed("steps", 3.0, stair_height=0.06, stair_depth=0.5, terrain_seed=3))[1]
    other = _scan(*_placed("steps", 3.0, stair_height=0.06, stair_depth=0.5, terrain_seed=4))[1]
    assert np.array_equal(heights, again) and not np.array_equal(heights, other)
    # 1.1 x 0.7 m see at most 4 x 3 tiles of 0.5 m, and points between two on a riser.
    assert len(set(heights[0].round(6).tolist())) < 40


def test_sensors_stand_where_the_facts_say():
    env = make_env("quadruped-stand", 2, control="torque", control_step=0.004)
    env.reset(0)
    for _ in range(50):
        env.step(torch.tensor(env.spec.physics["rest_torque"]).expand(2, 1, 12).contiguous())
    sensors, state = env.spec.physics["sensors"], env.snapshot()
    fields = env.simulation.view.field("sensordata")
    model = env.simulation.model
    for name in ("imu_acc", "imu_gyro", "RR_force"):
        index = model.sensor(name).id
        there = fields[:, model.sensor_adr[index] : model.sensor_adr[index] + 3]
        assert np.array_equal(state[:, sensors[name]].numpy(), there)
    weight = sum(state[:, sensors[f"{foot}_force"]][:, 2] for foot in env.spec.physics["feet"])
    assert (weight.abs() / (9.81 * env.spec.physics["mass"]) - 1.0).abs().max() < 0.2


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("control", ["position", "torque"])
def test_pose_policy_holds_the_pose_in_both_controls(task, control):
    options = {"control": control, "control_step": 0.004 if control == "torque" else 0.02}
    env = make_env(task, 2, **options)
    policy = make_scripted(task, "pose", **options)
    obs, rng = env.reset(0), torch.Generator()
    for _ in range(round(0.6 / env.spec.step_seconds)):
        seen = {"seat": torch.zeros(2, dtype=torch.int64), "state": obs["state"]}
        action = policy.act(seen, {}, rng).action
        timestep = env.step(action[:, None])
        obs = timestep.obs
    assert not timestep.terminated.any()
    if task != "quadruped-recover":
        assert (_part(env, "qpos")[:, 2] > 0.27).all()


def test_randomised_robots_differ_and_are_pushed():
    env = make_env(
        "quadruped-stand", 4, mass=(0.8, 1.2), friction=(0.5, 1.0), payload=(0.0, 3.0),
        push=(10.0, 10.0), push_interval=1.0, latency=(0.0, 0.04), observation_noise=1.0,
    )  # fmt: skip
    env.reset(0)
    for _ in range(50):
        timestep = env.step(_hold(env))
    heights = _part(env, "qpos")[:, 2]
    assert len(set(heights.tolist())) == 4
    assert torch.isfinite(timestep.obs["policy"]).all()


def test_planners_model_agrees_roughly_with_the_simulator():
    env = make_env("quadruped-velocity", 2)
    env.reset(0)
    actions = (_hold(env)[:, None]).expand(2, 25, 1, 12).contiguous()
    predicted = env.spec.dynamics().rollout(env.snapshot(), actions)[0]
    for _ in range(25):
        env.step(_hold(env))
    parts = env.spec.physics["state"]
    after = env.snapshot()[:, parts["qpos"]]
    torch.testing.assert_close(predicted[:, -1, parts["qpos"]], after, atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"robot": "arm"}, "is of kind 'arm', the task needs 'quadruped'"),
        ({"terrain": "hilly"}, "terrain is 'hilly'; it is one of flat, rough, slope, stairs"),
        ({"terrain_slope": 1.2}, "terrain_slope must be above 0 and below pi/3"),
        ({"stair_height": 0.0}, "stair_height must be above 0"),
        ({"stair_depth": 0.05}, "stair_depth must be from 0.1 to 3.0 m"),
        ({"control": "speed"}, "control is 'speed'"),
        ({"command_x": (1.0, -1.0)}, "command_x must be two numbers low <= high"),
        ({"still": 2.0}, "still must be between 0 and 1"),
        ({"control_step": 0.005}, "not a whole number of physics steps"),
        ({"feet": ("FL", "paw", "RL", "RR")}, "feet not found: paw"),
        ({"joints": ("elbow",)}, "joints not found: elbow"),
        ({"planning_step": 0.0}, "planning_step must be above 0"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_env("quadruped-velocity", 1, **options)
