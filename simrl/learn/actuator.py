"""Fit a network to the logs of a robot's motors: torque from recent errors and velocities.

Hwangbo et al. 2019, "Learning agile and dynamic motor skills for legged robots", found that servos
of real legs, with their delays, limits and friction, are told well by a small network that sees the
error and the velocity of a joint now and 0.01 s and 0.02 s before.  The option `actuator` of robot
tasks takes the file that `save_actuator` writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from simrl.core.seeding import child_seed, torch_generator
from simrl.rollout.npz import write_npz
from simrl.rollout.threads import torch_threads


@dataclass(frozen=True)
class ActuatorLog:
    """Hold what was measured of J joints in T samples, evenly spaced in time."""

    error: np.ndarray
    """Target less angle of each joint [rad] `[T, J]`."""
    velocity: np.ndarray
    """Speed of each joint [rad/s] `[T, J]`."""
    torque: np.ndarray
    """Torque of each motor [N m] `[T, J]`."""
    step_seconds: float
    """Time from one sample to the next [s]."""
    limit: np.ndarray | None = None
    """Largest torque of each motor [N m] `[J]`, if the motors differ: the network then learns
    shares of it, which one network can tell for motors of the same kind and different strength."""

    def __post_init__(self) -> None:
        """Check the shapes."""
        shapes = [value.shape for value in (self.error, self.velocity, self.torque)]
        if len(set(shapes)) != 1 or len(shapes[0]) != 2:
            raise ValueError(f"error, velocity and torque must all be [T, J], got {shapes}")
        if not self.step_seconds > 0:
            raise ValueError(f"step_seconds must be above 0, got {self.step_seconds}")
        if self.limit is not None and (
            self.limit.shape != shapes[0][1:] or not (self.limit > 0).all()
        ):
            raise ValueError(f"limit must hold a torque above 0 for each joint, got {self.limit}")
        for name in ("error", "velocity", "torque"):
            if not np.isfinite(getattr(self, name)).all():
                raise ValueError(f"the log's {name} holds numbers that are not finite")

    @staticmethod
    def load(path: Path | str) -> ActuatorLog:
        """Read an npz file with the arrays of these names; ValueError says what is missing.

        `limit` may be left out.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                missing = {"error", "velocity", "torque", "step_seconds"} - set(file.files)
                if missing:
                    raise ValueError(f"{path} lacks {', '.join(sorted(missing))}")
                parts = {name: file[name] for name in ("error", "velocity", "torque")}
                limit = file["limit"] if "limit" in file.files else None
                return ActuatorLog(**parts, step_seconds=float(file["step_seconds"]), limit=limit)
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error

    def save(self, path: Path | str) -> None:
        """Write what `load` reads."""
        parts = {name: getattr(self, name) for name in ("error", "velocity", "torque")}
        if self.limit is not None:
            parts["limit"] = self.limit
        write_npz(path, {**parts, "step_seconds": np.array(self.step_seconds)})


@dataclass(frozen=True)
class ActuatorConfig:
    """Choose the network and how it is fitted."""

    lags: tuple[float, ...] = (0.0, 0.01, 0.02)
    """How long ago each pair of inputs was measured, the present first [s]."""
    hidden: tuple[int, ...] = (32, 32, 32)
    """Widths of the hidden layers."""
    epochs: int = 40
    """Passes over the log."""
    minibatch_size: int = 1024
    """Samples in a minibatch."""
    learning_rate: float = 3e-3
    """Step size of Adam at first; it falls to 0 along half a cosine."""
    held_out: float = 0.2
    """Last part of the log that is not trained on but measured."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.lags or self.lags[0] != 0.0 or list(self.lags) != sorted(set(self.lags)):
            raise ValueError(f"lags must begin with 0 and grow, got {self.lags}")
        for name in ("epochs", "minibatch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if not 0.0 < self.held_out < 1.0:
            raise ValueError(f"held_out must be between 0 and 1, got {self.held_out}")


@dataclass(frozen=True)
class FittedActuator:
    """Hold a fitted network and how good it is."""

    lags: tuple[float, ...]
    """How long ago each pair of inputs was measured [s]."""
    scales: tuple[float, float, float]
    """What error, velocity and torque are divided by."""
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    """Weights `[inputs, outputs]` and biases `[outputs]` of each layer."""
    relative: bool
    """Whether it tells shares of each motor's limit."""
    rmse: float
    """Root mean square error of the torque, or share, in the part that was held out."""
    share: float
    """Share of the torque's variance there that the network explains; 1 is perfect."""


