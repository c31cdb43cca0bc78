"""A seven-joint arm of our own, stepped by MuJoCo, whose reference a test chooses."""

import pytest
import torch

from simrl.core import ContinuousActions, EnvSpec, Layout
from simrl.core.spec import Column, vector

LINK = """
<body pos="{pos}"><joint name="j{i}" axis="{axis}" range="-2.8 2.8" limited="true" armature="0.1"/>
<geom type="capsule" fromto="0 0 0 0 0 0.2" size="0.03" mass="{mass}"/>{rest}</body>"""


def arm_mjcf():
    rest = '<site name="end_effector" pos="0 0 0.2"/>'
    for i in reversed(range(7)):
        pos = "0 0 0.1" if i == 0 else "0 0 0.2"
        axis = "0 0 1" if i % 2 == 0 else "0 1 0"
        rest = LINK.format(i=i, pos=pos, axis=axis, mass=2.0 - 0.2 * i, rest=rest)
    motors = "".join(
        f'<motor name="m{i}" joint="j{i}" gear="2" ctrlrange="-60 60"/>' for i in range(7)
    )
    return f"""<mujoco><compiler angle="radian"/>
    <option timestep="0.002" integrator="implicitfast"/>
    <default><geom contype="0" conaffinity="0"/></default>
    <worldbody>{rest}</worldbody><actuator>{motors}</actuator>
    <keyframe><key name="home" qpos="0 0.4 0 1.1 0 0.8 0"/></keyframe></mujoco>"""


class Arm:
    """Step rows of the arm; the state is qpos, qvel, time and a command of seven numbers."""

    def __init__(self, reference=None, columns=(), rows=1, command=None, mjcf=None, load=0.0):
        import mujoco
        from mujoco.batch import Batch

        mjcf = mjcf or arm_mjcf()
        self.model = mujoco.MjModel.from_xml_string(mjcf)
        heavier = mujoco.MjModel.from_xml_string(mjcf)
        heavier.body_mass[-1] += load
        self.batch = Batch(heavier, rows, 1)
        # Outputs are copied after each call, for the fields that are bound by then.
        for name in ("site_xpos", "site_xmat"):
            self.batch.bind(name)
        self.batch.reset(keyframe=0)
        self.command = torch.zeros(rows, 7).double() if command is None else command
        parts = {
            "qpos": slice(0, 7),
            "qvel": slice(7, 14),
            "time": slice(14, 15),
            "command": slice(15, 22),
        }
        named = {} if command is None else {"command": tuple(f"j{i}" for i in range(7))}
        self.spec = EnvSpec(
            id="test-arm",
            num_agents=1,
            observations={"policy": Layout((vector("time", Column("time")),))},
            actions=ContinuousActions((-60.0,) * 7, (60.0,) * 7),
            state_size=22,
            state_dtype=torch.float64,
            step_seconds=0.01,
            physics={"mjcf": mjcf, "state": parts, "reference": columns, **named},
            reference=reference,
        )

    @property
    def state(self):
        bind, time = self.batch.bind, torch.from_numpy(self.batch.bind("time"))
        parts = [torch.from_numpy(bind("qpos")), torch.from_numpy(bind("qvel"))]
        return torch.cat([*parts, time.reshape(-1, 1), self.command], dim=1)

    def site(self):
        """Return position and rotation of the hand, each row's."""
        import mujoco

        self.batch.forward(stage=mujoco.mjtStage.mjSTAGE_POS)
        return (
            self.batch.bind("site_xpos")[:, 0].copy(),
            self.batch.bind("site_xmat")[:, 0].reshape(-1, 3, 3).copy(),
        )

    def run(self, policy, seconds, watch=None):
        """Let the policy drive; return its last output."""
        rng = torch.Generator().manual_seed(0)
        memory = policy.initial_state(len(self.state))
        for _ in range(round(seconds / 0.01)):
            output = policy.act({"state": self.state}, memory, rng)
            memory = output.state
            self.batch.bind("ctrl")[:] = output.action.numpy()
            self.batch.step(nstep=5)
            if watch is not None:
                watch(self)
        return output


@pytest.fixture
def make_arm():
    pytest.importorskip("mujoco")
    return Arm
