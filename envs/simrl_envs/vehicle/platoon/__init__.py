"""A platoon of cars that broadcast their plans, with actuation and communication delay."""

from simrl_envs.vehicle.platoon.figures import string_ratios

__all__ = ["string_ratios"]
