"""The mobile manipulator at work: grasps by friction, opened drawers, collisions, goals, energy."""

import mujoco
import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env

ARM = [f"joint{index}" for index in range(1, 8)]


class Puppet:
    """Move the hand along given poses, by inverse kinematics, servos and computed torques.

    All rows do the same; the base stands where it is put.
    """

    def __init__(self, env, base):
        self.env, self.physics = env, env.spec.physics
        self.parts = self.physics["state"]
        self.model = mujoco.MjModel.from_xml_string(self.physics["mjcf"])
        self.data = mujoco.MjData(self.model)
        self.base = np.asarray(base, float)
        self.arm = np.array(self.physics["qpos_index"])
        self.angles = np.array([0.0, -0.3, 0.0, -2.6, 0.0, 3.2, 0.785])

    def solve(self, place, point, opens, start=None):
        """Return joint angles with the hand at `place`, pointing and opening as told."""
        model, data, site = self.model, self.data, self.model.site("end_effector").id
        z, y = np.asarray(point, float), np.asarray(opens, float)
        wanted = np.stack([np.cross(y, z), y, z], 1)
        data.qpos[:] = self.physics["home"]
        data.qpos[:3] = self.base
        data.qpos[self.arm] = self.angles if start is None else start
        low, high = np.array(self.physics["joint_range"]).T
        jacobian = np.zeros((6, model.nv))
        for _ in range(300):
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
            turn = data.site_xmat[site].reshape(3, 3)
            twist = 0.5 * sum(np.cross(turn[:, i], wanted[:, i]) for i in range(3))
            error = np.concatenate([place - data.site_xpos[site], twist])
            if np.linalg.norm(error) < 1e-4:
                break
            part = jacobian[:, self.physics["qvel_index"]]
            step = part.T @ np.linalg.solve(part @ part.T + 1e-3 * np.eye(6), error)
            step *= min(1.0, 0.2 / np.abs(step).max())
            data.qpos[self.arm] = np.clip(data.qpos[self.arm] + step, low, high)
        assert np.linalg.norm(error) < 5e-3, "the pose is out of the arm's reach"
        self.angles = data.qpos[self.arm].copy()
        return self.angles

    def put(self, angles, opening=0.08):
        """Put the base where it stands, the arm at `angles`, the gripper open, all at rest."""
        state, qpos = self.env.snapshot(), self.parts["qpos"].start
        state[:, qpos : qpos + 3] = torch.from_numpy(self.base)
        state[:, qpos + self.arm] = torch.from_numpy(angles)
        state[:, [qpos + i for i in self.physics["finger_qpos"]]] = opening / 2
        state[:, self.parts["qvel"]] = 0.0
        self.env.restore(state)

    def move(self, start, end, seconds, opening, speeds=None):
        """Move from one pose to another; return the last time step, or the one that ended."""
        count = round(seconds / self.env.spec.step_seconds)
        drives = len(self.physics["drives"])
        for index in range(count):
            share = (index + 1) / count
            share = share * share * (3 - 2 * share)
            action = torch.zeros(self.env.num_envs, 1, self.env.spec.actions.size)
            if speeds is not None:
                action[:, 0, :drives] = torch.tensor(speeds)
            target = (1 - share) * start + share * end
            action[:, 0, drives : drives + 7] = torch.from_numpy(self._arm_action(target)).float()
            action[:, 0, -1] = opening
            timestep = self.env.step(action)
            if bool(timestep.done.any()):
                break
        return timestep

    def _arm_action(self, target):
        if self.physics["control"] == "position":
            return np.tile(target, (self.env.num_envs, 1))
        qpos, qvel = self.qpos(), self.part("qvel")
        out = np.empty((len(qpos), 7))
        for row in range(len(qpos)):
            self.data.qpos[:], self.data.qvel[:] = qpos[row], qvel[row]
            mujoco.mj_forward(self.model, self.data)
            dofs = self.physics["qvel_index"]
            spring = np.array(self.physics["stiffness"]) * (target - qpos[row, self.arm])
            brake = np.array(self.physics["damping"]) * qvel[row, dofs]
            passive = self.data.qfrc_passive[dofs]
            out[row] = spring - brake + self.data.qfrc_bias[dofs] - passive
        return out

    def part(self, name):
        return self.env.snapshot()[:, self.parts[name]].numpy()

    def qpos(self):
        return self.part("qpos")

    def object(self):
        return self.qpos()[:, self.physics["object_qpos"]]

    def hand(self):
        return self.part("data.sensordata")[:, :3]


