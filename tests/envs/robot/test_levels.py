"""Levels of rough ground: patches, how robots climb, and that levels are part of the state."""

import numpy as np
import pytest
import torch

from simrl.core.checks import check_env
from simrl.core.plugins import make_env
from simrl_envs.robot.scenery import Scenery, terrain_heights
from simrl_envs.robot.terms.ground import ground_height
from simrl_envs.robot.terms.levels import next_level
from simrl_envs.robot.terrain import HALF_WIDTH, patch_middle

ROUGH = {"terrain": "rough", "terrain_height": 0.2, "levels": 4, "threads": 1}
CLIMB = {**ROUGH, "climb": True, "first_level": 1, "seconds": 1.0}


def _hold(env):
    low, high = (torch.tensor(side) for side in (env.spec.actions.low, env.spec.actions.high))
    return ((low + high) / 2).expand(env.num_envs, 1, -1).contiguous()


def _part(env, name):
    return env.snapshot()[:, env.spec.physics["state"][name]]


def _last_step(env, asked, covered, level):
    """Put every robot before the last step of its episode, having walked `covered` of `asked`."""
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["way"]] = torch.tensor([asked, covered], dtype=torch.float64).T
    state[:, parts["level"]] = torch.tensor(level, dtype=torch.float64)[:, None]
    state[:, parts["steps"]] = env.spec.max_steps - 1
    state[:, parts["command"]] = 0.0
    env.restore(state)


def test_patches_lie_side_by_side_and_grow_linearly():
    field = terrain_heights(Scenery(terrain_height=0.2, levels=4))
    assert field.shape == (257, 4 * 256 + 1)
    assert field.min() == 0.0
    tops = [field[:, 256 * k : 256 * k + 257].max() for k in range(4)]
    for top, height in zip(tops, (0.05, 0.1, 0.15, 0.2), strict=True):
        assert 0.8 * height < top <= height + 1e-12
    edges = [field[0], field[-1], *field[:, ::256].T]
    assert not any(edge.any() for edge in edges)  # each is level with its neighbours
    assert list(patch_middle(np.arange(4.0), 4)) == pytest.approx([-38.4, -12.8, 12.8, 38.4])
    other = terrain_heights(Scenery(terrain_height=0.2, levels=4, terrain_seed=1))
    assert not np.array_equal(field, other)


def test_robots_stand_on_the_ground_of_their_level():
    env = make_env("quadruped-velocity", 24, **ROUGH)
    obs = env.reset(0)
    level, place = _part(env, "level")[:, 0].numpy(), _part(env, "qpos").numpy()
    assert set(level) == {0.0, 1.0, 2.0, 3.0}
    middle = np.array([-38.4, -12.8, 12.8, 38.4])[level.astype(int)]
    assert np.abs(place[:, 0] - middle).max() < HALF_WIDTH - 10.0
    assert np.abs(place[:, 1]).max() < HALF_WIDTH - 10.0
    clearance = env.spec.observations["critic"].split(obs["critic"])["foot_clearances"]
    assert float(clearance.min()) > 0.0
    for _ in range(40):
        env.step(_hold(env))
    robot, feet = env.task.robot, []
    for row in range(env.num_envs):
        _, data = env.mujoco_state(row)
        feet.append([data.geom(name).xpos for name in env.spec.physics["feet"]])
    x, y, z = np.moveaxis(np.array(feet), 2, 0)
    gap = z - ground_height(robot, x, y) - robot.model.geom("FL").size[0]
    assert np.abs(gap).max() < 0.02
    # What the ground looks like under the robots follows the level.
    spread = np.array([np.ptp(z[level == k], axis=1).mean() for k in range(4)])
    assert spread[3] > 2.0 * spread[0]


