"""Phases follow each other as scripts say, and rows do not know of each other."""

import numpy as np
import pytest

from simrl_controllers.mobile.machine import Machine, Phase
from simrl_controllers.mobile.orders import Orders, Scene


def scene(count):
    """Return rows whose command tells what the phase "work" shall report: 1 done, -1 failed."""
    zero = np.zeros((count, 3))
    return Scene(
        rows=np.zeros((count, 1)),
        qpos=np.zeros((count, 1)),
        base=zero,
        base_speed=zero,
        arm=np.zeros((count, 7)),
        hand=zero,
        turn=np.tile(np.eye(3), (count, 1, 1)),
        opening=np.zeros(count),
        command=np.zeros((count, 1)),
    )


class Worker:
    phases = (
        Phase("begin"),
        Phase("work", failed="rest", seconds=0.5, late="begin"),
        Phase("rest", after="work", seconds=1.0),
        Phase("end"),
    )
    fields = (("count", ()), ("place", (2,)))

    def run(self, name, scene, memory, orders):
        memory["count"] += 1.0
        orders.opening[:] = {"begin": 0.01, "work": 0.02, "rest": 0.03, "end": 0.04}[name]
        told = scene.command[:, 0]
        if name == "work":
            return told > 0.5, told < -0.5
        return np.full(len(told), name in ("begin", "rest")), np.zeros(len(told), bool)


def play(commands, steps):
    """Return phases `[T, n]` and the table of rows under commands `[T, n]` or `[n]`."""
    commands = np.broadcast_to(commands, (steps, np.shape(commands)[-1]))
    count = commands.shape[1]
    machine, seen = Machine(Worker(), 0.1), []
    memory = np.zeros((count, machine.width))
    for step in range(steps):
        now = scene(count)
        now.command[:, 0] = commands[step]
        orders = Orders.stay(now, np.zeros(7), 0.0)
        before = memory.view(machine.dtype)["phase"][:, 0].copy()
        machine.step(now, memory, orders)
        np.testing.assert_allclose(orders.opening, [0.01 + 0.01 * phase for phase in before])
        seen.append(memory.view(machine.dtype)["phase"][:, 0].copy())
    return np.array(seen), memory.view(machine.dtype)[:, 0]


def test_phases_follow_when_done_failed_or_late():
    # begin 0, work 1, rest 2, end 3; 0.5 s last five steps, and the sixth is late.
    seen, table = play(np.array([1.0, -1.0, 0.0]), 9)
    assert seen[:, 0].tolist() == [1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert seen[:, 1].tolist() == [1, 2, 1, 2, 1, 2, 1, 2, 1]
    assert seen[:, 2].tolist() == [1, 1, 1, 1, 1, 1, 0, 1, 1]
    assert table["tries"].tolist() == [0.0, 4.0, 1.0]
    assert table["count"].tolist() == [9.0, 9.0, 9.0]


def test_rows_do_not_know_of_each_other():
    commands = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], (30, 5))
    seen, _ = play(commands, 30)
    for row in range(5):
        alone, _ = play(commands[:, row : row + 1], 30)
        assert alone[:, 0].tolist() == seen[:, row].tolist()


def test_a_phase_that_leads_nowhere_is_named():
    class Lost(Worker):
        phases = (Phase("begin", failed="nowhere"),)

    with pytest.raises(ValueError, match="'begin' leads to 'nowhere'; the phases are begin"):
        Machine(Lost(), 0.1)
