"""Symbolic models of the physical systems that nonlinear MPC knows.

To add one: write a file beside these with a function from `EnvSpec` and weights to `Model` (rates,
residuals, limits, a first guess), enter it in `BUILDERS` under the name that the environment tells
in `spec.physics["model"]`, and add its environment to `tests/controllers/nonlinear/test_models.py`,
which compares it with the environment's own dynamics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simrl.core import EnvSpec
from simrl_controllers.nonlinear.model import Model
from simrl_controllers.nonlinear.models.car import build_car
from simrl_controllers.nonlinear.models.cartpole import build_cartpole
from simrl_controllers.nonlinear.models.double_integrator import build_double_integrator
from simrl_controllers.nonlinear.models.mobile_base import build_mobile_base
from simrl_controllers.nonlinear.models.quadrotor import build_quadrotor

BUILDERS: Mapping[str, Callable[[EnvSpec, Mapping[str, float]], Model]] = {
    "amr": build_mobile_base,
    "car": build_car,
    "cartpole": build_cartpole,
    "double-integrator": build_double_integrator,
    "quadrotor": build_quadrotor,
}
"""How to build each system's model from a spec and the weights that differ from its own."""


def build_model(spec: EnvSpec, weights: Mapping[str, float]) -> Model:
    """Build the model of `spec.physics["model"]`; ValueError lists the systems that are known."""
    name = spec.physics.get("model", "")
    if name not in BUILDERS:
        raise ValueError(
            f"nmpc has no model of {spec.id} (physics model {name!r}); "
            f"it knows {', '.join(BUILDERS)}"
        )
    return BUILDERS[name](spec, weights)


__all__ = ["BUILDERS", "build_model"]
