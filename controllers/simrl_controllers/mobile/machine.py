"""Run a task phase by phase, many rows at once, each in its own phase.

A script names its phases in their order.  In every step each row's phase says what to do, and
whether it is done or has failed; one that takes too long has failed too.  All that is remembered
stands in one table, a row of numbers for each robot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simrl_controllers.mobile.orders import Orders, Scene

Array = np.ndarray
COMMON = (("phase", ()), ("time", ()), ("tries", ()))
"""What is remembered of every row: its phase, time in it [s], and how often one has failed."""


@dataclass(frozen=True)
class Phase:
    """Say how a phase is named, how long it may take and where its failure leads."""

    name: str
    """Name of the phase, and of the script's method that runs it."""
    after: str = ""
    """Phase that follows when it is done; "" goes on to the next one."""
    failed: str = ""
    """Phase that follows a failure; "" goes on to the next one."""
    seconds: float = np.inf
    """Time that it may take [s]."""
    late: str = ""
    """Phase that follows when that is over; "" goes on to the next one."""


class Script(Protocol):
    """Say what each phase of a task does."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Phases in their order; the last one never ends."""
        ...

    @property
    def fields(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Names and shapes of what is remembered of each row."""
        ...

    def run(self, name: str, scene: Scene, memory: Array, orders: Orders) -> tuple[Array, Array]:
        """Write the orders of rows in a phase; return which are done and which failed `[n]` bool.

        `memory` is a table `[n]` with the script's fields, to be read and written.
        """
        ...


class Machine:
    """Step the phases of n rows.

    Attributes:
        names: Names of the phases; the extra "phase" counts them.
        dtype: Of the table of what is remembered.
        width: Numbers in a row of it.
    """

    def __init__(self, script: Script, step_seconds: float) -> None:
        self._script, self._dt = script, step_seconds
        self.names = tuple(phase.name for phase in script.phases)
        self.dtype = np.dtype(
            [(name, np.float64, shape) for name, shape in (*COMMON, *script.fields)]
        )
        self.width = self.dtype.itemsize // 8
        for phase in script.phases:
            for name in (phase.after, phase.failed, phase.late):
                if name and name not in self.names:
                    raise ValueError(
                        f"phase {phase.name!r} leads to {name!r}; the phases are "
                        f"{', '.join(self.names)}"
                    )
        self._after = [self._lead(index, phase.after) for index, phase in enumerate(script.phases)]
        self._failed = [
            self._lead(index, phase.failed) for index, phase in enumerate(script.phases)
        ]
        self._late = [self._lead(index, phase.late) for index, phase in enumerate(script.phases)]
        self._seconds = np.array([phase.seconds for phase in script.phases])

    def step(self, scene: Scene, memory: Array, orders: Orders) -> None:
        """Write orders of n rows and move their phases on; `memory` `[n, width]` changes."""
        table = memory.view(self.dtype)[:, 0]
        table["time"] += self._dt
        now = table["phase"].astype(np.int64)
        for index in np.unique(now):
            where = np.flatnonzero(now == index)
            part, own = scene.take(where), table[where]
            given = orders.take(where)
            done, failed = self._script.run(self.names[index], part, own, given)
            late = (own["time"] > self._seconds[index]) & ~done & ~failed
            failed = failed & ~done
            own["phase"][done] = self._after[index]
            own["phase"][failed], own["phase"][late] = self._failed[index], self._late[index]
            again = failed | late if self._script.phases[index].late else failed
            own["tries"][again] += 1.0
            own["time"][done | failed | late] = 0.0
            table[where] = own
            orders.put(where, given)

    def _lead(self, index: int, name: str) -> int:
        return self.names.index(name) if name else min(index + 1, len(self.names) - 1)
