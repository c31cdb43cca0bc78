"""Find where each joint shall be: from a command, from a pose by inverse kinematics, or at home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec, PolicyState
from simrl_controllers.servo.pose import rotation_error
from simrl_controllers.servo.reference import PoseReference, PoseTarget
from simrl_controllers.servo.terms import RobotTerms, SitePose, effector_site

TargetKind = Literal["auto", "command", "pose", "home"]

DAMPING = 1e-3
"""Square of the damping of the inverse kinematics, which bounds speeds near singular poses."""


@dataclass(frozen=True)
class TargetConfig:
    """Set where the joints' targets come from; every servo has these options."""

    target: TargetKind = "auto"
    """Where targets come from: "command" (the command in the state: angles, then if given speeds
    and torques of all motors), "pose" (the task's reference, by inverse kinematics), "home" (the
    nominal pose); "auto" takes the first of these that the task has, a command if its names are
    those of the joints."""
    site: str = ""
    """Site of the robot that follows a pose; "" is its end effector."""
    follow: float = 0.3
    """Share of the pose's error that inverse kinematics makes up for at each step."""
    posture: float = 0.02
    """Share of the distance from the nominal pose that is made up for at each step by motions that
    leave the pose as it is."""
    max_speed: float = 2.0
    """Fastest motion of a joint's target [rad/s]."""

    def __post_init__(self) -> None:
        if self.target not in ("auto", "command", "pose", "home"):
            raise ValueError(
                f"unknown target {self.target!r}; the targets are auto, command, pose, home"
            )
        for name in ("follow", "max_speed"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True)
class JointTarget:
    """Hold where the driven joints of n rows shall be, each `[n, nu]`."""

    angle: np.ndarray
    """Angle [rad] or position [m]."""
    speed: np.ndarray
    """Speed [rad/s or m/s]."""
    torque: np.ndarray
    """Feed-forward torque [N m] or force [N]."""


class JointTargets:
    """Tell joint targets row by row; following a pose needs a memory, "target" `[rows, nu]`."""

    def __init__(self, spec: EnvSpec, terms: RobotTerms, config: TargetConfig) -> None:
        """Choose the source of the targets; ValueError says what it lacks."""
        self._terms, self._config = terms, config
        self._dt = spec.step_seconds or 0.02
        self._command = spec.physics.get("state", {}).get("command")
        self._site = effector_site(spec, config.site)
        self.kind = _choose(spec, terms, config, self._site)
        self._pose = PoseReference(spec) if self.kind == "pose" else None
        if self._pose is not None:
            terms.site_id(self._site)

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return an empty memory: the targets begin where the joints are."""
        if self._pose is None:
            return {}
        return {
            "target": torch.zeros(num_rows, self._terms.size, dtype=torch.float64),
            "begun": torch.zeros(num_rows, dtype=torch.bool),
        }

    def __call__(
        self, rows: Tensor, angle: np.ndarray, memory: PolicyState
    ) -> tuple[JointTarget, PolicyState]:
        """Return the targets of states `[n, S]` with joint angles `[n, nu]`, and the memory."""
        count, size = angle.shape
        zero = np.zeros((count, size))
        if self._pose is None:
            if self.kind == "home":
                return JointTarget(np.repeat(self._terms.home[None], count, 0), zero, zero), {}
            parts = rows[:, self._command].numpy().reshape(count, -1, size)
            speed = parts[:, 1] if parts.shape[1] > 1 else zero
            torque = parts[:, 2] if parts.shape[1] > 2 else zero
            return JointTarget(parts[:, 0], speed, torque), {}
        begun = memory["begun"].numpy()[:, None]
        before = np.where(begun, memory["target"].numpy(), angle)
        after = self._follow(before, self._pose(rows))
        kept = {"target": torch.from_numpy(after), "begun": torch.ones(count, dtype=torch.bool)}
        return JointTarget(after, (after - before) / self._dt, zero), kept

    def _follow(self, angle: np.ndarray, pose: PoseTarget) -> np.ndarray:
        """Move joint targets `[n, nu]` one step towards a pose (resolved-rate control)."""
        config, terms = self._config, self._terms
        site = terms.site(terms.with_driven(angle), self._site)
        error, jacobian = pose_error(site, pose)
        twist = pose.twist[:, : error.shape[1]]
        move = config.follow * error + twist * self._dt
        inverse = damped_inverse(jacobian)
        step = (inverse @ move[..., None])[..., 0]
        home = config.posture * (terms.home - angle)
        step += home - (inverse @ (jacobian @ home[..., None]))[..., 0]
        fastest = np.abs(step).max(axis=1, keepdims=True) / (config.max_speed * self._dt)
        result: np.ndarray = np.clip(angle + step / np.maximum(fastest, 1.0), terms.low, terms.high)
        return result


def pose_error(site: SitePose, pose: PoseTarget) -> tuple[np.ndarray, np.ndarray]:
    """Return what is missing to a pose and the Jacobian's rows for it.

    The error is `[n, 6]` (position [m], rotation vector [rad]), or `[n, 3]` without orientation.
    """
    error = pose.position - site.position
    if pose.quaternion is None:
        return error, site.jacobian[:, :3]
    turn = rotation_error(pose.quaternion, site.rotation)
    return np.concatenate([error, turn], axis=1), site.jacobian


def damped_inverse(jacobian: np.ndarray) -> np.ndarray:
    """Return the damped least-squares inverse `[n, nu, m]` of Jacobians `[n, m, nu]`."""
    transposed = np.swapaxes(jacobian, 1, 2)
    square = jacobian @ transposed + DAMPING * np.eye(jacobian.shape[1])
    result: np.ndarray = transposed @ np.linalg.inv(square)
    return result


def _choose(spec: EnvSpec, terms: RobotTerms, config: TargetConfig, site: str) -> TargetKind:
    command = spec.physics.get("state", {}).get("command")
    size = 0 if command is None else command.stop - command.start
    fits = size in (terms.size, 2 * terms.size, 3 * terms.size)
    if config.target == "command" and not fits:
        raise ValueError(
            f"{spec.id}: a command of {terms.size} joint angles (then speeds, then torques) is "
            f"needed, and the command in the state has {size} numbers"
        )
    if config.target != "auto":
        return config.target
    # A pose has seven numbers too, as many as an arm has joints: the names tell.
    names = [str(name).split(" ")[0] for name in spec.physics.get("command", ())]
    if fits and names[: terms.size] == terms.joints:
        return "command"
    sites = [terms.model.site(index).name for index in range(terms.model.nsite)]
    poses = spec.reference is not None and {"x", "y", "z"} <= set(spec.physics["reference"])
    return "pose" if poses and site in sites else "home"
