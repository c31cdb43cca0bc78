"""Road vehicles from analytic models: a car in its lane and a platoon, as batched kernels."""

from __future__ import annotations

from simrl_envs.vehicle.base import vehicle_plugin
from simrl_envs.vehicle.car.config import CarLaneConfig
from simrl_envs.vehicle.car.driver import make_driver
from simrl_envs.vehicle.car.rules import CarLaneRules

car_lane = vehicle_plugin(
    "follow a curved road and pass obstacles, kinematic or dynamic car, state or camera",
    CarLaneConfig,
    CarLaneRules,
    policies={"driver": make_driver},
)
