"""The mobile manipulator's model: names, drives, gripper, and objects that take their shape."""

from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
import torch

from simrl.core.plugins import make_env
from simrl_envs.robot.amr_model import MJCF, AmrModelConfig, build_amr

TASKS = ("amr-drive", "amr-reach", "amr-pick", "amr-drawer")


def _driven(drive, speeds, seconds, push=(0.0, 0.0)):
    """Drive from the middle of the empty room; return model and data after `seconds`."""
    model = build_amr(AmrModelConfig(drive=drive, obstacles=0)).model
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    data.ctrl[: len(speeds)] = speeds
    data.xfrc_applied[model.body("base").id, :2] = push
    for _ in range(round(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
    return model, data


def test_actions_of_each_drive_and_control_have_names_and_units():
    names = make_env("amr-drive", 1).spec.actions.names
    arm = tuple(f"joint{index}" for index in range(1, 8))
    assert names == ("drive_x", "drive_y", "drive_yaw", *arm, "gripper")
    env = make_env("amr-drive", 1, drive="differential", control="torque")
    assert env.spec.actions.names == ("wheel_left", "wheel_right", *arm, "gripper")
    assert env.spec.actions.high == pytest.approx((1.2, 1.2, 87, 87, 87, 87, 12, 12, 12, 0.08))
    assert env.spec.physics["torque_limit"] == [87.0] * 4 + [12.0] * 3
    assert make_env("amr-drive", 1).spec.physics["torque_limit"] == [87.0] * 4 + [12.0] * 3
    env = make_env("amr-drive", 1, control="velocity")
    assert env.spec.actions.high[3:10] == pytest.approx((2.175,) * 4 + (2.61,) * 3)
    assert env.spec.actions.low[3:10] == pytest.approx((-2.175,) * 4 + (-2.61,) * 3)
    assert env.spec.physics["torque_limit"] == [87.0] * 4 + [12.0] * 3


def test_joints_take_up_the_speeds_that_are_asked_for():
    env = make_env("amr-drive", 1, control="velocity", obstacles=0, moving=0)
    env.reset(0)
    speeds = torch.tensor([0.4, -0.3, 0.2, 0.5, -0.4, 0.3, -0.5])
    action = torch.zeros(1, 1, env.spec.actions.size)
    action[0, 0, 3:10] = speeds
    for _ in range(25):
        before = env.snapshot()[0]
        env.step(action)
    where, after = env.spec.physics["state"]["qpos"].start, env.snapshot()[0]
    index = where + torch.tensor(env.spec.physics["qpos_index"])
    moved = (after[index] - before[index]) / env.spec.step_seconds
    torch.testing.assert_close(moved.float(), speeds, atol=0.02, rtol=0.0)


@pytest.mark.parametrize("task", TASKS)
def test_facts_tell_where_everything_is(task):
    env = make_env(task, 2, moving=1, obstacles=3)
    env.reset(0)
    physics = env.spec.physics
    model = mujoco.MjModel.from_xml_string(physics["mjcf"])
    assert (model.nq, model.nv, model.nu) == (
        env.task.robot.model.nq,
        env.task.robot.model.nv,
        env.spec.actions.size,
    )
    assert physics["model"] == "amr"
    for index, name in zip(physics["qpos_index"], physics["joints"], strict=True):
        assert model.joint(name).qposadr[0] == index
    for index, name in zip(physics["base_qvel"], physics["base_joints"], strict=True):
        assert model.joint(name).dofadr[0] == index
    state = env.snapshot()
    discs = state[:, physics["state"]["obstacles"]].reshape(2, physics["num_obstacles"], 5)
    assert physics["num_obstacles"] == 4
    mover = state[:, physics["state"]["qpos"]][:, model.joint("mover_x").qposadr[0]]
    torch.testing.assert_close(discs[:, 3, 0], mover)
    assert physics["footprint"] == (0.35, 0.25)
    assert np.hypot(0.35, 0.25) < physics["base_radius"] < 0.45
    # 62 kg of base; column 3, links 0.647 + 4.97 + 3.229 + 3.588 + 1.226 + 1.667 + 0.736 kg, hand
    # 0.73 kg, fingers 0.03 kg.
    assert physics["mass"] == pytest.approx(81.823)


def test_home_holds_the_hand_over_the_base():
    built = build_amr(AmrModelConfig())
    data = mujoco.MjData(built.model)
    mujoco.mj_resetDataKeyframe(built.model, data, 0)
    mujoco.mj_forward(built.model, data)
    hand = data.geom("hand")
    corners = (
        np.array([[x, y] for x in (-1, 1) for y in (-1, 1)]) * built.model.geom("hand").size[:2]
    )
    turn = hand.xmat.reshape(3, 3)[:2, :2]
    far = np.linalg.norm(hand.xpos[:2] + corners @ turn.T, axis=1).max()
    assert far < 0.44
    assert data.ncon == 0


@pytest.mark.parametrize(
    ("speeds", "axis"), [((1.0, 0.0, 0.0), 0), ((0.0, 1.0, 0.0), 1), ((0.0, 0.0, 1.5), 2)]
)
def test_holonomic_base_speeds_up_by_its_force_and_then_holds_its_speed(speeds, axis):
    # 250 N on 81.8 kg: 3.06 m/s2, so 0.31 m/s after 0.1 s; the arm, tucked in, swings a little.
    if axis < 2:
        early = _driven("holonomic", speeds, 0.1)[1].qvel[axis]
        assert early == pytest.approx(250.0 / 81.8 * 0.1, rel=0.05)
    late = _driven("holonomic", speeds, 1.5)[1]
    assert late.qvel[axis] == pytest.approx(speeds[axis], rel=0.02)
    others = np.delete(late.qvel[:3], axis)
    assert np.abs(others).max() < 0.03


def test_differential_base_follows_the_speeds_of_its_rims():
    straight = _driven("differential", (0.8, 0.8), 1.5)[1]
    assert straight.qvel[0] == pytest.approx(0.8, rel=0.02)
    assert abs(straight.qpos[1]) < 0.01
    turning = _driven("differential", (-0.2, 0.2), 1.5)[1]
    assert turning.qvel[2] == pytest.approx(0.4 / 0.40, rel=0.02)  # (right - left) / track
    assert np.linalg.norm(turning.qpos[:2]) < 0.02


@pytest.mark.parametrize(("force", "slides"), [(200.0, False), (450.0, True)])
def test_wheels_hold_sideways_as_long_as_friction_allows(force, slides):
    # Each spring presses with 20 kN/m x 12 mm, and friction is 0.8: 2 x 0.8 x 242 N = 387 N.
    model, data = _driven("differential", (0.0, 0.0), 1.0, push=(0.0, force))
    press = []
    for index in range(data.ncon):
        wrench = np.zeros(6)
        mujoco.mj_contactForce(model, data, index, wrench)
        press.append(wrench[0])
    assert (abs(data.qpos[1]) > 0.05) == slides
    if not slides:
        assert press == pytest.approx([242.0, 242.0], rel=0.05)
        assert abs(data.qpos[1]) < 0.005


def test_gripper_closes_and_opens_evenly_within_its_force():
    model = build_amr(AmrModelConfig()).model
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, 0)
    left, right = (int(model.joint(f"finger_{side}").qposadr[0]) for side in ("left", "right"))
    for width in (0.08, 0.0, 0.05):
        data.ctrl[-1] = width
        for _ in range(750):
            mujoco.mj_step(model, data)
            assert abs(data.actuator("gripper").force[0]) <= 70.0
            assert abs(data.qpos[left] - data.qpos[right]) < 1e-4
        assert data.qpos[left] + data.qpos[right] == pytest.approx(width, abs=1e-3)


def _compiled_with(mjcf, kind, x, y, z, mass):
    """Let MuJoCo derive inertia and bounds of an object from its geom."""
    root = ElementTree.fromstring(mjcf)
    body = root.find(".//body[@name='object']")
    body.remove(body.find("inertial"))
    geom = body.find("geom")
    geom.attrib.pop("type", None)
    size = (x, y, z) if kind == "box" else (x, z)
    geom.attrib |= {"type": kind, "size": " ".join(map(repr, map(float, size)))}
    geom.attrib["mass"] = repr(float(mass))
    return mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))


