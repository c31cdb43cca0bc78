"""Servo control of joints and hands: PD, PID, inverse dynamics and operational-space control."""

from __future__ import annotations

from simrl.core.plugins import ControllerPlugin
from simrl_controllers.servo.inverse_dynamics import InverseDynamicsConfig, make_inverse_dynamics
from simrl_controllers.servo.osc import OscConfig, make_osc
from simrl_controllers.servo.pd import PdConfig, make_pd
from simrl_controllers.servo.pid import PidConfig, make_pid
from simrl_controllers.servo.servo import ServoPolicy
from simrl_controllers.servo.targets import TargetConfig
from simrl_controllers.servo.terms import RobotTerms

pd = ControllerPlugin(
    "hold joints at their targets like a damped spring, gravity compensated", PdConfig, make_pd
)
pid = ControllerPlugin(
    "PD control with an integral that finds constant loads by itself", PidConfig, make_pid
)
inverse_dynamics = ControllerPlugin(
    "computed-torque control of the joints; a pose is followed by inverse kinematics",
    InverseDynamicsConfig,
    make_inverse_dynamics,
)
osc = ControllerPlugin(
    "operational-space control of an arm's hand, with a posture in its nullspace",
    OscConfig,
    make_osc,
)

__all__ = [
    "InverseDynamicsConfig",
    "OscConfig",
    "PdConfig",
    "PidConfig",
    "RobotTerms",
    "ServoPolicy",
    "TargetConfig",
    "inverse_dynamics",
    "make_inverse_dynamics",
    "make_osc",
    "make_pd",
    "make_pid",
    "osc",
    "pd",
    "pid",
]
