"""Specs of small systems that need no simulator, and a loop that closes on the model itself."""

import casadi as ca
import numpy as np
import pytest
import torch

from simrl.core import Column, ContinuousActions, EnvSpec, Layout, vector
from simrl_controllers.nonlinear.transcription import integrate


def make_spec(model, size, parts, low, high, step, reference=None, **physics):
    columns = [Column(f"c{index}") for index in range(size)]
    return EnvSpec(
        id=f"test-{model}",
        num_agents=1,
        observations={"policy": Layout((vector("state", *columns),))},
        actions=ContinuousActions(low, high),
        state_size=size,
        state_dtype=torch.float64,
        step_seconds=step,
        physics={"model": model, "state": parts, **physics},
        reference=reference,
    )


@pytest.fixture
def double_integrator():
    """A mass of 1 kg whose force is limited so widely that the limit never counts."""
    parts = {"qpos": slice(0, 1), "qvel": slice(1, 2)}
    return make_spec("double-integrator", 2, parts, (-1e3,), (1e3,), 0.1)


@pytest.fixture
def cartpole():
    """A cart of 1 kg and a rod of 0.1 kg and 1 m, on a track of 2 m to each side."""
    return make_spec(
        "cartpole",
        4,
        {"qpos": slice(0, 2), "qvel": slice(2, 4)},
        (-10.0,),
        (10.0,),
        0.02,
        cart_mass=1.0,
        pole_mass=0.1,
        pole_com=0.5,
        pole_inertia=0.1 / 12.0,
        gravity=9.81,
        x_limit=2.0,
    )


@pytest.fixture
def quadrotor():
    """A Hummingbird that is asked to hover 1 m to the right and 1 m up."""
    arm = 0.17

    def hover(state, ahead):
        target = torch.tensor([1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.3], dtype=torch.float64)
        return target.expand(len(state), len(ahead), -1)

    return make_spec(
        "quadrotor",
        13,
        {"qpos": slice(0, 7), "qvel": slice(7, 13)},
        (0.0,) * 4,
        (4.5,) * 4,
        0.02,
        hover,
        mass=0.716,
        inertia=(0.007, 0.007, 0.012),
        rotors=((arm, 0, 0), (0, arm, 0), (-arm, 0, 0), (0, -arm, 0)),
        rotor_spin=(1.0, -1.0, 1.0, -1.0),
        moment_constant=0.016,
    )


def _act(policy, rows, memory=None):
    """Act on states `[B][S]` and return the output."""
    rows = torch.as_tensor(np.asarray(rows, np.float64))
    memory = policy.initial_state(len(rows)) if memory is None else memory
    seat = torch.zeros(len(rows), dtype=torch.int64)
    return policy.act({"state": rows, "seat": seat}, memory, torch.Generator())


def _close_loop(policy, first, steps):
    """Return the states `[steps + 1, nx]` and outputs of the loop on the model's own motion."""
    model = policy.model
    x, u = ca.SX.sym("x", model.num_states), ca.SX.sym("u", model.num_inputs)
    motion = ca.Function("f", [x, u], [integrate(model, x, u, policy.spec.step_seconds, 4)])
    states, outputs, memory = [np.asarray(first, np.float64)], [], None
    for _ in range(steps):
        output = _act(policy, [states[-1]], memory)
        memory = output.state
        outputs.append(output)
        action = output.action[0].numpy().astype(np.float64)
        states.append(np.array(motion(states[-1], action)).ravel())
    return np.array(states), outputs


@pytest.fixture
def act():
    """`act(policy, rows, memory)`: the output for states `[B][S]`."""
    return _act


@pytest.fixture
def close_loop():
    """`close_loop(policy, first, steps)`: states and outputs."""
    return _close_loop
