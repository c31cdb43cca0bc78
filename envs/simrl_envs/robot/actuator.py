"""Motors as a network: a joint's torque from its recent errors and velocities.

Hwangbo et al. 2019, "Learning agile and dynamic motor skills for legged robots": real servos answer
late, weakly and differently from a spring and a damper; a small network that was fitted to logs of
the robot takes their place, and policies trained on it carry over.  `simrl.learn.actuator` fits
such networks and writes their files.
"""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from mujoco.batch import Batch, SimulationError


class ActuatorNet:
    """Map errors [rad] and velocities [rad/s] of a joint, now and before, to its torque [N m].

    One network serves all joints; its hidden layers end in the softsign x / (1 + |x|).
    """

    def __init__(
        self,
        lags: np.ndarray,
        scales: np.ndarray,
        layers: list[tuple[np.ndarray, np.ndarray]],
        relative: bool = False,
    ) -> None:
        """Take the parts of a fitted network.

        Args:
            lags: How long ago each pair of inputs was measured, the present first [s] `[L]`.
            scales: What error, velocity and torque are divided by `[3]`.
            layers: Weights `[inputs, outputs]` and biases `[outputs]`; the first layer takes L
                errors, then L velocities.
            relative: Whether it tells shares of each motor's limit instead of torques.
        """
        self.relative = relative
        self.lags, self.scales = np.asarray(lags, np.float64), np.asarray(scales, np.float64)
        self.layers = layers
        if self.lags.ndim != 1 or not len(self.lags) or (self.lags < 0).any():
            raise ValueError(f"lags must be numbers from 0 s on, got {lags}")
        if self.scales.shape != (3,) or not (self.scales > 0).all():
            raise ValueError(f"scales must be three numbers above 0, got {scales}")
        width = 2 * len(self.lags)
        for weight, bias in layers:
            if weight.shape != (width, len(bias)):
                raise ValueError(f"expected a layer of {width} inputs, got {weight.shape}")
            width = len(bias)
        if width != 1:
            raise ValueError(f"the last layer must have one output, got {width}")

    @staticmethod
    def load(path: Path | str) -> ActuatorNet:
        """Read a file that `simrl.learn.actuator.save_actuator` wrote; ValueError if it is none."""
        try:
            with np.load(path, allow_pickle=False) as file:
                count = sum(name.startswith("weight_") for name in file.files)
                layers = [(file[f"weight_{i}"], file[f"bias_{i}"]) for i in range(count)]
                relative = bool(file["relative"])
                return ActuatorNet(file["lags"], file["scales"], layers, relative)
        except (OSError, KeyError, ValueError) as error:
            raise ValueError(f"{path} is no actuator network: {error}") from error

    def torque(self, error: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Return torques (or shares) `[M]` of errors and velocities `[M, L]`, the present first."""
        x = np.concatenate([error / self.scales[0], velocity / self.scales[1]], axis=1)
        last = len(self.layers) - 1
        for index, (weight, bias) in enumerate(self.layers):
            x = x @ weight + bias
            if index < last:
                x /= 1.0 + np.abs(x)
        result: np.ndarray = x[:, 0] * self.scales[2]
        return result

    def steps(self, timestep: float) -> np.ndarray:
        """Return the lags in physics steps `[L]`; ValueError if one is no whole number of them."""
        steps = self.lags / timestep
        whole = np.rint(steps)
        if not np.allclose(steps, whole, atol=1e-6):
            raise ValueError(
                f"the actuator network looks {self.lags.tolist()} s back, which are no whole "
                f"numbers of physics steps of {timestep} s"
            )
        return whole.astype(np.int64)


def history_size(net: ActuatorNet, model: mujoco.MjModel) -> int:
    """Count the numbers of a row's history: errors and velocities of each physics step back."""
    return 2 * int(net.steps(model.opt.timestep).max()) * model.nu


class ActuatorStage:
    """Step a batch of servos whose torques a network gives, one physics step at a time.

    The model keeps its servos, so that actions and limits of torque mean what they did; their gains
    are 0, and the network's torque stands in their bias.
    """

    def __init__(self, net: ActuatorNet, model: mujoco.MjModel, batch: Batch) -> None:
        """Take over the motors of `batch`; ValueError unless each is a servo of one joint."""
        position = mujoco.mjtBias.mjBIAS_AFFINE
        if not (model.actuator_biastype == position).all():
            raise ValueError("an actuator network needs control=position: targets of servos")
        self._net, self._batch = net, batch
        self._steps = net.steps(model.opt.timestep)
        self._depth = int(self._steps.max())
        joints = model.actuator_trnid[:, 0]
        self._qpos, self._qvel = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        batch.expand("actuator_gainprm")[:, :, 0] = 0.0
        bias = batch.expand("actuator_biasprm")
        bias[:, :, 1:3] = 0.0
        self._torque = bias[:, :, 0]
        limited = bool(model.actuator_forcelimited.all())
        if net.relative and not limited:
            raise ValueError("the actuator network tells shares of limits, but a motor has none")
        self._unit = model.actuator_forcerange[:, 1].copy() if net.relative else 1.0
        self._ctrl = batch.bind("ctrl")
        self._place, self._speed = batch.bind("qpos"), batch.bind("qvel")

    def step(self, controls: np.ndarray, history: np.ndarray, stage: int) -> np.ndarray:
        """Make the physics steps of targets `[M, K, nu]`; return the rows in which MuJoCo raised.

        history: `[M, history_size]`, the oldest first; it is moved on in place.
        """
        rows, count, nu = controls.shape
        failed: list[np.ndarray] = []
        past = history.reshape(rows, self._depth, 2, nu).copy()
        for k in range(count):
            error = controls[:, k] - self._place[:, self._qpos]
            now = np.stack([error, self._speed[:, self._qvel]], axis=1)
            past = np.concatenate([past, now[:, None]], axis=1)
            seen = past[:, past.shape[1] - 1 - self._steps]  # [M, L, 2, nu]
            flat = seen.transpose(2, 0, 3, 1).reshape(2, rows * nu, -1)
            self._torque[:] = self._net.torque(flat[0], flat[1]).reshape(rows, nu) * self._unit
            self._ctrl[:] = controls[:, k]
            past = past[:, 1:]
            try:
                self._batch.step(nstep=1, stage=stage if k == count - 1 else 0)
            except SimulationError as raised:
                failed.append(raised.ids)
        history[:] = past.reshape(rows, -1)
        return np.unique(np.concatenate(failed)) if failed else np.zeros(0, np.int64)
