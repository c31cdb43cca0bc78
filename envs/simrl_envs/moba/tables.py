"""The static data of the game: TOML files, checked and compiled into one record for the kernels.

`load_tables()` reads `rules.toml`, `heroes.toml`, `items.toml` and `map_<name>.toml` from the
package's `data` folder or from a folder of the user's. All times are compiled from seconds to
ticks, all speeds from m/s to m/tick (except a hero's `move_speed`, which stays m/s).

`Tables.record` is an array of shape [1]; kernels take it and begin with `table = tables[0]`:
`table.heroes[k].skills[s].effects[e].amount`, `table.kinds[KIND_TOWER].attack_range`,
`table.items[i].price`, `table.structures[k]` (of blue; red's are their rotation),
`table.waypoints[lane, n]`, `table.directions[d]` (unit vectors; d + 8 is exactly the opposite).
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from simrl_envs.moba import records as rec
from simrl_envs.moba.table_compile import (
    compile_heroes,
    compile_items,
    compile_map,
    compile_rules,
)
from simrl_envs.moba.table_fields import table_dtype

DATA_DIR: Final = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Tables:
    """Compiled data of one map with its names for people.

    Fields of the record of special use: `max_ticks`, `decision_ticks`, `dt`, `num_heroes`,
    `num_items`, `xp_to_level[l]` (total experience at which level `l + 1` begins, so
    `xp_to_level[0] == 0`).
    """

    record: np.ndarray
    """The compiled data, shape [1], dtype `table_dtype()`: what kernels take."""
    shape: rec.GameShape
    """Sizes of the game record of this map."""
    map_name: str
    """Name of the map (`1v1`)."""
    heroes: tuple[str, ...]
    """Names of the heroes, by id."""
    roles: tuple[str, ...]
    """Role of each hero (`tank`)."""
    skills: tuple[tuple[str, ...], ...]
    """Names of the three skills of each hero."""
    items: tuple[str, ...]
    """Names of the items, by id."""

    def hero_id(self, name: str) -> int:
        """Return the id of a hero.

        Raises:
            ValueError: If there is no such hero.
        """
        if name not in self.heroes:
            raise ValueError(f"unknown hero {name!r}; the heroes are {', '.join(self.heroes)}")
        return self.heroes.index(name)

    def new_games(self, num_games: int) -> np.ndarray:
        """Return zeroed game records, shape [num_games]; `reset_game` fills a row."""
        return np.zeros(num_games, rec.game_dtype(self.shape))


def map_names(data_dir: Path | None = None) -> tuple[str, ...]:
    """Return the names of the maps in a data folder."""
    folder = DATA_DIR if data_dir is None else Path(data_dir)
    return tuple(sorted(path.stem.removeprefix("map_") for path in folder.glob("map_*.toml")))


def load_tables(
    data_dir: Path | str | None = None,
    map: str = "1v1",
    *,
    max_minutes: float | None = None,
    agent_buys: bool = False,
) -> Tables:
    """Read, check and compile the data of one map.

    Args:
        data_dir: Folder with the four kinds of file; None takes the data that ships.
        map: Name of the map: the file is `map_<name>.toml`.
        max_minutes: Time limit [min] instead of that of `rules.toml`.
        agent_buys: Whether heroes buy by the buy button instead of by their build order.

    Raises:
        ValueError: If a file is missing or malformed; the message names file, key, value and
            what is valid.
    """
    folder = DATA_DIR if data_dir is None else Path(data_dir)
    names = map_names(folder)
    if map not in names:
        raise ValueError(f"unknown map {map!r} in {folder}; the maps are {', '.join(names)}")
    table = np.zeros(1, table_dtype())
    row = table[0]
    rules = _load_toml(folder / "rules.toml")
    compile_rules(row, rules, max_minutes)
    row["agent_buys"] = agent_buys
    items = compile_items(row, _load_toml(folder / "items.toml"))
    heroes, roles, skills = compile_heroes(row, _load_toml(folder / "heroes.toml"), items)
    shape = compile_map(row, _load_toml(folder / f"map_{map}.toml"), f"map_{map}.toml", len(items))
    table.flags.writeable = False
    return Tables(table, shape, map, heroes, roles, skills, items)


def _load_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.name}: no such file in {path.parent}")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: not valid TOML: {error}") from error
