"""Robots on `mujoco.batch`: an MJCF, a task file and named terms make a `VecEnv`.

How to add a task
=================

1. A model: an MJCF file whose actuators have a `ctrlrange`; actions are the controls, in physical
   units.  `robot.load_robot(path)` compiles it; a model built in Python is wrapped as
   `Robot(model, mjcf)` and handed to `load_task(..., robot=...)`.
2. Terms: vectorised functions over M rows, registered by name with one decorator each from
   `terms.registry`: `observation`, `reward`, `termination`, `measure`, `start`, `carry`,
   `update`, `reference`, `shape` and `facts` (their signatures stand there).  They read a
   `rows.View`: `qpos`, `qvel`, `time`, `command`, `action`, `last_action`, `last_qpos`,
   `memory[name]`, and derived fields of MjData as `view.field("site_xpos")` if the decorator
   says `needs=("site_xpos",)`.  Indices come from names: `view.robot.qpos_of("hip", "knee")`,
   `view.robot.find("site", "foot")`.  `terms.general` has terms for any robot.  Keyword-only
   arguments come from the task file.  Rows must not depend on one another: no `@`, no reductions
   over rows.
3. A task file, TOML:

       model = "../mjcf/my.xml"                  # or load_task(..., robot=Robot(...))
       terms = ["simrl_envs.robot.terms.my"]     # modules that register terms
       system = "my"                             # physics["model"]
       step_seconds = 0.02                       # control step; a whole number of physics steps
       seconds = 10.0                            # time limit
       fresh = "vel"                             # derived fields are recomputed after the step:
                                                 # none (default), pos, vel (positions, velocity
                                                 # sensors) or acc (contact forces, touch sensors).
                                                 # With none they are one physics step old, and kept
                                                 # in the state row.
       command = ["vx [m/s]", "yaw_rate [rad/s]"]
       memory = { phase = 2 }                    # the task's own numbers in the state row
       payload_body = "trunk"                    # bodies that randomisation loads and pushes
       push_body = "trunk"

       [start]                                   # writes qpos, qvel, command, memory at the start
       term = "around"
       position = 0.1
       [carry]                                   # optional: memory that outlives an episode
       [update]                                  # optional: renews command and memory each step
       [reference]                               # optional: makes spec.reference
       [facts]                                   # optional: makes spec.physics
       [shape]                                   # optional: sizes, masses, ... by the state
       [[observations.policy]]                   # also observations.critic
       term = "joint_positions"
       joints = ["hip", "knee"]
       noise = 0.01                              # where RobotConfig.observation_noise = 1
       [[rewards]]
       term = "effort"
       weight = -0.1
       group = "task"
       [[terminations]]
       term = "joint_beyond"
       [[metrics]]                               # reduce: mean, rms, max, last, any, sum
       name = "rmse"
       term = "angle_error"
       reduce = "rms"
       after = 2.0
       [success]                                 # bounds on metrics; makes the metric "success"
       terminated = false
       rmse = { max = 0.2 }
       [planning]                                # optional: a cheaper model for spec.dynamics()
       timestep = 0.01
       cone = "pyramidal"
       iterations = 2
       refresh = false
       metrics = false

   A value "$feet" is filled from `load_task(..., variables={"feet": (...)})`.  An optional table,
   or one of an array, is left out where its key `when` is false.
4. A plug-in: `my_task = task_plugin("my-task", "what it is, in a line")` below, or
   `EnvPlugin(summary, MyConfig, make=lambda config, n: RobotEnv(my_task(config), config, n), ...)`
   with a config that inherits `RobotConfig`; then one line in pyproject.toml.

A row of the state is `qpos | qvel | command | time | ...`;
`spec.physics["state"]` names the parts.
`RobotEnv.render` calls `simrl_envs.robot.render.draw(model, data) -> (H, W, 3) uint8`.
"""

from __future__ import annotations

from simrl_envs.robot.config import RobotConfig
from simrl_envs.robot.plugin import gymnasium_plugin, task_plugin

__all__ = [
    "RobotConfig",
    "ant_v5",
    "cartpole_balance",
    "cartpole_swingup",
    "half_cheetah_v5",
    "hopper_v5",
    "humanoid_standup_v5",
    "humanoid_v5",
    "inverted_double_pendulum_v5",
    "inverted_pendulum_v5",
    "pusher_v5",
    "quadrotor_hover",
    "quadrotor_track",
    "reacher_v5",
    "swimmer_v5",
    "task_plugin",
    "walker2d_v5",
]

cartpole_swingup = task_plugin("cartpole-swingup", "swing a hanging pole up and hold it")
cartpole_balance = task_plugin("cartpole-balance", "hold a pole upright on a cart")
quadrotor_hover = task_plugin("quadrotor-hover", "hover at a point from a disturbed start")
quadrotor_track = task_plugin("quadrotor-track", "fly a figure of eight of random size and speed")

half_cheetah_v5 = gymnasium_plugin("HalfCheetah-v5")
swimmer_v5 = gymnasium_plugin("Swimmer-v5")
hopper_v5 = gymnasium_plugin("Hopper-v5")
walker2d_v5 = gymnasium_plugin("Walker2d-v5")
ant_v5 = gymnasium_plugin("Ant-v5")
humanoid_v5 = gymnasium_plugin("Humanoid-v5")
humanoid_standup_v5 = gymnasium_plugin("HumanoidStandup-v5")
inverted_pendulum_v5 = gymnasium_plugin("InvertedPendulum-v5")
inverted_double_pendulum_v5 = gymnasium_plugin("InvertedDoublePendulum-v5")
reacher_v5 = gymnasium_plugin("Reacher-v5")
pusher_v5 = gymnasium_plugin("Pusher-v5")