def fit_actuator(
    log: ActuatorLog, config: ActuatorConfig | None = None, *, seed: int = 0
) -> FittedActuator:
    """Fit one network for all joints of `log` by least squares.

    ValueError if a lag is no whole number of the log's steps, or the log is too short.
    """
    config = config or ActuatorConfig()
    steps = _whole_steps(config.lags, log.step_seconds)
    if log.limit is not None:
        log = replace(log, torque=log.torque / log.limit)
    scales = tuple(max(float(v.std()), 1e-6) for v in (log.error, log.velocity, log.torque))
    inputs, torque = _windows(log, steps, scales)
    cut = round(len(inputs) * (1.0 - config.held_out))
    if cut < 1 or cut >= len(inputs):
        raise ValueError(f"a log of {len(log.error)} samples is too short")
    flat = [part.flatten(0, 1) for part in (inputs[:cut], torque[:cut])]
    with torch_threads(1):
        net = _train(flat[0], flat[1], config, seed)
        with torch.no_grad():
            error = (net(inputs[cut:]).squeeze(-1) - torque[cut:]).double()
    truth = torque[cut:].double()
    mse, variance = float(error.square().mean()), float((truth - truth.mean()).square().mean())
    linear = [layer for layer in net if isinstance(layer, nn.Linear)]
    return FittedActuator(
        lags=config.lags,
        scales=(scales[0], scales[1], scales[2]),
        layers=tuple((x.weight.detach().numpy().T.copy(), x.bias.detach().numpy()) for x in linear),
        relative=log.limit is not None,
        rmse=mse**0.5 * scales[2],
        share=1.0 - mse / max(variance, 1e-12),
    )


def save_actuator(fitted: FittedActuator, path: Path | str) -> None:
    """Write a fitted network to the npz file that robot tasks read by their option `actuator`."""
    arrays = {"lags": np.array(fitted.lags), "scales": np.array(fitted.scales)}
    arrays["relative"] = np.array(fitted.relative)
    for index, (weight, bias) in enumerate(fitted.layers):
        arrays |= {f"weight_{index}": weight, f"bias_{index}": bias}
    write_npz(path, arrays)


def _whole_steps(lags: Sequence[float], step_seconds: float) -> list[int]:
    steps = [lag / step_seconds for lag in lags]
    if any(abs(step - round(step)) > 1e-6 for step in steps):
        raise ValueError(
            f"lags {list(lags)} are no whole numbers of the log's steps of {step_seconds} s"
        )
    return [round(step) for step in steps]


def _windows(
    log: ActuatorLog, steps: Sequence[int], scales: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return scaled inputs `[T', J, 2 L]` (errors, then velocities) and torques `[T', J]`."""
    first, last = max(steps), len(log.error)
    if last <= first:
        raise ValueError(f"a log of {last} samples is too short for lags of {first} steps")
    parts = [
        value[first - step : last - step] / scale
        for value, scale in ((log.error, scales[0]), (log.velocity, scales[1]))
        for step in steps
    ]
    inputs = torch.from_numpy(np.stack(parts, axis=-1)).float()
    return inputs, torch.from_numpy(log.torque[first:] / scales[2]).float()


def _train(inputs: Tensor, torque: Tensor, config: ActuatorConfig, seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(child_seed(seed, "actuator") % 2**63)
        layers: list[nn.Module] = []
        width = inputs.shape[-1]
        for size in config.hidden:
            layers += [nn.Linear(width, size), nn.Softsign()]
            width = size
        net = nn.Sequential(*layers, nn.Linear(width, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=config.learning_rate)
    generator = torch_generator(seed, "actuator")
    count = max(1, round(len(inputs) / config.minibatch_size))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, config.epochs * count)
    for _ in range(config.epochs):
        for rows in torch.randperm(len(inputs), generator=generator).tensor_split(count):
            loss = (net(inputs[rows]).squeeze(-1) - torque[rows]).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net
