"""Load a MuJoCo model for a controller's own use, and linearise it by finite differences."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import Tensor


def load_mjcf(source: str) -> Any:
    """Load a model from MJCF text or from the path of a file.

    Raises:
        ImportError: MuJoCo is not installed; the message says what to install.
        ValueError: there is no such file, or it is not a model.
    """
    try:
        import mujoco
    except ImportError as error:
        raise ImportError(
            "this controller builds its model with MuJoCo: pip install 'simrl[robots]'"
        ) from error
    if source.lstrip().startswith("<"):
        return mujoco.MjModel.from_xml_string(source)
    if not os.path.exists(source):
        raise ValueError(f"there is no model file {source!r}")
    return mujoco.MjModel.from_xml_path(source)


def quaternion_starts(model: Any) -> list[int]:
    """List the positions in qpos where unit quaternions begin."""
    import mujoco

    result = []
    for kind, start in zip(model.jnt_type, model.jnt_qposadr, strict=True):
        if kind == mujoco.mjtJoint.mjJNT_FREE:
            result.append(int(start) + 3)
        elif kind == mujoco.mjtJoint.mjJNT_BALL:
            result.append(int(start))
    return result


def linearise_mujoco(
    model: Any,
    z: np.ndarray,
    control: np.ndarray,
    step_seconds: float,
    *,
    eps: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Linearise one control step with MuJoCo's own centred finite differences.

    A control step is several physics steps under one control; their derivatives are chained along
    the motion.  Steps of the state are (dq `[nv]`, dv `[nv]`), rotations in the body's frame.

    Args:
        model: The `MjModel`, without activation states; not with the RK4 integrator, whose
            differences MuJoCo does not offer.
        z: Positions and velocities `[nq + nv]`.
        control: Control `[nu]`.
        step_seconds: Length of the control step [s], a whole number of physics steps.
        eps: Size of the finite differences.

    Returns:
        A `[2 nv, 2 nv]`, B `[2 nv, nu]` and the configuration after the step `[nq + nv]`.
    """
    import mujoco

    if model.na:
        raise ValueError(f"the model has {model.na} activation states; linearise its Dynamics")
    count = _num_substeps(model, step_seconds)
    data, size = mujoco.MjData(model), 2 * model.nv
    data.qpos[:], data.qvel[:] = z[: model.nq], z[model.nq :]
    data.ctrl[:] = control
    whole_a, whole_b = np.eye(size), np.zeros((size, model.nu))
    for _ in range(count):
        a, b = np.zeros((size, size)), np.zeros((size, model.nu))
        mujoco.mjd_transitionFD(model, data, eps, True, a, b, None, None)
        whole_a, whole_b = a @ whole_a, a @ whole_b + b
        mujoco.mj_step(model, data)
    return whole_a, whole_b, np.concatenate([data.qpos, data.qvel])


def supports_differences(model: Any) -> bool:
    """Return whether MuJoCo can take finite differences of the model's step."""
    import mujoco

    return bool(model.opt.integrator != mujoco.mjtIntegrator.mjINT_RK4)


class MujocoStep:
    """Step configurations `[M, nq + nv]` under actions `[M, nu]` by one control step, one by one.

    Args:
        model: The `MjModel`, without activation states.
        step_seconds: Length of the control step [s], a whole number of physics steps.
    """

    def __init__(self, model: Any, step_seconds: float) -> None:
        self._model, self._count = model, _num_substeps(model, step_seconds)

    def __call__(self, z: Tensor, action: Tensor) -> Tensor:
        """Return the configurations after the step."""
        import mujoco

        model, result = self._model, z.clone().to(torch.float64)
        for row, control in zip(result.numpy(), action.numpy(), strict=True):
            data = mujoco.MjData(model)
            data.qpos[:], data.qvel[:], data.ctrl[:] = row[: model.nq], row[model.nq :], control
            for _ in range(self._count):
                mujoco.mj_step(model, data)
            row[:] = np.concatenate([data.qpos, data.qvel])
        return result


def _num_substeps(model: Any, step_seconds: float) -> int:
    ratio = step_seconds / model.opt.timestep
    count = round(ratio)
    if count < 1 or abs(ratio - count) > 1e-6:
        raise ValueError(
            f"the control step of {step_seconds} s is not a whole number of physics steps of "
            f"{model.opt.timestep} s"
        )
    return count
