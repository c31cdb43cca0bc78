"""Turn vectors by unit quaternions, many rows at once, in kernels.

One call of a kernel costs what a single operation of NumPy does, which is most of a step of a few
rows.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def rotation(quaternion: np.ndarray) -> np.ndarray:
    """Return rotation matrices `[M, 3, 3]`, body to world, of unit quaternions wxyz `[M, 4]`."""
    out = np.empty((len(quaternion), 3, 3))
    for row in range(len(quaternion)):
        w, x, y, z = (
            quaternion[row, 0],
            quaternion[row, 1],
            quaternion[row, 2],
            quaternion[row, 3],
        )
        out[row, 0, 0] = 1 - 2 * (y * y + z * z)
        out[row, 0, 1] = 2 * (x * y - w * z)
        out[row, 0, 2] = 2 * (x * z + w * y)
        out[row, 1, 0] = 2 * (x * y + w * z)
        out[row, 1, 1] = 1 - 2 * (x * x + z * z)
        out[row, 1, 2] = 2 * (y * z - w * x)
        out[row, 2, 0] = 2 * (x * z - w * y)
        out[row, 2, 1] = 2 * (y * z + w * x)
        out[row, 2, 2] = 1 - 2 * (x * x + y * y)
    return out


@njit(cache=True, nogil=True)
def to_body(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn world vectors `[M, 3]` into the body frame of unit quaternions wxyz `[M, 4]`."""
    turn = rotation(quaternion)
    out = np.empty((len(vector), 3))
    for row in range(len(vector)):
        for axis in range(3):
            out[row, axis] = (
                turn[row, 0, axis] * vector[row, 0]
                + turn[row, 1, axis] * vector[row, 1]
                + turn[row, 2, axis] * vector[row, 2]
            )
    return out


@njit(cache=True, nogil=True)
def euler(quaternion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return roll, pitch and yaw [rad], each `[M]`, of unit quaternions wxyz `[M, 4]`."""
    count = len(quaternion)
    roll, pitch, yaw = np.empty(count), np.empty(count), np.empty(count)
    for row in range(count):
        w, x, y, z = (
            quaternion[row, 0],
            quaternion[row, 1],
            quaternion[row, 2],
            quaternion[row, 3],
        )
        roll[row] = np.arctan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y))
        pitch[row] = np.arcsin(min(max(2 * (w * y - z * x), -1.0), 1.0))
        yaw[row] = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return roll, pitch, yaw


@njit(cache=True, nogil=True)
def in_heading(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return the level part of world vectors `[M, 3]` in the frame of the heading `[M, 2]`."""
    out = np.empty((len(vector), 2))
    yaw = euler(quaternion)[2]
    for row in range(len(vector)):
        cosine, sine = np.cos(yaw[row]), np.sin(yaw[row])
        out[row, 0] = cosine * vector[row, 0] + sine * vector[row, 1]
        out[row, 1] = -sine * vector[row, 0] + cosine * vector[row, 1]
    return out


@njit(cache=True, nogil=True)
def lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean lengths `[M]` of vectors `[M, K]`."""
    out = np.empty(len(vectors))
    for row in range(len(vectors)):
        square = 0.0
        for axis in range(vectors.shape[1]):
            square += vectors[row, axis] * vectors[row, axis]
        out[row] = np.sqrt(square)
    return out
