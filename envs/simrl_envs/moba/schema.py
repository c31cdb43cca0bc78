"""Check a TOML table against a list of fields; errors name file, key, value and what is valid."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Field:
    """One key of a data file: its type, range, choices and default."""

    kind: str = "number"
    """`number`, `integer`, `flag`, `text`, `choice` or `numbers` (a list)."""
    low: float = 0.0
    """Least valid number."""
    high: float = math.inf
    """Greatest valid number."""
    default: Any = None
    """Value where the key is absent; None makes the key required."""
    choices: tuple[str, ...] = ()
    """Valid names of a `choice`; its value becomes the index of the name."""
    noun: str = "choices"
    """What the choices are called in an error."""
    length: int = 0
    """Exact length of a `numbers` list; 0 accepts any length."""


NUMBER: Final = Field()
OPTIONAL: Final = Field(default=0.0)
ANY_SIGN: Final = Field(low=-math.inf)
FRACTION: Final = Field(high=1.0, default=0.0)
POSITIVE: Final = Field(low=1e-9)


def choice(names: Sequence[str], noun: str, default: str | None = None) -> Field:
    """Return a field whose value is one of `names`; it is read as the index of the name."""
    return Field(kind="choice", choices=tuple(names), noun=noun, default=default)


def read(table: Any, fields: Mapping[str, Field], where: str) -> dict[str, Any]:
    """Return the checked values of one table, defaults filled in.

    Args:
        table: A table as `tomllib` read it.
        fields: The keys that it may have.
        where: File, or file and path of the table (`heroes.toml: orrin`), as an error names it.

    Raises:
        ValueError: If a key is unknown or missing, or a value has a wrong type, range or name.
    """
    if not isinstance(table, Mapping):
        raise ValueError(f"{where}: expected a table, got {table!r}")
    for key in table:
        if key not in fields:
            raise ValueError(f"{_join(where, key)}: unknown key; the keys are {', '.join(fields)}")
    values = {}
    for key, field in fields.items():
        if key in table:
            values[key] = read_value(table[key], field, _join(where, key))
        elif field.default is None:
            raise ValueError(f"{_join(where, key)}: missing; it must be {_describe(field)}")
        elif field.kind == "choice":
            values[key] = field.choices.index(field.default)
        else:
            values[key] = field.default
    return values


def read_value(value: Any, field: Field, where: str) -> Any:
    """Return one checked value; a choice is returned as its index.

    Raises:
        ValueError: If the value does not fit the field.
    """
    if field.kind == "choice":
        return _read_choice(value, field, where)
    if field.kind == "numbers":
        if not isinstance(value, list) or (field.length and len(value) != field.length):
            raise ValueError(f"{where}: expected {_describe(field)}, got {value!r}")
        number = Field(low=field.low, high=field.high)
        return [read_value(item, number, f"{where}[{i}]") for i, item in enumerate(value)]
    types: dict[str, tuple[type, ...]] = {
        "number": (int, float),
        "integer": (int,),
        "flag": (bool,),
        "text": (str,),
    }
    is_flag = isinstance(value, bool)
    if not isinstance(value, types[field.kind]) or is_flag != (field.kind == "flag"):
        raise ValueError(f"{where}: expected {_describe(field)}, got {value!r}")
    if isinstance(value, int | float) and not field.low <= value <= field.high:
        raise ValueError(f"{where}: expected {_describe(field)}, got {value!r}")
    return value


def _join(where: str, key: str) -> str:
    """Return the path of a key: `rules.toml: dt`, `heroes.toml: orrin.hp`."""
    return f"{where}.{key}" if ": " in where else f"{where}: {key}"


def _read_choice(value: Any, field: Field, where: str) -> int:
    if not isinstance(value, str) or value not in field.choices:
        names = ", ".join(field.choices)
        raise ValueError(f"{where}: unknown {value!r}; the {field.noun} are {names}")
    return field.choices.index(value)


def _describe(field: Field) -> str:
    if field.kind == "choice":
        return f"one of {', '.join(field.choices)}"
    if field.kind == "flag":
        return "true or false"
    if field.kind == "text":
        return "a text"
    noun = "an integer" if field.kind == "integer" else "a number"
    if field.kind == "numbers":
        noun = f"a list of {field.length or 'any number of'} numbers"
    if math.isinf(field.low) and math.isinf(field.high):
        return noun
    if math.isinf(field.high):
        return f"{noun} of at least {field.low:g}"
    return f"{noun} from {field.low:g} to {field.high:g}"
