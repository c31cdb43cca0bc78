"""Estimate the base's motion of a robot on legs from simulated sensors: IMU, encoders, contacts."""

from __future__ import annotations

from simrl_controllers.legged.estimator.config import EstimatorConfig
from simrl_controllers.legged.estimator.estimator import Estimate, Estimator

__all__ = ["Estimate", "Estimator", "EstimatorConfig"]