@pytest.mark.parametrize("kind", ["box", "cylinder"])
def test_objects_take_the_shape_that_the_compiler_would_give_them(kind):
    env = make_env("amr-pick", 3, object_kind=kind)
    env.reset(4)
    thing = env.snapshot()[:, env.spec.physics["state"]["object"]].numpy()
    assert len(np.unique(thing[:, 1])) == 3
    for row in range(3):
        model = env.mujoco_state(row)[0]
        wanted = _compiled_with(env.spec.physics["mjcf"], kind, *thing[row, 1:5])
        for name in ("body_mass", "body_inertia", "body_subtreemass", "body_invweight0"):
            values = (getattr(m, name)[m.body("object").id] for m in (model, wanted))
            np.testing.assert_allclose(*values, rtol=1e-9, err_msg=name)
        for name in ("geom_size", "geom_rbound", "geom_aabb"):
            values = (getattr(m, name)[m.geom("object").id] for m in (model, wanted))
            np.testing.assert_allclose(*values, rtol=1e-9, atol=1e-12, err_msg=name)
        where = slice(*(model.joint("object").dofadr[0] + np.array([0, 6])))
        np.testing.assert_allclose(
            model.dof_invweight0[where], wanted.dof_invweight0[where], rtol=1e-9
        )
        bounds = (m.bvh_aabb[int(m.body_bvhadr[m.body("object").id])] for m in (model, wanted))
        np.testing.assert_allclose(*bounds, rtol=1e-9, atol=1e-12)
        assert model.geom_friction[model.geom("object").id, 0] == thing[row, 5]


