"""What the estimator keeps between calls: one record of float64 numbers a row."""

from __future__ import annotations

import numpy as np

POSITION, VELOCITY, TURN, FEET, ACCELEROMETER, GYRO = 0, 3, 6, 9, 21, 24
"""Where each error stands in the covariance: of the IMU's place and velocity, the attitude (about
the world's axes), the four feet, and the biases of accelerometer and gyroscope."""
ERRORS = 27
"""Size of the covariance."""

MEMORY = np.dtype(
    [
        ("started", "f8"),
        ("seed", "f8"),  # 53 bits, of the noise of this episode
        ("count", "f8"),  # samples drawn
        ("time", "f8"),  # of the last sample [s]
        ("floating", "f8"),  # seconds without a standing foot
        ("position", "f8", 3),  # of the IMU, world [m]
        ("velocity", "f8", 3),  # of the IMU, world [m/s]
        ("quaternion", "f8", 4),  # base to world, wxyz
        ("accelerometer", "f8", 3),  # estimated bias, base axes [m/s^2]
        ("gyro", "f8", 3),  # estimated bias, base axes [rad/s]
        ("feet", "f8", (4, 3)),  # of standing feet, world [m]
        ("contact", "f8", 4),  # 1 where a foot stands
        ("true_accelerometer", "f8", 3),  # the simulated sensors' own biases
        ("true_gyro", "f8", 3),
        ("covariance", "f8", (ERRORS, ERRORS)),
    ]
)
"""A row of memory; all zeros is an episode that has not begun."""
MEMORY_SIZE = MEMORY.itemsize // 8
"""Numbers in a row of memory."""


def records(memory: np.ndarray) -> np.ndarray:
    """See memory `[n, MEMORY_SIZE]` float64 as records `[n]`; ValueError if it is not that."""
    if memory.dtype != np.float64 or memory.ndim != 2 or memory.shape[1] != MEMORY_SIZE:
        raise ValueError(
            f"the estimator's memory is float64 [n, {MEMORY_SIZE}], "
            f"got {memory.dtype} {list(memory.shape)}"
        )
    if memory.strides[1] != 8:
        raise ValueError("the numbers of a row of the estimator's memory must lie side by side")
    rows: np.ndarray = memory.view(MEMORY)[:, 0]
    return rows
