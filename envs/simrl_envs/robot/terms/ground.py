"""Look up the height of the ground in a model's height field."""

from __future__ import annotations

import numpy as np

from simrl_envs.robot.robot import Robot


def ground_height(robot: Robot, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the height [m] at `x`, `y` [m] (same shape), linear between the field's points.

    Only the first height field counts, centred at its geom's origin; elsewhere the ground is 0.
    """
    model = robot.model
    if not model.nhfield:
        return np.zeros(np.shape(x))
    rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
    half_x, half_y, top = (float(size) for size in model.hfield_size[0, :3])
    heights = model.hfield_data[: rows * columns].reshape(rows, columns)
    across = (x + half_x) * ((columns - 1) / (2.0 * half_x))
    along = (y + half_y) * ((rows - 1) / (2.0 * half_y))
    inside = (across >= 0) & (across <= columns - 1) & (along >= 0) & (along <= rows - 1)
    column = np.clip(across.astype(np.int64), 0, columns - 2)
    row = np.clip(along.astype(np.int64), 0, rows - 2)
    u, v = across - column, along - row
    low = heights[row, column] * (1.0 - u) + heights[row, column + 1] * u
    high = heights[row + 1, column] * (1.0 - u) + heights[row + 1, column + 1] * u
    found: np.ndarray = np.where(inside, top * (low * (1.0 - v) + high * v), 0.0)
    return found