def _picking(rows, **options):
    """Make rows that are alike: one object on the high board of shelf A, hand around it."""
    env = make_env("amr-pick", rows, obstacles=0, object_turn=0.0, seconds=60.0, **options)
    env.reset(0)
    state, parts, physics = env.snapshot(), env.spec.physics["state"], env.spec.physics
    half = float(state[0, parts["object"]][3])
    place = np.array([-1.2, 2.05 + 0.11, 1.02 + half])
    where = torch.tensor(physics["object_qpos"]) + parts["qpos"].start
    state[:, where] = torch.tensor([*place, np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    state[:, parts["object"]] = state[0, parts["object"]].clone()
    env.restore(state)
    puppet = Puppet(env, [-1.2, place[1] - 0.78, np.pi / 2])
    return env, puppet, place


def _lift(puppet, place):
    """Grasp what stands at `place` and lift it by 0.12 m; return the joint angles up there."""
    point, opens = np.array([0.0, np.cos(0.2), -np.sin(0.2)]), np.array([1.0, 0.0, 0.0])
    before = puppet.solve(place - 0.12 * point, point, opens)
    at = puppet.solve(place, point, opens)
    above = puppet.solve(place + np.array([0, 0, 0.12]), point, opens)
    puppet.put(before)
    puppet.move(before, at, 0.8, 0.08)
    puppet.move(at, at, 0.8, 0.0)
    puppet.move(at, above, 0.8, 0.0)
    return above


@pytest.mark.parametrize("kind", ["box", "cylinder"])
def test_objects_are_held_by_friction_alone(kind):
    options = {"object_mass": (0.8, 0.8), "object_friction": (0.8, 0.8)}
    _, puppet, place = _picking(1, object_kind=kind, **options)
    above = _lift(puppet, place)
    held = puppet.object()[0, :3] - puppet.hand()[0]
    assert puppet.object()[0, 2] > place[2] + 0.1
    puppet.move(above, above, 2.0, 0.0)
    later = puppet.object()[0, :3] - puppet.hand()[0]
    assert np.linalg.norm(later - held) < 0.001
    # Nothing but the fingers holds it: open, it falls as bodies fall, 0.2 s: at least 0.05 m.
    puppet.move(above, above, 0.5, 0.08)
    assert puppet.object()[0, 2] < place[2] + 0.05


def test_slippery_or_heavy_objects_are_not_held():
    # Two fingers with 70 N and friction 0.7 (the pads') carry 98 N at most: 12 kg weigh 118 N.
    options = {"object_mass": (12.0, 12.0), "object_friction": (0.1, 0.1)}
    _, puppet, place = _picking(1, object_kind="box", **options)
    _lift(puppet, place)
    assert puppet.object()[0, 2] < place[2] + 0.03


def test_scripted_torques_lift_an_object():
    options = {"control": "torque", "control_step": 0.002}
    _, puppet, place = _picking(1, object_kind="cylinder", object_mass=(0.5, 0.5), **options)
    above = _lift(puppet, place)
    assert puppet.object()[0, 2] == pytest.approx(place[2] + 0.12, abs=0.01)
    held = puppet.object()[0, :3] - puppet.hand()[0]
    puppet.move(above, above, 0.5, 0.0)
    assert np.linalg.norm(puppet.object()[0, :3] - puppet.hand()[0] - held) < 0.001


def test_object_at_its_goal_finishes_once_it_is_let_go():
    env, puppet, place = _picking(1, hold=0.3)
    _lift(puppet, place)
    state, parts = env.snapshot(), puppet.parts
    state[:, parts["command"].start : parts["command"].start + 3] = torch.from_numpy(
        puppet.object()[:, :3].copy()
    )
    env.restore(state)
    held = puppet.move(puppet.angles, puppet.angles, 0.6, 0.0)
    assert not bool(held.done.any())  # it is there, but in the hand
    assert float(held.reward_terms[0, 0, env.spec.reward_terms.index("finished")]) == 0.0
    where = torch.tensor(puppet.physics["object_qpos"]) + parts["qpos"].start
    state = env.snapshot()
    on_table = [1.2, -1.85, 0.72 + float(state[0, parts["object"]][3])]
    state[:, where[:3]] = torch.tensor(on_table, dtype=torch.float64)
    state[:, parts["command"].start : parts["command"].start + 3] = state[:, where[:3]]
    env.restore(state)
    done = puppet.move(puppet.angles, puppet.angles, 1.0, 0.0)
    assert bool(done.terminated[0])
    assert float(done.metrics["success"][0, 0]) == 1.0
    assert float(done.metrics["distance"][0, 0]) < 0.02


def test_dropped_object_ends_the_episode_without_success():
    env, puppet, _ = _picking(2)
    state = env.snapshot()
    where = torch.tensor(puppet.physics["object_qpos"]) + puppet.parts["qpos"].start
    state[0, where[:3]] = torch.tensor([0.0, 0.0, 0.5], dtype=torch.float64)
    env.restore(state)
    for _ in range(25):  # 0.3 m in 0.25 s
        timestep = env.step(torch.zeros(2, 1, env.spec.actions.size))
        if bool(timestep.done.any()):
            break
    assert timestep.terminated.tolist() == [True, False]
    assert float(timestep.metrics["success"][0, 0]) == 0.0


@pytest.mark.parametrize("drive", ["holonomic", "differential"])
def test_drawer_is_opened_by_its_handle(drive):
    env = make_env("amr-drawer", 1, obstacles=0, drive=drive, seconds=60.0)
    env.reset(0)
    data = mujoco.MjData(env.task.robot.model)
    data.qpos[:] = env.spec.physics["home"]
    mujoco.mj_kinematics(env.task.robot.model, data)
    handle = data.site("handle").xpos.copy()
    puppet = Puppet(env, [handle[0] + 0.78, handle[1], np.pi])
    point = np.array([-np.cos(0.25), 0.0, -np.sin(0.25)])
    opens = np.array([-np.sin(0.25), 0.0, np.cos(0.25)])
    turned = np.array([0.0, -0.3, 0.0, -2.6, 0.0, 3.2, -0.785])
    before = puppet.solve(handle - 0.1 * point, point, opens, turned)
    at = puppet.solve(handle, point, opens)
    puppet.put(before)
    puppet.move(before, at, 0.8, 0.08)
    puppet.move(at, at, 0.8, 0.0)
    speeds = (-0.15, 0.0, 0.0) if drive == "holonomic" else (-0.15, -0.15)
    done = puppet.move(at, at, 4.0, 0.0, speeds)
    assert bool(done.terminated[0])
    assert float(done.metrics["success"][0, 0]) == 1.0
    assert float(done.metrics["opening"][0, 0]) > 0.2
    assert float(done.metrics["collisions"][0, 0]) == 0.0
    # At least the work against 4 N of dry friction over the opening, and not a hundred times it.
    assert 0.8 < float(done.metrics["energy"][0, 0]) < 80.0


def test_driving_into_things_counts_as_collision():
    env = make_env("amr-drive", 3, obstacles=1, moving=0, seconds=1.0)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"].start : parts["qpos"].start + 3] = torch.tensor(
        [[0.0, 0.0, 0.0], [2.1, 0.4, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64
    )
    state[:, parts["mocap_pos"].start : parts["mocap_pos"].start + 3] = torch.tensor(
        [[0.75, 0.0, 0.0], [-1.5, -1.5, 0.0], [-1.5, -1.5, 0.0]], dtype=torch.float64
    )
    env.restore(state)
    action = torch.zeros(3, 1, env.spec.actions.size)
    action[:, 0, 0] = 0.6
    action[:, 0, 3:10] = torch.tensor(env.spec.physics["pose"])
    for _ in range(50):
        timestep = env.step(action)
    hits = timestep.metrics["collisions"][:, 0]
    # Obstacle 0.18 m thick 0.22 m ahead of the front; shelf B 0.1 m ahead of it; nothing.
    assert float(hits[0]) > 10 and float(hits[1]) > 25 and float(hits[2]) == 0.0
    position = timestep.final_obs["state"][:, parts["qpos"].start]
    assert float(position[0]) < 0.75 - 0.18 - 0.34
    assert float(position[2]) > 0.4


def test_hand_pressed_onto_the_base_is_held_up_and_counts_as_collision():
    env = make_env("amr-drive", 1, obstacles=0, moving=0, seconds=2.0)
    env.reset(0)
    action = torch.zeros(1, 1, env.spec.actions.size)
    # In free space this would put the hand 4 cm below the top of the base, behind the arm.
    action[0, 0, 3:10] = torch.tensor([2.8, 0.9, 0.0, -2.9, 0.0, 2.6, 0.785])
    for _ in range(100):
        timestep = env.step(action)
    assert float(timestep.metrics["collisions"][0, 0]) > 20
    assert 0.0 < float(timestep.metrics["overspeed"][0, 0]) < 0.5  # it went there at full torque
    height = timestep.final_obs["state"][0, env.spec.physics["state"]["data.sensordata"]][2]
    assert float(height) > 0.38


def test_energy_of_speeding_up_is_the_kinetic_energy_and_the_brake_s():
    env = make_env("amr-drive", 1, obstacles=0, moving=0, seconds=1.0)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    state[:, parts["qpos"].start : parts["qpos"].start + 3] = torch.tensor([-1.0, 0.0, 0.0])
    env.restore(state)
    action = torch.zeros(1, 1, env.spec.actions.size)
    action[:, 0, 3:10] = torch.tensor(env.spec.physics["pose"])
    for index in range(50):
        action[:, 0, 0] = 0.5 if index < 25 else 0.0
        timestep = env.step(action)
    # Twice m v2 / 2 of 81.8 kg at 0.5 m/s, 20.5 J; the arm sways a little and is held.
    assert 19.0 < float(timestep.metrics["energy"][0, 0]) < 28.0


def test_being_at_the_base_s_goal_finishes_after_the_hold():
    env = make_env("amr-drive", 2, obstacles=0, hold=0.2)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    goal = state[:, parts["command"]].clone()
    goal[1, 2] += 0.3  # turned too far
    state[:, parts["qpos"].start : parts["qpos"].start + 3] = goal
    env.restore(state)
    action = torch.zeros(2, 1, env.spec.actions.size)
    action[:, 0, 3:10] = torch.tensor(env.spec.physics["pose"])
    ends = []
    for _ in range(12):
        timestep = env.step(action)
        ends.append(timestep.terminated.tolist())
    assert next(index for index, end in enumerate(ends) if end[0]) == 9  # 10 steps are 0.2 s
    assert not any(end[1] for end in ends)


def test_references_name_the_goals():
    wanted = {
        "amr-drive": (("x", "y", "yaw"), 3),
        "amr-reach": (("x", "y", "z", "qw", "qx", "qy", "qz", "vx", "vy", "vz"), 7),
        "amr-pick": (("x", "y", "z"), 3),
        "amr-drawer": (("opening",), 1),
    }
    for task, (names, count) in wanted.items():
        env = make_env(task, 2)
        env.reset(0)
        assert env.spec.physics["reference"] == names
        state = env.snapshot()
        ahead = env.spec.reference(state, torch.tensor([0.0, 1.0]))
        assert ahead.shape == (2, 2, len(names))
        command = state[:, env.spec.physics["state"]["command"]]
        torch.testing.assert_close(ahead[:, 1, :count], command[:, :count])


def test_obstacles_are_shown_in_the_base_s_frame():
    env = make_env("amr-drive", 1, obstacles=1, moving=0)
    env.reset(0)
    state, parts = env.snapshot(), env.spec.physics["state"]
    start = parts["qpos"].start
    state[:, start : start + 3] = torch.tensor([1.0, 0.0, np.pi / 2], dtype=torch.float64)
    state[:, parts["mocap_pos"].start : parts["mocap_pos"].start + 3] = 0.0
    state[:, parts["obstacles"]] = torch.tensor([0.0, 0.0, 0.1, 0.0, 0.18], dtype=torch.float64)
    obs = env.restore(state)
    layout = env.spec.observations["policy"]
    names = layout.names()
    first = names.index("obstacles_in_base.obstacle0 ahead")
    # Facing +y at (1, 0), the origin lies 1 m to the left; what moves along +x goes to the right.
    assert obs["policy"][0, 0, first : first + 6].tolist() == pytest.approx(
        [0.0, 1.0, 0.0, -0.1, 0.18, 1.0], abs=1e-6
    )


@pytest.mark.mujoco
def test_goal_object_obstacle_and_robot_are_told_apart():
    env = make_env("amr-drive", 1, obstacles=3)
    env.reset(0)
    picture = env.render(0).astype(int)
    red, green, blue = (picture[..., channel] for channel in range(3))
    assert ((green > red + 60) & (green > blue + 30)).sum() > 300  # the goal
    assert ((red > green + 80) & (red > blue + 80)).sum() > 300  # obstacles
    assert ((blue > green + 50) & (red > green + 20)).sum() > 100  # the moving one


def test_base_that_heads_for_its_goal_gets_there_and_is_paid_for_it():
    env = make_env("amr-drive", 8, obstacles=0, moving=0)
    env.reset(2)
    parts, rewards = env.spec.physics["state"], torch.zeros(8)
    begin = env.snapshot()
    way = (begin[:, :2] - begin[:, parts["command"]][:, :2]).norm(dim=1)
    done = torch.zeros(8, dtype=torch.bool)
    success, seconds = torch.zeros(8), torch.zeros(8)
    while not bool(done.all()):
        state = env.snapshot()
        gap = state[:, parts["command"]] - state[:, :3]
        yaw = state[:, 2]
        action = torch.zeros(8, 1, env.spec.actions.size, dtype=torch.float64)
        action[:, 0, 0] = 1.5 * (yaw.cos() * gap[:, 0] + yaw.sin() * gap[:, 1])
        action[:, 0, 1] = 1.5 * (yaw.cos() * gap[:, 1] - yaw.sin() * gap[:, 0])
        action[:, 0, 2] = 1.5 * torch.atan2(gap[:, 2].sin(), gap[:, 2].cos())
        action[:, 0, 3:10] = torch.tensor(env.spec.physics["pose"])
        timestep = env.step(action.float())
        rewards += timestep.reward[:, 0] * ~done
        new = timestep.done & ~done
        success[new] = timestep.metrics["success"][new, 0]
        seconds[new] = timestep.metrics["time"][new, 0]
        done |= timestep.done
    free = way < 4.0  # longer ways may lead through furniture
    assert success[free].all() and int(free.sum()) >= 4
    # 2 for each metre, 10 for the end, 1 for each radian near it, little for effort.
    assert ((rewards - 2.0 * way - 10.0)[free].abs() < 3.0).all()
    assert (seconds[free] > way[free] / 1.7).all()  # at most 1.2 m/s along each axis
