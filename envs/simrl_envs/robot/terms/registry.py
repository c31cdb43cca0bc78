"""Named terms: the vectorised functions that task files put together.

A term is one function over M rows at once with one decorator:

    @reward("upright")
    def upright(view: View, *, joint: str) -> np.ndarray:
        '''Return the cosine of a hinge `[M]`.'''
        return np.cos(view.qpos[:, view.robot.qpos_of(joint)[0]])

Task files name it and give its keyword arguments; a wrong name or argument is refused with the
valid ones.  `needs` lists the derived fields of MjData (`site_xpos`, `sensordata`, ...) that it
reads as `view.field(name)`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simrl.core.spec import Column


@dataclass(frozen=True)
class Term:
    """Hold a registered function."""

    name: str
    function: Callable[..., Any]
    needs: tuple[str, ...] = ()
    """Derived fields of MjData that it reads."""
    columns: Callable[..., tuple[Column, ...]] | None = None
    """For observations, commands and references: `columns(robot, **arguments)`."""

    def bind(self, arguments: Mapping[str, Any], where: str) -> BoundTerm:
        """Fix the keyword arguments; ValueError names a wrong one and lists the valid ones."""
        parameters = {
            name: parameter
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        valid = ", ".join(parameters) or "none"
        for name in arguments:
            if name not in parameters:
                raise ValueError(
                    f"{where}: {self.name!r} has no argument {name!r}; its arguments are {valid}"
                )
        for name, parameter in parameters.items():
            if parameter.default is inspect.Parameter.empty and name not in arguments:
                raise ValueError(
                    f"{where}: {self.name!r} needs the argument {name!r}; its arguments are {valid}"
                )
        kept = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in arguments.items()
        }
        return BoundTerm(self, kept, where, functools.partial(self.function, **kept))


@dataclass(frozen=True)
class BoundTerm:
    """Hold a term with its arguments, ready to be called."""

    term: Term
    arguments: Mapping[str, Any]
    where: str
    """Place in the task file, for errors."""
    call: Callable[..., Any]

    def columns(self, robot: Any) -> tuple[Column, ...]:
        """Describe what the term writes; errors name the place in the task file."""
        if self.term.columns is None:
            raise ValueError(f"{self.where}: {self.term.name!r} names no columns")
        try:
            return self.term.columns(robot, **self.arguments)
        except ValueError as error:
            raise ValueError(f"{self.where}: {error}") from error


class Registry:
    """Keep the terms of one kind by name."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.terms: dict[str, Term] = {}

    def __call__(
        self,
        name: str,
        *,
        needs: tuple[str, ...] = (),
        columns: Callable[..., tuple[Column, ...]] | None = None,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register the decorated function under `name`; ValueError if the name is taken."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            if name in self.terms:
                raise ValueError(f"there is already a {self.kind} called {name!r}")
            self.terms[name] = Term(name, function, needs, columns)
            return function

        return register

    def bind(self, name: str, arguments: Mapping[str, Any], where: str) -> BoundTerm:
        """Return the term with its arguments; ValueError lists the valid names."""
        if name not in self.terms:
            valid = ", ".join(sorted(self.terms))
            raise ValueError(f"{where}: unknown {self.kind} {name!r}; there are {valid}")
        return self.terms[name].bind(arguments, where)


observation = Registry("observation")
"""`(view, **arguments) -> [M, columns]`; give `columns`."""
reward = Registry("reward")
"""`(view, **arguments) -> [M]`."""
termination = Registry("termination")
"""`(view, **arguments) -> [M] bool`: the task ended by its own rules."""
measure = Registry("measure")
"""`(view, **arguments) -> [M]`: a number per step that metrics gather over an episode."""
start = Registry("start")
"""`(view, draw, **arguments) -> None`: write qpos, qvel, command and memory of new episodes."""
carry = Registry("carry")
"""`(old, view, draw, **arguments) -> None`: before `start`, write what outlives an episode.

`old` is the view of the episodes that ended, as they were last, and None after a reset; the memory
of the new ones in `view` is 0."""
update = Registry("update")
"""`(view, draw, **arguments) -> None`: after each step, write command and memory in place."""
reference = Registry("reference")
"""`(command [M, C], time [M, H], **arguments) -> [M, H, n]`: the targets at these times."""
shape = Registry("shape")
"""`(view, fields, rows, **arguments) -> None`: make the model of each row as its state says.

`needs` names fields of the model; `fields` holds them as live arrays `[N, ...]`, and the function
writes those of `rows`, ids `[M]` of the view's rows, whenever a state is put there."""
facts = Registry("facts")
"""`(robot, **arguments) -> dict`: what controllers may know, for `spec.physics`."""
