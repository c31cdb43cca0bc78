"""Looking ahead over accelerations that are on their way."""

import numpy as np
import pytest

from simrl_controllers.legged.delay import look_ahead, queue_up, steps_late, turn_quaternion

mujoco = pytest.importorskip("mujoco")


def test_delays_are_whole_steps():
    assert steps_late(0.02, 0.002) == 10
    assert steps_late(0.0, 0.002) == 0
    with pytest.raises(ValueError, match="delay must be at least 0"):
        steps_late(-0.1, 0.002)


def test_states_move_as_mujoco_moves_them():
    xml = """
    <mujoco><option timestep="0.01" gravity="0 0 0"/><worldbody>
      <body><freejoint/><geom size="0.1"/>
        <body pos="0 0 1"><joint axis="0 1 0"/><geom size="0.1"/></body></body>
    </worldbody></mujoco>"""
    model, rng = mujoco.MjModel.from_xml_string(xml), np.random.default_rng(0)
    qpos, qvel = rng.normal(size=(3, 8)), rng.normal(size=(3, 7))
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    queue = rng.normal(size=(3, 5, 7))
    expected = []
    for row in range(3):
        place, speed = qpos[row].copy(), qvel[row].copy()
        for step in queue[row]:
            speed += 0.01 * step
            mujoco.mj_integratePos(model, place, speed, 0.01)
        expected.append((place, speed))
    look_ahead(queue, 0.01, qpos, qvel)
    for row, (place, speed) in enumerate(expected):
        assert qpos[row] == pytest.approx(place, abs=1e-12)
        assert qvel[row] == pytest.approx(speed, abs=1e-12)


def test_queue_drops_what_acts_now():
    queue = np.arange(6.0).reshape(1, 3, 2)
    queue_up(queue, np.array([[8.0, 9.0]]))
    assert queue.tolist() == [[[2.0, 3.0], [4.0, 5.0], [8.0, 9.0]]]


def test_turns_about_the_worlds_axes_come_last():
    # Half a turn about x, then a quarter about the world's z.
    quaternion = np.array([0.0, 1.0, 0.0, 0.0])
    turn_quaternion(quaternion, np.array([0.0, 0.0, np.pi / 2]), 1.0, True)
    assert quaternion == pytest.approx([0.0, np.sqrt(0.5), np.sqrt(0.5), 0.0])
    quaternion = np.array([0.0, 1.0, 0.0, 0.0])
    turn_quaternion(quaternion, np.array([0.0, 0.0, np.pi / 2]), 1.0, False)
    assert quaternion == pytest.approx([0.0, np.sqrt(0.5), -np.sqrt(0.5), 0.0])
