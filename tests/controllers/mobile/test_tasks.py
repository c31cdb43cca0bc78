"""The mobile manipulator's controllers on their tasks: contracts, limits, success, second tries."""

import numpy as np
import pytest
import torch

from simrl.core.checks import check_policy
from simrl.core.plugins import controller_plugin, make_env

CASES = [
    ("amr-pick", "pick-place"),
    ("amr-drawer", "pick-place"),
    ("amr-reach", "pick-place"),
    ("amr-drive", "pick-place"),
    ("amr-reach", "whole-body"),
    ("amr-drive", "nmpc"),
]


def build(env, name, **options):
    plugin = controller_plugin(name)
    return plugin.make(env.spec, plugin.config(**options))


def play(env, policy, seconds, seed=0, before=None):
    """Play until every row has ended once; return metrics by name and all extras `[T, n]`."""
    env.request(["state"])
    obs, memory = env.reset(seed), policy.initial_state(env.num_envs)
    rng, told = torch.Generator().manual_seed(0), []
    metrics = {name: np.full(env.num_envs, np.nan) for name in env.spec.metrics}
    for step in range(round(seconds / env.spec.step_seconds)):
        if before is not None:
            changed = before(step, told)
            obs = obs if changed is None else changed
        output = policy.act({"state": obs["state"]}, memory, rng, deterministic=True)
        memory = {name: value.clone() for name, value in output.state.items()}
        told.append({name: value.numpy().copy() for name, value in output.extras.items()})
        result = env.step(output.action[:, None])
        obs = result.obs
        fresh = policy.initial_state(1)
        for row in np.flatnonzero(result.done.numpy()):
            for name, value in memory.items():
                value[row] = fresh[name][0]
            for name, values in metrics.items():
                if np.isnan(values[row]):
                    values[row] = float(result.metrics[name][row])
        if not np.isnan(metrics["success"]).any():
            break
    return metrics, told


@pytest.mark.parametrize(("name", "controller"), CASES)
def test_controllers_keep_their_contract(name, controller):
    env = make_env(name, 2, threads=1)
    check_policy(build(env, controller), env, num_steps=2, tolerance=1e-4)


@pytest.mark.parametrize(
    ("drive", "control"),
    [("differential", "position"), ("holonomic", "torque"), ("holonomic", "velocity")],
)
def test_other_drives_and_actions_reach_too(drive, control):
    env = make_env("amr-reach", 2, threads=1, drive=drive, control=control, moving=0, obstacles=1)
    metrics, told = play(env, build(env, "pick-place"), 14.0)
    assert metrics["success"].tolist() == [1.0, 1.0]
    assert metrics["collisions"].tolist() == [0.0, 0.0]
    assert not any(extras["status"].any() for extras in told)


def wandering(**options):
    """Drive under noise; return how far bases are from their goals from 6 s to 8 s `[M]` [m]."""
    env = make_env("amr-drive", 4, threads=1, moving=0, obstacles=0, control_step=0.04, hold=99.0)
    plugin = controller_plugin("pick-place")
    policy = plugin.make(env.spec, plugin.config(drive_every=2, **options))
    env.request(["state"])
    obs, memory, rng = env.reset(seed=5), policy.initial_state(4), torch.Generator().manual_seed(0)
    noise = 0.12 * torch.tensor(env.spec.actions.high[:3])
    where, far = env.spec.physics["state"], []
    for _ in range(200):
        state = obs["state"]
        out = policy.act({"state": state}, memory, rng)
        off = state[:, where["qpos"]][:, :2] - state[:, where["command"]][:, :2]
        far.append(off.norm(dim=1))
        action = out.action.clone()
        action[:, :3] += noise * torch.randn(4, 3, generator=rng)
        memory, obs = out.state, env.step(action[:, None]).obs
    return torch.stack(far[150:]).mean(0)


@pytest.mark.slow
def test_commands_that_look_ahead_do_not_add_up_noise():
    near = wandering(base_ahead=0.15, base_frequency=3.33, base_acceleration=(15.0, 30.0))
    assert near.max() < 0.15
    assert wandering().max() > 2.0 * near.max()


def test_the_drawer_is_opened():
    env = make_env("amr-drawer", 2, threads=1)
    policy = build(env, "pick-place")
    metrics, told = play(env, policy, 16.0)
    assert metrics["success"].tolist() == [1.0, 1.0]
    assert metrics["collisions"].tolist() == [0.0, 0.0]
    phases = [policy.phases[extras["phase"][0]] for extras in told]
    order = [name for index, name in enumerate(phases) if not index or phases[index - 1] != name]
    # A row that has finished starts anew while the other goes on.
    assert order[:7] == ["drive", "before", "approach", "close", "check", "pull", "hold"]


@pytest.mark.slow
def test_objects_are_put_where_they_belong():
    env = make_env("amr-pick", 8, threads=1)
    metrics, told = play(env, build(env, "pick-place"), 40.0, seed=11)
    assert metrics["success"].tolist() == [1.0] * 8
    assert metrics["collisions"].tolist() == [0.0] * 8
    assert not any(extras["status"].any() for extras in told)


@pytest.mark.slow
def test_a_grasp_that_missed_is_tried_again():
    # When the fingers have closed the object is put back 6 cm aside: nothing is held.
    env = make_env("amr-pick", 1, threads=1, obstacles=0)
    policy = build(env, "pick-place")
    lift, moved = policy.phases.index("check"), []

    def put_aside(step, told):
        if moved or not told or told[-1]["phase"][0] != lift:
            return None
        rows, where = env.snapshot(), env.spec.physics["state"]["qpos"].start
        index = where + np.array(env.spec.physics["object_qpos"])
        face = float(rows[0, env.spec.physics["state"]["command"]][4])
        rows[0, index[0]] -= 0.06 * np.sin(face)
        rows[0, index[1]] += 0.06 * np.cos(face)
        moved.append(step)
        return env.restore(rows)

    metrics, told = play(env, policy, 40.0, seed=3, before=put_aside)
    assert moved and metrics["success"].tolist() == [1.0]
    assert max(extras["tries"][0] for extras in told) >= 1


def test_a_task_without_a_script_is_named():
    env = make_env("amr-drive", 1, threads=1)
    with pytest.raises(ValueError, match="no pose to follow: the reference needs columns x, y, z"):
        build(env, "whole-body")
    with pytest.raises(ValueError, match="arm-reach is no mobile manipulator"):
        build(make_env("arm-reach", 1, threads=1), "pick-place")
    with pytest.raises(ValueError, match="needs control=position, and control is torque"):
        build(make_env("amr-drive", 1, threads=1, control="torque"), "nmpc")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gap_rate": 0.0}, "gap_rate must be above 0"),
        ({"torque_share": 1.5}, "torque_share must be above 0 and at most 1"),
        ({"base_acceleration": (1.0,)}, "base_acceleration needs 2 numbers"),
        ({"pairs": -1}, "pairs must be 0 or more"),
        ({"clearance": -0.1}, "clearance must be 0 or more"),
    ],
)
def test_options_that_make_no_sense_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        controller_plugin("whole-body").config(**options)


def test_a_state_that_is_not_finite_is_named():
    env = make_env("amr-reach", 2, threads=1)
    env.request(["state"])
    env.reset(0)
    policy, rows = build(env, "whole-body"), env.snapshot()
    rows[1, env.spec.physics["state"]["qvel"].start + 2] = torch.nan
    with pytest.raises(ValueError, match=r"row 1: qvel\[2\] of the state is nan"):
        policy.act({"state": rows}, policy.initial_state(2), torch.Generator())
