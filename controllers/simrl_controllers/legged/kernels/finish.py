"""Turn what the solvers found into the motors' commands, and into what is told about a step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simrl_controllers.legged.kernels.compile import kernel

Array = np.ndarray

SLOW = 0.03
"""Speed of a joint at which three quarters of its dry friction are made up for [rad/s]."""
AHEAD = 0.02
"""How far ahead the speed is taken that decides the sense of dry friction [s]."""
TOLD = ("solve_time", "mpc_time", "wbc_time", "fallback", "load", "fallen", "recovery")
"""What is told of each row, in this order."""


class Drive(NamedTuple):
    """Hold what the motors of a robot are."""

    order: Array
    """Index in qvel of each driven joint `[nu]`."""
    dry: Array
    """Dry friction that is made up for `[nu]` [N m]."""
    servo: bool
    """Whether actions are targets of joint servos instead of torques."""
    stiffness: Array
    """Of the servos `[nu]` [N m/rad]."""
    damping: Array
    """Of the servos `[nu]` [N m s/rad]."""
    low: Array
    """Least actions `[nu]`."""
    high: Array
    """Greatest actions `[nu]`."""
    dt: float
    """Time from step to step [s]."""
    deadline: float
    """Time that a solve may take [s]; 0 for any."""


class Found(NamedTuple):
    """Hold what was found for n rows in a step."""

    torque: Array
    """Torques of whole-body control `[n, nu]`; replaced where they are not used."""
    acceleration: Array
    """Its accelerations `[n, nv]`; replaced by 0 where they are not used."""
    wbc_status: Array
    """`[n]`, 0 solved."""
    wbc_time: Array
    """`[n]` [s]."""
    mpc_status: Array
    """`[n]`, 0 solved or not due; becomes the step's status."""
    mpc_time: Array
    """`[n]` [s]."""
    due: Array
    """Rows that needed a plan `[n]` bool."""
    solved: Array
    """Rows that got one in time `[n]` bool."""
    last: Array
    """Torques of the step before `[n, nu]`."""
    load: Array
    """What is carried, its mass first `[n, 3]`."""
    fallen: Array
    """Rows that lie `[n]` bool."""


class Aid(NamedTuple):
    """Hold what was done for rows that lie."""

    busy: Array
    """Rows that are being helped up, or are lost `[n]` bool; may be empty: none."""
    torque: Array
    """Their torques `[n, nu]`."""
    target: Array
    """Their joints' next angles `[n, nu]`."""
    outcome: Array
    """1 where a row is being helped up, 2 where it is lost `[n]`."""


@kernel
def finish_rows(
    drive: Drive, qpos: Array, qvel: Array, found: Found, aid: Aid, action: Array, told: Array
) -> None:
    """Write `action` `[n, nu]`, `told` `[7, n]` (see TOLD, without solve_time), torques, status.

    A servo's torque is stiffness (target - angle) - damping speed; angle and speed are those to
    which the accelerations lead in the middle of the step.
    """
    for i in range(len(qpos)):
        busy = len(aid.busy) > 0 and aid.busy[i]
        late = drive.deadline > 0.0 and found.wbc_time[i] > drive.deadline
        failed = (found.wbc_status[i] != 0 or late) and not busy
        if busy:
            for j in range(found.acceleration.shape[1]):
                found.acceleration[i, j] = 0.0
        for k in range(len(drive.order)):
            if busy:
                found.torque[i, k] = aid.torque[i, k]
            elif failed:
                found.torque[i, k] = found.last[i, k]
            speed = qvel[i, drive.order[k]]
            push = found.acceleration[i, drive.order[k]]
            command = found.torque[i, k] + drive.dry[k] * np.tanh((speed + AHEAD * push) / SLOW)
            if drive.servo and busy:
                command = aid.target[i, k]
            elif drive.servo:
                angle = qpos[i, drive.order[k] + 1] + 0.5 * drive.dt * speed
                speed += 0.5 * drive.dt * push
                command = angle + (command + drive.damping[k] * speed) / drive.stiffness[k]
            action[i, k] = min(max(command, drive.low[k]), drive.high[k])
        if failed:
            found.mpc_status[i] = found.wbc_status[i]
        told[1, i], told[2, i] = found.mpc_time[i], found.wbc_time[i]
        told[3, i] = 1.0 if failed or (found.due[i] and not found.solved[i]) else 0.0
        told[4, i] = found.load[i, 0]
        told[5, i] = 1.0 if found.fallen[i] else 0.0
        told[6, i] = aid.outcome[i] if len(aid.outcome) > 0 else 0.0
