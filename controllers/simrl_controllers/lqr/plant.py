"""What linear controllers know of a task: operating point, linear model, cost, limits, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec
from simrl_controllers.coordinates import Coordinates, check_finite
from simrl_controllers.lqr.linearise import Linearisation, LinearModel, action_bounds, trim
from simrl_controllers.lqr.weights import spread, state_cost, task_weights


class Plant:
    """Linearise a task at its operating point and measure its state from there.

    Args:
        spec: The task; one agent with continuous actions.
        position: qpos of the operating point; empty for the task's own.
        state_weights: Weights by state part; empty for the task's own.
        control_weights: Weights of the actions, one for all or one each; empty for the task's own.
        linearisation: Which model to linearise.
        owner: Name of the controller, for messages.

    Raises:
        ValueError: the task names no parts or has no model, its reference cannot be followed, a
            weight does not fit, or no action holds the operating point still.
    """

    def __init__(
        self,
        spec: EnvSpec,
        *,
        position: Sequence[float] = (),
        state_weights: Mapping[str, Sequence[float]] | None = None,
        control_weights: Sequence[float] = (),
        linearisation: Linearisation = "auto",
        owner: str = "lqr",
    ) -> None:
        self.spec, self.owner = spec, owner
        self.low, self.high = action_bounds(spec)
        self.coordinates = Coordinates(spec)
        defaults = task_weights(spec)
        origin = _origin(self.coordinates, spec, position or defaults.position, owner)
        if self.tracks:  # refuse now what no step could follow
            columns = tuple(spec.physics["reference"])
            wanted = torch.zeros(1, 1, len(columns), dtype=torch.float64)
            target_steps(self.coordinates, torch.from_numpy(origin), wanted, columns, owner)
        self.model: LinearModel = trim(spec, self.coordinates, origin, method=linearisation)
        self.origin = torch.from_numpy(self.model.origin)
        self.q = state_cost(self.coordinates, state_weights or defaults.state, owner)
        controls = control_weights or defaults.control
        label = f"{owner}: control weights"
        self.r = np.diag(spread(controls, len(self.low), label, least=0.0, strict=True))

    @property
    def tracks(self) -> bool:
        """Whether the task tells a reference that these coordinates can follow."""
        return self.spec.reference is not None and "reference" in self.spec.physics

    def limits(
        self, low: Mapping[str, Sequence[float]], high: Mapping[str, Sequence[float]]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn limits by state part into those of steps from the operating point, each `[n]`.

        Parts that are not named have none; limits of rotations count from the operating point.

        Raises:
            ValueError: a part is unknown, or has the wrong number of limits.
        """
        return self._by_part(low, -np.inf), self._by_part(high, np.inf)

    def _by_part(self, given: Mapping[str, Sequence[float]], missing: float) -> np.ndarray:
        result = np.full(self.coordinates.size, missing)
        centre = self.coordinates.flat_values(self.model.origin)
        for name, values in given.items():
            if name not in self.coordinates.part_slices:
                raise ValueError(
                    f"{self.owner}: unknown state part {name!r}; the parts are "
                    f"{', '.join(self.coordinates.part_slices)}"
                )
            place = self.coordinates.part_slices[name]
            label = f"{self.owner}: limits of {name}"
            result[place] = spread(values, place.stop - place.start, label) - centre[place]
        return result

    def error(self, state: Tensor) -> Tensor:
        """Return the steps `[rows, n]` from the operating point to rows `[rows, S]`.

        Raises:
            ValueError: a row holds a number that is not finite.
        """
        if state.ndim != 2 or state.shape[1] != self.spec.state_size:
            raise ValueError(
                f"{self.owner}: the state must have shape [rows, {self.spec.state_size}], "
                f"got {tuple(state.shape)}"
            )
        z = self.coordinates.read(state)
        check_finite(z, self.owner)
        return self.coordinates.difference(z, self.origin)

    def targets(self, state: Tensor, steps: int) -> Tensor:
        """Return where rows should be after 0, 1, ... steps: steps `[rows, steps, n]`."""
        if not self.tracks or self.spec.reference is None:
            return torch.zeros(len(state), steps, self.coordinates.size, dtype=torch.float64)
        ahead = torch.arange(steps, dtype=torch.float64) * self.spec.step_seconds
        wanted = self.spec.reference(state, ahead).to(torch.float64)
        columns = tuple(self.spec.physics["reference"])
        return target_steps(self.coordinates, self.origin, wanted, columns, self.owner)


def target_steps(
    coordinates: Coordinates, origin: Tensor, wanted: Tensor, columns: Sequence[str], owner: str
) -> Tensor:
    """Turn reference columns `[rows, H, c]` into steps from the operating point `[rows, H, n]`.

    Columns x y z and vx vy vz and yaw belong to a free body; other columns must be as many as the
    numbers of a step, in its order.

    Raises:
        ValueError: the columns are neither.
    """
    if coordinates.num_values == 13 and {"x", "y", "z"} <= set(columns):
        z = origin.expand(*wanted.shape[:2], 13).clone()
        for index, name in enumerate(("x", "y", "z")):
            z[..., index] = wanted[..., columns.index(name)]
            if f"v{name}" in columns:
                z[..., 7 + index] = wanted[..., columns.index(f"v{name}")]
        if "yaw" in columns:
            half = 0.5 * wanted[..., columns.index("yaw")]
            zero = torch.zeros_like(half)
            z[..., 3:7] = torch.stack([torch.cos(half), zero, zero, torch.sin(half)], dim=-1)
        return coordinates.difference(z, origin)
    if len(columns) == coordinates.size and coordinates.flat:
        return wanted - origin
    raise ValueError(
        f"{owner}: cannot follow a reference of {', '.join(columns)} with a state of "
        f"{coordinates.size} numbers"
    )


def _origin(
    coordinates: Coordinates, spec: EnvSpec, position: Sequence[float], owner: str
) -> np.ndarray:
    places = spec.physics["state"]
    width = 8 if spec.state_dtype == torch.uint8 else 1
    size = (places["qpos"].stop - places["qpos"].start) // width
    values = np.zeros(coordinates.num_values)
    label = f"{owner}: position of the operating point"
    values[:size] = spread(tuple(position), size, label)
    if not np.isfinite(values).all():
        raise ValueError(f"{label} must be finite, got {list(position)}")
    return values
