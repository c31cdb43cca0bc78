"""Controllers on the robot tasks that ship with simrl: contracts, success, and levels on an arm."""

import numpy as np
import pytest
import torch

from simrl.core import ContinuousActions, PolicyOutput
from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_env
from simrl.rollout import evaluate
from simrl_controllers.cascade import Cascade, Level, command_view
from simrl_controllers.sampling import MppiConfig, make_mppi

pytest.importorskip("mujoco")

SMALL = {"horizon": 6, "samples": 6, "knots": 3}


def build(env, name, **options):
    plugin = controller_plugin(name)
    return plugin.make(env.spec, plugin.config(**options))


@pytest.mark.parametrize("name", ["mppi", "cem", "predictive-sampling"])
@pytest.mark.parametrize("env", ["cartpole-swingup", "quadrotor-track"])
def test_sampling_controllers_keep_their_contract(env, name):
    made = make_env(env, 3, threads=1)
    check_policy(build(made, name, **SMALL), made, num_steps=4)


@pytest.mark.parametrize("name", ["osc", "inverse-dynamics", "pd", "pid"])
def test_servos_keep_their_contract_and_reach_poses(name):
    env = make_env("arm-reach", 4, threads=1)
    policy = build(env, name)
    check_policy(policy, env, num_steps=4, tolerance=1e-3)
    score = evaluate(make_env("arm-reach", 4, threads=1), policy, games=4, seed=0).score()
    assert score.metrics["success"] == 1.0
    assert score.metrics["rmse"] < 0.002


