"""Values of options against the types of a config's fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pytest

from simrl.core.plugins import make_config


@dataclass(frozen=True)
class Options:
    count: int | None = None
    share: float = 0.5
    ends: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()
    gain: float | tuple[float, ...] = 1.0
    weights: Mapping[str, float] = field(default_factory=dict)
    on: bool = True
    kind: Literal["a", "b"] = "a"
    other: object = None


@pytest.mark.parametrize(
    "given",
    [
        {"count": 3},
        {"count": None},
        {"count": np.int64(3)},
        {"share": 1},
        {"share": np.float32(0.5)},
        {"ends": [0, 1]},
        {"ends": np.zeros(2)},
        {"names": ("x",)},
        {"gain": 2},
        {"gain": (2.0, 3.0)},
        {"weights": {"x": 1.0}},
        {"on": False},
        {"kind": "c"},  # which words are valid is for the class to say
        {"other": object()},
    ],
)
def test_what_fits_is_taken_as_it_is(given):
    config = make_config(Options, given, "task")
    assert all(getattr(config, name) is value for name, value in given.items())


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"count": 1.5}, "task: count must be a whole number or none, got 1.5"),
        ({"count": True}, "count must be a whole number or none, got True"),
        ({"share": "half"}, "share must be a number, got 'half'"),
        ({"ends": 0.1}, "ends must be a list of 2 numbers, got 0.1"),
        ({"ends": ("low", "high")}, "ends must be a list of 2 numbers"),
        ({"names": "x"}, "names must be a list of words, got 'x'"),
        ({"gain": "big"}, "gain must be a number or a list of numbers, got 'big'"),
        ({"weights": 3}, "weights must be a mapping of names to values, got 3"),
        ({"on": "yes"}, "on must be true or false, got 'yes'"),
    ],
)
def test_what_does_not_fit_is_told_in_words(given, problem):
    with pytest.raises(ValueError, match=problem):
        make_config(Options, given, "task")
