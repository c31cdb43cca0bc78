"""A person as a policy: input that arrives at any time becomes an action when one is due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from simrl.core.controls import Click, Controls, PersonInput
from simrl.core.policy import Policy, PolicyOutput
from simrl.core.timestep import Obs, PolicyState


class PersonLeftError(Exception):
    """Say that the person was waited for and has let go of the seat."""


MAX_PENDING = 64
"""Most key presses and clicks that wait for the next step; older ones are forgotten."""


class PersonInputs:
    """Hold what a person does, between the thread that hears of it and the one that acts."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._held: frozenset[str] = frozenset()
        self._pressed: list[str] = []
        self._pointer: tuple[float, float] | None = None
        self._clicks: list[Click] = []

    @property
    def new(self) -> bool:
        """Whether something was pressed or clicked since the last `take`."""
        return bool(self._pressed or self._clicks)

    def press(self, held: frozenset[str]) -> None:
        """Take in which keys and mouse buttons are down now; new ones count as pressed."""
        with self.changed:
            self._pressed += sorted(held - self._held)
            del self._pressed[:-MAX_PENDING]
            self._held = held
            self.changed.notify_all()

    def point(self, pointer: tuple[float, float] | None) -> None:
        """Take in where the pointer is, as fractions of the picture; None if outside."""
        with self.changed:
            self._pointer = pointer
            self.changed.notify_all()

    def click(self, clicks: Sequence[Click]) -> None:
        """Take in new clicks."""
        with self.changed:
            self._clicks += clicks
            del self._clicks[:-MAX_PENDING]
            self.changed.notify_all()

    def take(self) -> PersonInput:
        """Return what is held, and what was pressed and clicked since the last call."""
        with self.changed:
            given = PersonInput(
                self._held, tuple(self._pressed), self._pointer, tuple(self._clicks)
            )
            self._pressed, self._clicks = [], []
            return given

    def clear(self) -> None:
        """Forget everything, as if no key were down."""
        with self.changed:
            self._held, self._pointer = frozenset(), None
            self._pressed, self._clicks = [], []


class PersonPolicy:
    """Act as a person does, at one seat of one environment."""

    def __init__(
        self, controls: Controls, inputs: PersonInputs, wait: Callable[[], None] | None = None
    ) -> None:
        """Turn `inputs` into actions by `controls`.

        `wait` is called again and again while the controls want more from the person; it returns
        when something may have changed, and may raise to give up.  By default it waits for input
        without end.
        """
        self.reads = frozenset(controls.reads)
        self._controls, self._inputs = controls, inputs
        self._wait = wait or self._wait_for_input

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the mark of a new episode, at which the controls forget."""
        return {"fresh": torch.ones(num_rows, dtype=torch.bool)}

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the person's action `[1, ...]`; ValueError for more rows than one."""
        if len(obs["seat"]) != 1:
            raise ValueError(f"a person sits at one seat, got {len(obs['seat'])} rows")
        if bool(state["fresh"][0]):
            self._controls.reset()
        row = {name: obs[name][0] for name in self.reads}
        return PolicyOutput(
            self._ask(row, int(obs["seat"][0]))[None], {"fresh": torch.zeros(1, dtype=torch.bool)}
        )

    def _ask(self, row: Obs, seat: int) -> Tensor:
        while True:
            action = self._controls.action(row, seat, self._inputs.take())
            if action is not None:
                return action
            self._wait()

    def _wait_for_input(self) -> None:
        with self._inputs.changed:
            self._inputs.changed.wait(1.0)


class TakeOverPolicy:
    """Let a policy act at a seat until a person takes over, and again when the person lets go.

    The policy is asked at every step, so that its memory follows the game meanwhile.

    Attributes:
        person_acts: Whether the person's action is played; may be changed between steps.
    """

    def __init__(self, policy: Policy, person: PersonPolicy | None) -> None:
        """Seat `policy`; without a person it acts for ever."""
        self._policy, self._person = policy, person
        self.person_acts = False
        self.reads = frozenset(policy.reads) | (person.reads if person else frozenset())

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return both memories."""
        state = {f"policy/{k}": v for k, v in self._policy.initial_state(num_rows).items()}
        if self._person is not None:
            state |= {f"person/{k}": v for k, v in self._person.initial_state(num_rows).items()}
        return state

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the policy's action, or the person's."""
        own = {k.removeprefix("policy/"): v for k, v in state.items() if k.startswith("policy/")}
        output = self._policy.act(obs, own, rng, deterministic=deterministic)
        action, kept = output.action, {f"policy/{k}": v for k, v in output.state.items()}
        if self._person is not None:
            theirs = {
                k.removeprefix("person/"): v for k, v in state.items() if k.startswith("person/")
            }
            if self.person_acts:
                try:
                    answer = self._person.act(obs, theirs, rng)
                    action, theirs = answer.action, dict(answer.state)
                except PersonLeftError:
                    pass  # the policy's action is at hand
            kept |= {f"person/{k}": v for k, v in theirs.items()}
        return PolicyOutput(action, kept, output.extras)


class ForcedPolicy:
    """Play given actions first, and let a policy watch; then let it act.

    It brings a policy's memory to the moment at which a clip is taken over.  For one row.
    """

    def __init__(self, policy: Policy, actions: Tensor) -> None:
        """Play `actions` `[K, heads or size]` in the first K calls."""
        self.reads = frozenset(policy.reads)
        self._policy, self._actions, self._next = policy, actions, 0

    def initial_state(self, num_rows: int) -> PolicyState:
        """Return the policy's memory."""
        return self._policy.initial_state(num_rows)

    def act(
        self, obs: Obs, state: PolicyState, rng: torch.Generator, *, deterministic: bool = False
    ) -> PolicyOutput:
        """Return the next of the given actions, or what the policy chooses."""
        output = self._policy.act(obs, state, rng, deterministic=deterministic)
        if self._next >= len(self._actions):
            return output
        forced = self._actions[self._next][None]
        self._next += 1
        return PolicyOutput(forced.to(output.action.dtype), output.state, output.extras)