def test_next_level_by_the_rule():
    def after(level, asked, covered, fell=False, drawn=0.0):
        numbers = (np.array([value]) for value in (level, asked, covered))
        return next_level(*numbers, np.array([fell]), 4, np.array([drawn]))[0]

    assert after(1.0, 10.0, 8.5) == 2.0
    assert after(1.0, 10.0, 8.5, fell=True) == 1.0  # a fall is no mastery
    assert after(1.0, 10.0, 6.5) == 1.0
    assert after(1.0, 10.0, 4.5) == 0.0
    assert after(0.0, 10.0, -3.0) == 0.0
    assert after(1.0, 0.0, 0.0) == 1.0  # told to stand: it says nothing
    assert after(1.0, 0.5, 0.5) == 1.0  # nor does half a metre
    assert after(3.0, 10.0, 9.0, drawn=2.0) == 2.0  # mastered the last: anywhere
    assert after(2.0, 10.0, 9.0, drawn=0.0) == 3.0


def test_levels_outlive_episodes_and_follow_the_way():
    env = make_env("quadruped-velocity", 4, **CLIMB)
    env.reset(0)
    assert _part(env, "level")[:, 0].tolist() == [1.0] * 4
    _last_step(env, [4.0] * 4, [3.9, 2.5, 1.0, 3.9], [1.0, 1.0, 1.0, 2.0])
    timestep = env.step(_hold(env))
    assert timestep.truncated.all()
    assert timestep.metrics["level"][:, 0].tolist() == [1.0, 1.0, 1.0, 2.0]  # of those that ended
    assert _part(env, "level")[:, 0].tolist() == [2.0, 1.0, 0.0, 3.0]
    assert not _part(env, "way").any()
    x = _part(env, "qpos")[:, 0].numpy()
    assert np.abs(x - patch_middle(np.array([2.0, 1.0, 0.0, 3.0]), 4)).max() < 2.8


def test_who_masters_the_last_level_goes_anywhere():
    env = make_env("quadruped-velocity", 64, **CLIMB)
    env.reset(0)
    _last_step(env, [4.0] * 64, [3.9] * 64, [3.0] * 64)
    env.step(_hold(env))
    counts = np.bincount(_part(env, "level")[:, 0].numpy().astype(int), minlength=4)
    assert (counts >= 6).all() and counts.sum() == 64  # 16 each on average


def test_a_fall_counts_what_was_left_of_the_episode():
    env = make_env("quadruped-velocity", 2, **{**CLIMB, "seconds": 10.0})
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"]][:, 3:7] = torch.tensor([np.cos(0.7), np.sin(0.7), 0, 0])
    state[:, parts["qpos"]][:, 2] += 0.3
    state[:, parts["command"]] = torch.tensor([0.5, 0.0, 0.0], dtype=torch.float64)
    # All that was asked for was walked, but 4.5 m, or 0.5 m, would have followed.
    state[:, parts["steps"]] = torch.tensor([[50.0], [450.0]], dtype=torch.float64)
    state[:, parts["way"]] = torch.tensor([[0.5, 0.5], [4.5, 4.5]], dtype=torch.float64)
    env.restore(state)
    assert env.step(_hold(env)).terminated.all()
    assert _part(env, "level")[:, 0].tolist() == [0.0, 1.0]


def test_way_is_counted_along_the_command_in_the_robots_heading():
    env = make_env("quadruped-velocity", 2, **CLIMB, control="position")
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    quarter = np.pi / 4
    state[:, parts["qpos"]][:, 3:7] = torch.tensor([np.cos(quarter), 0, 0, np.sin(quarter)])
    state[:, parts["qvel"]] = 0.0
    state[:, parts["qvel"]][:, 1] = 0.5  # along world y, which is forward for who faces y
    state[:, parts["command"]] = torch.tensor([[0.4, 0, 0], [-0.4, 0, 0]], dtype=torch.float64)
    env.restore(state)
    env.step(_hold(env))
    way = _part(env, "way")
    assert way[:, 0].tolist() == pytest.approx([0.008, 0.008])  # 0.4 m/s for 0.02 s
    moved = (_part(env, "qpos") - state[:, parts["qpos"]])[:, 1]
    assert way[0, 1] == pytest.approx(float(moved[0]), abs=0.002)
    assert way[1, 1] == pytest.approx(-float(moved[1]), abs=0.002)


