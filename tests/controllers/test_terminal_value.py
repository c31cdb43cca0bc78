"""Terminal values and the coordinates that their local models are made in."""

import math

import pytest
import torch

from simrl.core import ContinuousActions, EnvSpec, Layout, vector
from simrl.core.spec import Column
from simrl_controllers.coordinates import Coordinates, check_finite
from simrl_controllers.terminal_value import (
    CriticValue,
    QuadraticModel,
    RiccatiValue,
    RolloutValue,
    TerminalValue,
)


def _spec(**physics):
    return EnvSpec(
        id="thing",
        num_agents=1,
        observations={"policy": Layout((vector("x", Column("x")),))},
        actions=ContinuousActions((-1.0,), (1.0,)),
        state_size=4,
        state_dtype=torch.float64,
        physics=physics,
    )


FLAT = _spec(state={"qpos": slice(1, 2), "qvel": slice(2, 3)})
FREE = _spec(state={"qpos": slice(0, 7), "qvel": slice(7, 13)})


def test_parts_are_read_by_name():
    rows = torch.tensor([[9.0, 1.0, 2.0, 8.0]], dtype=torch.float64)
    coordinates = Coordinates(FLAT)
    assert coordinates.read(rows).tolist() == [[1.0, 2.0]]
    assert coordinates.write(rows, torch.tensor([[5.0, 6.0]])).tolist() == [[9.0, 5.0, 6.0, 8.0]]
    assert rows.tolist() == [[9.0, 1.0, 2.0, 8.0]]
    with pytest.raises(ValueError, match="no state part 'speed'; its parts are qpos, qvel"):
        Coordinates(FLAT, ("qpos", "speed"))


def test_rotations_are_steps_in_the_body():
    # A quarter turn about z, then 0.2 rad about the body's x: the difference is (0.2, 0, 0).
    coordinates = Coordinates(FREE)
    assert (coordinates.num_values, coordinates.size) == (13, 12)
    half = math.sqrt(0.5)
    origin = torch.zeros(1, 13, dtype=torch.float64)
    origin[0, 3:7] = torch.tensor([half, 0.0, 0.0, half])
    step = torch.zeros(1, 12, dtype=torch.float64)
    step[0, 3], step[0, 0], step[0, 11] = 0.2, 1.0, -3.0
    moved = coordinates.move(origin, step)
    # q = qz * qx: (c cos, c sin, s sin, s cos) with c = s = half and cos(0.1), sin(0.1).
    wanted = half * torch.tensor([math.cos(0.1), math.sin(0.1), math.sin(0.1), math.cos(0.1)])
    torch.testing.assert_close(moved[0, 3:7], wanted.double())
    torch.testing.assert_close(coordinates.difference(moved, origin), step)
    # The same rotation with the quaternion's sign turned is the same rotation.
    moved[0, 3:7] *= -1
    torch.testing.assert_close(coordinates.difference(moved, origin), step)


def test_nan_is_found():
    with pytest.raises(ValueError, match="lqr: row 1 of the state is nan at number 0"):
        check_finite(torch.tensor([[0.0], [math.nan]]), "lqr")


def _riccati():
    cost = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    return RiccatiValue(Coordinates(FLAT), cost, torch.tensor([1.0, 0.0]))


def test_riccati_value_by_hand():
    # dx = (1, 2): dx P dx = 2 + 2 * 0.5 * 2 + 4 = 8; the gradient of V is -2 P dx = -(6, 5).
    value, row = _riccati(), torch.tensor([[9.0, 2.0, 2.0, 8.0]], dtype=torch.float64)
    assert isinstance(value, TerminalValue)
    assert value(row).tolist() == value.value(row).tolist() == [-8.0]
    model = value.quadratic(row, Coordinates(FLAT))
    assert model.value.tolist() == [-8.0]
    assert model.gradient.tolist() == [[-6.0, -5.0]]
    assert model.hessian.tolist() == [[[-4.0, -1.0], [-1.0, -2.0]]]


def test_autograd_finite_differences_and_the_formula_agree():
    exact = _riccati()
    rows = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    coordinates = Coordinates(FLAT)
    wanted = exact.quadratic(rows, coordinates)
    smooth = CriticValue(lambda row: exact.value(row))
    blunt = CriticValue(lambda row: exact.value(row.detach()))
    for value in (smooth, blunt):
        model = value.quadratic(rows, coordinates)
        torch.testing.assert_close(model.value, wanted.value)
        torch.testing.assert_close(model.gradient, wanted.gradient, atol=1e-7, rtol=0)
        torch.testing.assert_close(model.hessian, wanted.hessian, atol=1e-7, rtol=0)


def test_network_critic_gives_one_value_a_row():
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    value = CriticValue(net, lambda row: row[:, 1:3].float(), scale=2.0)
    rows = torch.randn(5, 4, dtype=torch.float64)
    torch.testing.assert_close(value(rows), 2.0 * net(rows[:, 1:3].float())[:, 0].double().detach())
    assert value.quadratic(rows, Coordinates(FLAT)).hessian.shape == (5, 2, 2)
    with pytest.raises(ValueError, match=r"one value a row, \[5\], got \(5, 2\)"):
        CriticValue(lambda x: x, lambda row: row[:, :2])(rows)


def test_convex_cost_lifts_what_bends_down():
    # -V has the hessian diag(2, -3): the second is lifted to the floor.
    model = QuadraticModel(
        torch.zeros(1), torch.ones(1, 2).double(), torch.diag(torch.tensor([-2.0, 3.0]))[None]
    )
    gradient, hessian = model.convex_cost(0.5)
    assert gradient.tolist() == [[-1.0, -1.0]]
    torch.testing.assert_close(hessian, torch.diag(torch.tensor([2.0, 0.5]))[None])


class Countdown:
    """qpos falls by the action; each step pays the position after it; 0 or less ends the task."""

    def step(self, state, action):
        after = state.clone()
        alive = (state[:, 1] > 0).double()
        after[:, 1] -= alive * action[:, 0, 0]
        return after, (alive * after[:, 1])[:, None], (after[:, 1] > 0).double()


def test_rollout_value_by_hand():
    # From 3, one down a step: 2 + 0.5 * 1 = 2.5, then 10 beyond at weight 0.25; from 1 the first
    # step pays 0 and ends the task, so nothing lies beyond.
    rows = torch.zeros(2, 4, dtype=torch.float64)
    rows[:, 1] = torch.tensor([3.0, 1.0])
    value = RolloutValue(
        Countdown(), lambda s: torch.ones(len(s), 1, 1), 2,
        beyond=lambda s: torch.full((len(s),), 10.0), gamma=0.5,
    )  # fmt: skip
    assert value(rows).tolist() == [2.0 + 0.5 * 1.0 + 0.25 * 10.0, 0.0]
    model = value.quadratic(rows[:1], Coordinates(FLAT))
    torch.testing.assert_close(model.gradient, torch.tensor([[1.5, 0.0]]).double())


@pytest.mark.parametrize("change", [{"steps": 0}, {"gamma": 0.0}])
def test_bad_rollouts_are_named(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        RolloutValue(**{"dynamics": Countdown(), "policy": lambda s: s, "steps": 1, **change})