LEVER = """
<mujoco>
  <worldbody>
    <body name="upper" pos="0 0 1">
      <joint name="shoulder" axis="0 1 0"/>
      <geom type="capsule" fromto="0 0 0 .4 0 0" size=".03" mass="1"/>
      <body name="lower" pos=".4 0 0">
        <joint name="elbow" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 .3 0 0" size=".02" mass=".5"/>
        <site name="tip" pos=".3 0 0"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.mark.parametrize("name", ["osc", "pd"])
def test_servos_move_the_end_effector_of_any_arm(name, tmp_path):
    path = tmp_path / "lever.xml"
    path.write_text(LEVER)
    own = {"end_effector": "tip", "joints": ("shoulder", "elbow"), "torque": (30.0, 10.0)}
    env = make_env("arm-reach", 4, robot=str(path), threads=1, **own)
    score = evaluate(env, build(env, name), games=4, seed=0).score()
    assert score.metrics["success"] == 1.0
    with pytest.raises(ValueError, match="the model has no site 'hand'; its sites are imu, tip"):
        build(env, name, site="hand", **({} if name == "osc" else {"target": "pose"}))


def test_mppi_swings_the_pole_up():
    env = make_env("cartpole-swingup", 2, seconds=3.0, threads=1)
    policy = build(env, "mppi", horizon=50, samples=32, knots=10, noise=(0.5,))
    env.request(["policy", "state"])
    obs, memory = env.reset(0), policy.initial_state(2)
    rng = torch.Generator().manual_seed(0)
    qpos = env.spec.physics["state"]["qpos"]
    angles = []
    for _ in range(145):
        rows = {"state": obs["state"]}
        output = policy.act(rows, memory, rng, deterministic=True)
        memory, obs = output.state, env.step(output.action[:, None]).obs
        angles.append(obs["state"][:, qpos][:, 1].numpy().copy())
    # It hangs at pi in the beginning and stands at a whole turn, or none, at the end.
    assert np.cos(angles[0]).max() < -0.5
    assert np.cos(angles[-1]).min() > 0.9


def test_pd_holds_a_quadruped_on_its_feet():
    env = make_env("quadruped-stand", 4, control="torque", seconds=4.0, threads=1)
    options = {"stiffness": (40.0,), "damping": (1.0,), "compensate_gravity": False}
    score = evaluate(env, build(env, "pd", **options), games=4, seed=0).score()
    assert score.metrics["success"] == 1.0


def test_a_servo_refuses_motors_that_are_servos_themselves():
    env = make_env("quadruped-stand", 1, control="position")
    with pytest.raises(ValueError, match=r"is a servo of its own; .* control=torque"):
        build(env, "pd")


class Wave:
    """Command joint angles of the arm that wave, decided from the time in the state."""

    reads = frozenset({"state"})

    def __init__(self, spec):
        self.where = spec.physics["state"]["time"]
        self.home = torch.tensor(spec.physics["home"])

    def initial_state(self, num_rows):
        return {}

    def act(self, obs, state, rng, *, deterministic=False):
        phase = 2.0 * obs["state"][:, self.where]
        return PolicyOutput((self.home + 0.3 * torch.sin(phase)).float())


def test_a_task_level_commands_joint_servos_through_a_view():
    env = make_env("arm-reach", 3, threads=1)
    spec = env.spec
    view = command_view(spec, spec.physics["joints"])
    bounds = ContinuousActions((-4.0,) * 7, (4.0,) * 7)
    plugin = controller_plugin("inverse-dynamics")
    servo = plugin.make(view, plugin.config())
    wave = Wave(spec)
    policy = Cascade(
        spec,
        [Level("task", wave, bounds, 5), Level("servo", servo, spec.actions, view=view)],
    )
    env.request(["policy", "state"])
    obs, memory, rng = env.reset(0), policy.initial_state(3), torch.Generator()
    errors = []
    for _ in range(250):
        output = policy.act({"state": obs["state"]}, memory, rng)
        memory, obs = output.state, env.step(output.action[:, None]).obs
        angle = obs["state"][:, spec.physics["state"]["qpos"]]
        errors.append(float((angle - memory["task/action"]).abs().max()))
    # The wave moves at up to 0.6 rad/s and the servo lags by 2 / frequency = 0.13 s: 0.08 rad.
    assert max(errors[100:]) < 0.12


def test_a_command_written_over_the_tasks_own_changes_what_the_planner_plans():
    env = make_env("quadrotor-track", 2)
    spec = env.spec
    planner = make_mppi(spec, MppiConfig(**SMALL))

    class Still:
        reads = frozenset({"state"})

        def initial_state(self, num_rows):
            return {}

        def act(self, obs, state, rng, *, deterministic=False):
            row = torch.tensor([0.0, 0.0, 1.5, 6.0, 0.0])
            return PolicyOutput(row.expand(len(obs["state"]), -1))

    wide = ContinuousActions((-100.0,) * 5, (100.0,) * 5)
    policy = Cascade(spec, [Level("task", Still(), wide, 10), Level("plan", planner, spec.actions)])
    env.request(["policy", "state"])
    state = env.reset(0)["state"].clone()
    rng = torch.Generator()
    found = policy.act({"state": state}, policy.initial_state(2), rng.manual_seed(0)).action
    commanded = state.clone()
    commanded[:, spec.physics["state"]["command"]] = torch.tensor(
        [0.0, 0.0, 1.5, 6.0, 0.0]
    ).double()
    alone = [
        planner.act({"state": rows}, planner.initial_state(2), rng.manual_seed(0)).action
        for rows in (state, commanded)
    ]
    assert torch.equal(found, alone[1])
    assert not torch.equal(found, alone[0])


@pytest.mark.parametrize(
    ("name", "env", "problem"),
    [
        ("lqr", "arm-track", "lqr: cannot follow a reference of x, y, z, qw"),
        ("linear-mpc", "quadruped-stand", "cannot follow a reference of vx, vy, yaw_rate"),
        ("ilqr", "car-lane", "its 3 positions are fewer than its 4 velocities"),
    ],
)
def test_tasks_that_linear_controllers_cannot_follow_are_refused_when_made(name, env, problem):
    with pytest.raises(ValueError, match=problem):
        build(make_env(env, 1), name)
