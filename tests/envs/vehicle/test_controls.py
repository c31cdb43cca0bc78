"""A person drives the car with the arrows."""

import pytest
import torch

from simrl.core.controls import PersonInput
from simrl.core.plugins import make_controls, make_env


def drive(held, steps, env, controls, obs):
    for _ in range(steps):
        row = {"state": obs["state"][0]}
        action = controls.action(row, 0, PersonInput(held=frozenset(held)))
        assert action.dtype == torch.float32
        obs = env.step(action[None, None]).obs
    return obs


@pytest.mark.parametrize("control", ["rates", "setpoints"])
def test_arrows_drive_and_the_wheels_turn_back(control):
    env = make_env("car-lane", 1, num_obstacles=0, control=control)
    env.request(["state", "policy"])
    obs = env.reset(1)
    controls = make_controls("car-lane", num_obstacles=0, control=control)
    facts = env.spec.physics
    car = facts["state"]["car"]
    names = facts["car"]

    def part(name):
        return float(obs["state"][0, car.start + names.index(name)])

    speed = part("speed")
    obs = drive({"arrowup"}, 5, env, controls, obs)
    assert part("speed") > speed
    heading = part("heading")
    obs = drive({"arrowleft"}, 5, env, controls, obs)
    assert part("steer") > 0.05
    assert part("heading") > heading  # anticlockwise is left
    obs = drive(set(), 12, env, controls, obs)
    assert abs(part("steer")) < 0.02
    speed = part("speed")
    obs = drive({"s"}, 3, env, controls, obs)
    assert part("speed") < speed
