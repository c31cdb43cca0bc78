"""The options of the MOBA environment, checked and turned into what its kernels take."""

from dataclasses import dataclass, replace

import numpy as np

from simrl_envs.moba.advance import Static
from simrl_envs.moba.layout import observation_spec
from simrl_envs.moba.mask import mask_templates
from simrl_envs.moba.rewards import TERMS
from simrl_envs.moba.tables import Tables, load_tables


@dataclass(frozen=True)
class MobaConfig:
    """Configure the game, what agents see and what they are paid for."""

    team_size: int = 1
    """Heroes a side: the map `<n>v<n>` is played."""
    heroes: tuple[str, ...] = ()
    """Heroes to draw from for every episode, each side by itself; empty: all of them."""
    seats: tuple[str, ...] = ()
    """A fixed hero for each agent, blue first; "" leaves a seat to the draw. Empty: draw all."""
    mirror: bool = False
    """Whether red draws the same heroes as blue."""
    decision_ticks: int = 2
    """Ticks between two decisions; a tick is `dt` of the data's rules.toml (1/15 s)."""
    max_minutes: float = 15.0
    """Game time after which an episode is truncated [min]."""
    agent_buys: bool = False
    """Whether agents buy items with the buy button; otherwise heroes follow their build orders."""
    local_map: bool = False
    """Whether to observe a coarse map of the agent's surroundings, too."""
    data_dir: str = ""
    """Folder with rules.toml, heroes.toml, items.toml and maps; empty: the data that ships."""
    threads: int = 2
    """Threads that step the games; small numbers of games use one."""
    zero_sum: bool = True
    """Whether each reward term is lessened by the enemy team's mean."""
    team_spirit: float = 0.2
    """Share of each reward term that is the team's mean, from 0 to 1; without effect in 1v1."""
    time_scaling: float = 0.6
    """Factor by which all reward terms but "win" have shrunk after ten minutes; 1: never."""
    weight_gold: float = 0.002
    """Reward per gold earned."""
    weight_xp: float = 0.002
    """Reward per experience earned."""
    weight_last_hit: float = 0.1
    """Reward per last hit on a creep, beside its gold."""
    weight_mana: float = 0.02
    """Reward per full mana bar gained; spending mana costs, and a high cost keeps skills unused."""
    weight_kill: float = 0.25
    """Reward per kill of a hero, beside its gold and experience."""
    weight_death: float = -0.25
    """Reward per death, whoever caused it."""
    weight_assist: float = 0.3
    """Reward per assist."""
    weight_hp: float = 1.0
    """Reward per change of the square root of the hero's hp fraction, from 0 to 1."""
    weight_hurt_hero: float = 0.2
    """Reward per 1000 hp of damage dealt to heroes."""
    weight_tower: float = 5.0
    """Reward per tower: its lost hp fraction counts as it falls, own towers negative."""
    weight_crystal: float = 5.0
    """Reward per crystal, as for towers."""
    weight_win: float = 5.0
    """Reward of a win; a defeat costs as much."""

    @property
    def weights(self) -> tuple[float, ...]:
        """Return the weight of each reward term, in the order of `rewards.TERMS`."""
        return tuple(float(getattr(self, f"weight_{name}")) for name in TERMS)


def config_tables(config: MobaConfig) -> Tables:
    """Load the data that a config names.

    Raises:
        ValueError: If an option is outside its range, or the data is missing or malformed.
    """
    for name, low, high in (
        ("team_size", 1, 5),
        ("decision_ticks", 1, 60),
        ("threads", 1, 256),
        ("team_spirit", 0, 1),
        ("time_scaling", 1e-3, 1),
    ):
        value = getattr(config, name)
        if not low <= value <= high:
            raise ValueError(f"moba: {name} must be from {low} to {high}, got {value}")
    weights = config.weights
    if not np.isfinite(weights).all():
        raise ValueError(f"moba: reward weights must be finite, got {weights}")
    tables = load_tables(
        config.data_dir or None,
        f"{config.team_size}v{config.team_size}",
        max_minutes=config.max_minutes,
        agent_buys=config.agent_buys,
    )
    record = tables.record.copy()
    record["decision_ticks"] = config.decision_ticks
    record.flags.writeable = False
    return replace(tables, record=record)


def config_static(config: MobaConfig, tables: Tables) -> Static:
    """Compile what the kernels need beside the tables.

    Raises:
        ValueError: If a hero is unknown (the valid names are listed) or the seats do not match.
    """
    agents = tables.shape.num_heroes
    if config.seats and len(config.seats) != agents:
        raise ValueError(
            f"moba: seats must name a hero for each of the {agents} agents, got {config.seats}"
        )
    names = config.heroes or tables.heroes
    if len(set(names)) != len(names):
        raise ValueError(f"moba: heroes must not repeat, got {', '.join(names)}")
    seats = [tables.hero_id(name) if name else -1 for name in config.seats or ("",) * agents]
    return Static(
        offsets=observation_spec(tables, config.local_map).offsets,
        templates=mask_templates(tables),
        pool=np.array([tables.hero_id(name) for name in names], np.int64),
        seats=np.array(seats, np.int64),
        mirror=np.array([config.mirror]),
    )