def test_restored_objects_keep_their_shape_also_with_random_masses():
    env = make_env("amr-pick", 2, mass=(0.8, 1.2), friction=(0.5, 0.6), seconds=2.0)
    env.reset(0)
    begin = env.snapshot()
    action = torch.zeros(2, 1, env.spec.actions.size)
    first = torch.stack([env.step(action).obs["state"].clone() for _ in range(20)])
    for _ in range(90):  # into other episodes, with other objects
        env.step(action)
    env.restore(begin)
    again = torch.stack([env.step(action).obs["state"].clone() for _ in range(20)])
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("amr-drive", {"drive": "tracked"}, "drive.*'tracked'.*holonomic.*differential"),
        ("amr-drive", {"control": "effort"}, "control.*'effort'.*position, velocity, torque"),
        ("amr-drive", {"obstacles": 9}, "obstacles must be from 0 to 8, got 9"),
        ("amr-drive", {"moving": 2}, "moving must be 0 or 1, got 2"),
        ("amr-drive", {"physics_step": 0.0}, "physics_step must be above 0, got 0.0"),
        ("amr-drive", {"control_step": 0.003}, "not a whole number of physics steps"),
        ("amr-pick", {"object_kind": "ball"}, "object_kind.*'ball'.*any.*box.*cylinder"),
        ("amr-pick", {"object_width": (0.05, 0.09)}, "object_width may be 0.075 m at most"),
        ("amr-pick", {"object_mass": (0.5, 0.2)}, "object_mass must satisfy 0 < low <= high"),
        ("amr-drawer", {"opening": (0.2, 0.4)}, "opening must satisfy .* <= 0.34"),
        ("amr-reach", {"hold": -1.0}, "hold must be at least 0, got -1.0"),
    ],
)
def test_wrong_options_are_refused_with_the_valid_ones(task, options, message):
    with pytest.raises(ValueError, match=message):
        make_env(task, 1, **options)


def test_model_file_compiles_as_it_is():
    model = mujoco.MjModel.from_xml_path(str(MJCF))
    assert {model.joint(index).name for index in range(model.njnt)} >= {"drawer", "object"}
