"""Numba kernels of the real-time iteration: stage-wise quadratic programs and the SQP loop."""
