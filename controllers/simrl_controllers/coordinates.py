"""Read the physical configuration out of state rows, and measure differences between two of them.

A controller works with the parts of a row that it controls, "qpos" and "qvel" as a rule, and with
small steps between them.  Where positions hold unit quaternions a step has fewer numbers than a
configuration: a rotation is three of them, in the body's frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from simrl.core import EnvSpec


class Coordinates:
    """Map rows `[B, S]` to configurations `[B, num_values]` and steps `[B, size]` between them.

    Parts of float rows are read as they stand; rows of bytes hold float64 numbers at the part's
    bytes.

    Args:
        spec: The environment; `spec.physics["state"]` says where the parts are.
        parts: Names of the parts, in the order in which they stand in z and dx.

    Raises:
        ValueError: the environment does not name its parts, or not these.
    """

    def __init__(self, spec: EnvSpec, parts: Sequence[str] = ("qpos", "qvel")) -> None:
        places = spec.physics.get("state", {})
        for name in parts:
            if name not in places:
                raise ValueError(
                    f"{spec.id} has no state part {name!r}; its parts are "
                    f"{', '.join(places) or 'not told in spec.physics'}"
                )
        self.parts = tuple(parts)
        width = 8 if spec.state_dtype == torch.uint8 else 1
        self._places = [places[name] for name in parts]
        self._segments: list[tuple[bool, slice, slice]] = []
        self.part_slices: dict[str, slice] = {}
        """Where each part stands in a step dx."""
        values = steps = 0
        for name, place in zip(parts, self._places, strict=True):
            size = (place.stop - place.start) // width
            first = steps
            turns = _quaternions(spec, size) if name == "qpos" else []
            for is_turn, count in _runs(size, turns):
                step = 3 if is_turn else count
                self._segments.append(
                    (is_turn, slice(values, values + count), slice(steps, steps + step))
                )
                values, steps = values + count, steps + step
            self.part_slices[name] = slice(first, steps)
        self.num_values = values
        """Numbers of a configuration."""
        self.size = steps
        """Numbers of a step."""

    @property
    def flat(self) -> bool:
        """Whether steps are plain differences."""
        return not any(is_turn for is_turn, _, _ in self._segments)

    def read(self, state: Tensor) -> Tensor:
        """Copy the configurations `[B, num_values]` float64 out of rows `[B, S]`."""
        parts = [state[:, place] for place in self._places]
        if state.dtype == torch.uint8:
            parts = [part.clone(memory_format=torch.contiguous_format) for part in parts]
            return torch.cat([part.view(torch.float64) for part in parts], dim=1)
        return torch.cat(parts, dim=1).to(torch.float64)

    def write(self, state: Tensor, z: Tensor) -> Tensor:
        """Return copies of the rows `[B, S]` with configurations z `[B, num_values]`."""
        result, start = state.clone(), 0
        for place in self._places:
            width = place.stop - place.start
            if state.dtype == torch.uint8:
                part = z[:, start : start + width // 8].detach().contiguous().view(torch.uint8)
                start += width // 8
            else:
                part = z[:, start : start + width].to(state.dtype)
                start += width
            result[:, place] = part
        return result

    def difference(self, z: Tensor, origin: Tensor) -> Tensor:
        """Return the step `[..., size]` that leads from `origin` to `z`, `[..., num_values]`."""
        parts = []
        for is_turn, values, _ in self._segments:
            if is_turn:
                parts.append(_log(_multiply(_inverse(origin[..., values]), z[..., values])))
            else:
                parts.append(z[..., values] - origin[..., values])
        return torch.cat(parts, dim=-1)

    def move(self, z: Tensor, step: Tensor) -> Tensor:
        """Return the configuration that the step `[..., size]` leads to from z."""
        parts = []
        for is_turn, values, steps in self._segments:
            if is_turn:
                parts.append(_multiply(z[..., values], _exp(step[..., steps])))
            else:
                parts.append(z[..., values] + step[..., steps])
        return torch.cat(parts, dim=-1)

    def flat_values(self, z: np.ndarray) -> np.ndarray:
        """Return the plain numbers of z in the order of a step `[size]`; rotations are 0."""
        result = np.zeros(self.size)
        for is_turn, values, steps in self._segments:
            if not is_turn:
                result[steps] = z[values]
        return result


def check_finite(z: Tensor, owner: str) -> None:
    """Raise ValueError naming the first row of `z` `[B, n]` that is not finite."""
    if bool(torch.isfinite(z).all()):
        return
    row, index = (int(i) for i in (~torch.isfinite(z)).nonzero()[0])
    raise ValueError(f"{owner}: row {row} of the state is {float(z[row, index])} at number {index}")


def _quaternions(spec: EnvSpec, size: int) -> list[int]:
    """List where unit quaternions begin among the positions."""
    places = spec.physics["state"]
    width = 8 if spec.state_dtype == torch.uint8 else 1
    speeds = places.get("qvel", places["qpos"])
    num_speeds = (speeds.stop - speeds.start) // width
    if size == num_speeds:
        return []
    if size < num_speeds:
        raise ValueError(
            f"{spec.id}: its {size} positions are fewer than its {num_speeds} velocities, so there "
            "are no coordinates for controllers that measure steps between states"
        )
    if "mjcf" in spec.physics:
        from simrl_controllers.robot_model import load_mjcf, quaternion_starts

        return quaternion_starts(load_mjcf(spec.physics["mjcf"]))
    if (size, speeds.stop - speeds.start) == (7, 6):
        return [3]
    raise ValueError(
        f"{spec.id}: {size} positions for {speeds.stop - speeds.start} velocities need an mjcf in "
        "spec.physics that tells which positions are quaternions"
    )


def _runs(size: int, turns: list[int]) -> list[tuple[bool, int]]:
    """Split `size` positions into plain runs and quaternions."""
    result, start = [], 0
    for turn in turns:
        if turn > start:
            result.append((False, turn - start))
        result.append((True, 4))
        start = turn + 4
    if size > start:
        result.append((False, size - start))
    return result


def _inverse(q: Tensor) -> Tensor:
    return q * q.new_tensor([1.0, -1.0, -1.0, -1.0])


def _multiply(a: Tensor, b: Tensor) -> Tensor:
    """Multiply quaternions `[..., 4]`, scalar first."""
    aw, av, bw, bv = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    av, bv = torch.broadcast_tensors(av, bv)
    scalar = aw * bw - (av * bv).sum(-1, keepdim=True)
    return torch.cat([scalar, aw * bv + bw * av + torch.linalg.cross(av, bv)], dim=-1)


def _exp(turn: Tensor) -> Tensor:
    """Turn rotation vectors `[..., 3]` [rad] into unit quaternions."""
    # Series near 0, where the norm has no second derivative for autograd.
    square = (turn * turn).sum(dim=-1, keepdim=True)
    small = square < 1e-8
    half = 0.5 * torch.sqrt(torch.where(small, torch.ones_like(square), square))
    scalar = torch.where(small, 1.0 - square / 8.0, torch.cos(half))
    ratio = torch.where(small, 0.5 - square / 48.0, 0.5 * torch.sin(half) / half)
    return torch.cat([scalar, ratio * turn], dim=-1)


def _log(q: Tensor) -> Tensor:
    """Return the shortest rotation vectors `[..., 3]` [rad] of unit quaternions."""
    q = torch.where(q[..., :1] < 0, -q, q)
    sine = q[..., 1:].norm(dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sine, q[..., :1])
    small = sine < 1e-9
    ratio = torch.where(small, 2.0, angle / torch.where(small, 1.0, sine))
    return ratio * q[..., 1:]
