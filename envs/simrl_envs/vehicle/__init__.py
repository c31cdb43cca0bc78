"""Road vehicles from analytic models: a car in its lane and a platoon, as batched kernels."""

from __future__ import annotations

from simrl_envs.vehicle.base import vehicle_plugin
from simrl_envs.vehicle.car.config import CarLaneConfig
from simrl_envs.vehicle.car.driver import make_driver
from simrl_envs.vehicle.car.rules import CarLaneRules
from simrl_envs.vehicle.controls import make_controls
from simrl_envs.vehicle.platoon.acc import make_acc, make_cacc
from simrl_envs.vehicle.platoon.config import PlatoonConfig
from simrl_envs.vehicle.platoon.rules import PlatoonRules

car_lane = vehicle_plugin(
    "follow a curved road and pass obstacles, kinematic or dynamic car, state or camera",
    CarLaneConfig,
    CarLaneRules,
    policies={"driver": make_driver},
    controls=make_controls,
)
platoon = vehicle_plugin(
    "a platoon of cars with actuation and communication delay; each follower is an agent",
    PlatoonConfig,
    PlatoonRules,
    policies={"acc": make_acc, "cacc": make_cacc},
)