def test_fixed_levels_stay_and_open_ones_are_drawn_for_each_episode():
    fixed = make_env("quadruped-velocity", 2, **ROUGH, first_level=2, seconds=0.1)
    drawn = make_env("quadruped-velocity", 16, **ROUGH, seconds=0.1)
    seen = []
    for env in (fixed, drawn):
        env.reset(0)
        first = _part(env, "level")[:, 0].tolist()
        for _ in range(5):
            env.step(_hold(env))
        assert "way" not in env.spec.physics["state"]  # only who climbs is followed
        seen.append((first, _part(env, "level")[:, 0].tolist()))
    assert seen[0] == ([2.0, 2.0], [2.0, 2.0])
    assert seen[1][0] != seen[1][1]


def test_commands_grow_with_the_level():
    options = {**ROUGH, "first_commands": 0.25, "command_x": (1.0, 1.0), "still": 0.0}
    env = make_env("quadruped-velocity", 16, **options, resample=0.04)
    env.reset(0)
    wanted = 0.25 + 0.25 * _part(env, "level")[:, 0]
    torch.testing.assert_close(_part(env, "command")[:, 0], wanted)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["command"]] = 0.0
    env.restore(state)
    for _ in range(2):
        env.step(_hold(env))
    torch.testing.assert_close(_part(env, "command")[:, 0], wanted)


def test_restored_rows_go_on_from_their_levels_whatever_the_threads():
    env = make_env("quadruped-velocity", 8, **CLIMB)
    env.reset(5)
    _last_step(env, [4.0] * 8, [3.9] * 4 + [0.0] * 4, [3.0, 1.0] * 4)
    state = env.snapshot()
    other = make_env("quadruped-velocity", 8, **{**CLIMB, "threads": 2})
    other.restore(state)
    for _ in range(3):
        first, second = env.step(_hold(env)), other.step(_hold(other))
        assert torch.equal(first.obs["policy"], second.obs["policy"])
    assert torch.equal(env.snapshot(), other.snapshot())
    assert len(set(_part(env, "level")[:, 0].tolist())) > 2


def test_level_ground_is_a_lawful_environment():
    options = {**CLIMB, "levels": 2, "seconds": 0.1}
    check_env(lambda num_envs: make_env("quadruped-velocity", num_envs, **options))


def test_planners_foresee_the_way():
    env = make_env("quadruped-velocity", 2, **CLIMB, command_x=(0.5, 0.5), still=0.0)
    env.reset(0)
    actions = _hold(env)[:, None].expand(2, 10, 1, 12).contiguous()
    states = env.spec.dynamics().rollout(env.snapshot(), actions)[0]
    for _ in range(10):
        env.step(_hold(env))
    parts = env.spec.physics["state"]
    assert torch.equal(states[:, -1, parts["level"]], _part(env, "level"))
    torch.testing.assert_close(
        states[:, -1, parts["way"]], _part(env, "way"), atol=0.005, rtol=0
    )  # the planners' physics is coarser


def test_flat_ground_keeps_no_levels():
    spec = make_env("quadruped-velocity", 1).spec
    assert not {"level", "way"} & set(spec.physics["state"])
    assert "level" not in spec.metrics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": 1}, "levels must be 0 or from 2 to 20, got 1"),
        (
            {"levels": 4, "terrain": "stairs"},
            "levels are of terrain=rough, and terrain is 'stairs'",
        ),
        ({"levels": 4, "first_level": 4}, "first_level must be none or from 0 to 3, got 4"),
        ({"levels": 4, "first_commands": 0.0}, "first_commands must be above 0 and at most 1"),
        ({"climb": True}, "climb has a meaning only with levels, and levels is 0"),
        ({"first_level": 2}, "first_level has a meaning only with levels"),
        ({"first_commands": 0.5}, "first_commands has a meaning only with levels"),
    ],
)
def test_wrong_levels_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_env("quadruped-velocity", 1, **{"terrain": "rough", **options})
