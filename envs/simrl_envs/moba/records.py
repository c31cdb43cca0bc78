"""The game record: one NumPy structured record is one whole MOBA game.

Everything that changes during a game is in the record, so a clone is a copy, a snapshot is the
bytes and a replay is (seed, heroes, actions). Everything static is in `tables.Tables`.

How to read it (`games` is a 1-D array of `game_dtype(shape)`, `game = games[row]`):

- **Units.** `game.units` holds everything that has hit points, in one array and one id space:
  heroes first (`0 .. H-1`, the agent index is the unit id; agents `0 .. team_size-1` are blue, team
  0, the rest red, team 1), then creep slots, then structures. Creep slots are partitioned:
  `creep_begin(game, team, lane) .. + game.creep_top[team, lane]` are the slots of one team in one
  lane; slots at or above `creep_top` are dead, slots below may be dead (`alive == 0`): check it.
  Structures: `structure_begin(game, team) .. + structures_per_team`, the **last** one of each team
  is the crystal. `target`-like fields are unit ids, −1 for none.
- **Heroes.** `game.heroes[i]` is what only heroes have, beside `game.units[i]`.
- **Team partitions.** `projectiles` and `zones` are halves: the first half belongs to team 0, the
  second to team 1. Rows with `alive == 0` are empty (other bytes are stale, but deterministic).
- **Time.** `game.tick` counts ticks of `tables.dt` seconds. A field that ends in `_until` is the
  tick up to which a status holds (`tick < until`), one in `_ready` the tick from which a thing may
  be used (`tick >= ready`). Seconds left are `max(0, until - tick) * dt`. There is nothing to
  decrement. A status that never was is 0.
- **Frame.** Metres, world frame, blue base at x < 0; the map is symmetric under the rotation
  (x, y) -> (−x, −y). Displacements `vx, vy` are metres per *tick*.
- **Sight.** `unit.visible` is a bit mask: bit `1 << t` set means that team `t` sees the unit. It is
  recomputed at the end of each step (a decision), as is `hero.creep_slots`, so that observation,
  mask and the next action agree.
- **Counters.** `hero.gold_earned, damage_to_heroes, kills, ...` only grow within an episode:
  differences between two decisions are itemised reward terms. A dead hero keeps its record;
  `unit.alive` is 0 and `hero.respawn_at` says when it returns.

Kernels read like the rules: `unit = game.units[i]; unit.hp -= damage`.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

BLUE: Final = 0
RED: Final = 1

# Unit kinds (`unit.kind`).
KIND_HERO: Final = 0
KIND_MELEE: Final = 1
KIND_RANGED: Final = 2
KIND_SIEGE: Final = 3
KIND_TOWER: Final = 4
KIND_CRYSTAL: Final = 5
KIND_NAMES: Final = ("hero", "melee", "ranged", "siege", "tower", "crystal")
NUM_KINDS: Final = 6

# Buttons: the first head of an action.
BUTTON_NONE: Final = 0
BUTTON_MOVE: Final = 1
BUTTON_ATTACK: Final = 2
BUTTON_SKILL: Final = 3  # skill s is button BUTTON_SKILL + s, s in 0..2
BUTTON_RECALL: Final = 6
BUTTON_BUY: Final = 7
BUTTON_NAMES: Final = ("none", "move", "attack", "skill1", "skill2", "skill3", "recall", "buy")

# Columns and sizes of the action heads; the fifth (target) is `GameShape.num_targets` wide.
HEAD_BUTTON: Final = 0
HEAD_MOVE: Final = 1
HEAD_DIRECTION: Final = 2
HEAD_DISTANCE: Final = 3
HEAD_TARGET: Final = 4
HEAD_NAMES: Final = ("button", "move", "skill_dir", "skill_dist", "target")
NUM_HEADS: Final = 5
NUM_BUTTONS: Final = 8
NUM_DIRECTIONS: Final = 16
NUM_DISTANCES: Final = 4

# How a skill is aimed (`skill.aim`): which heads it reads.
AIM_SELF: Final = 0  # none
AIM_TARGET: Final = 1  # target
AIM_DIRECTION: Final = 2  # skill_dir
AIM_POINT: Final = 3  # skill_dir and skill_dist
AIM_NAMES: Final = ("self", "target", "direction", "point")

# How a skill reaches what it hits (`skill.delivery`).
DELIVERY_INSTANT: Final = 0
DELIVERY_PROJECTILE: Final = 1
DELIVERY_AREA: Final = 2
DELIVERY_DASH: Final = 3
DELIVERY_BLINK: Final = 4
DELIVERY_NAMES: Final = ("instant", "projectile", "area", "dash", "blink")

# Whom an effect touches, and which side a targeted skill may name (`effect.on`, `skill.side`).
SIDE_ENEMY: Final = 0
SIDE_ALLY: Final = 1
SIDE_SELF: Final = 2
SIDE_NAMES: Final = ("enemy", "ally", "self")

# Effects (`effect.kind`).
EFFECT_NONE: Final = 0
EFFECT_DAMAGE: Final = 1
EFFECT_BURN: Final = 2  # damage over time: amount per second
EFFECT_STUN: Final = 3
EFFECT_SLOW: Final = 4
EFFECT_KNOCKBACK: Final = 5
EFFECT_SILENCE: Final = 6
EFFECT_SHIELD: Final = 7
EFFECT_HEAL: Final = 8
EFFECT_HASTE: Final = 9  # movement-speed fraction
EFFECT_MIGHT: Final = 10  # basic-attack damage fraction
EFFECT_FRENZY: Final = 11  # attack-speed fraction
EFFECT_GUARD: Final = 12  # fraction of damage removed
EFFECT_NAMES: Final = (
    "none",
    "damage",
    "burn",
    "stun",
    "slow",
    "knockback",
    "silence",
    "shield",
    "heal",
    "haste",
    "might",
    "frenzy",
    "guard",
)

# Damage types.
DAMAGE_PHYSICAL: Final = 0
DAMAGE_MAGIC: Final = 1
DAMAGE_TRUE: Final = 2
DAMAGE_NAMES: Final = ("physical", "magic", "true")

# Passives (`hero table.passive`).
PASSIVE_NONE: Final = 0
PASSIVE_NTH_HIT: Final = 1
PASSIVE_LIFESTEAL: Final = 2
PASSIVE_LAST_STAND: Final = 3
PASSIVE_MANA_SHIELD: Final = 4
PASSIVE_AURA_HEAL: Final = 5
PASSIVE_EXECUTE: Final = 6
PASSIVE_THORNS: Final = 7
PASSIVE_SPELL_STRIKE: Final = 8
PASSIVE_NAMES: Final = (
    "none",
    "nth_hit",
    "lifesteal",
    "last_stand",
    "mana_shield",
    "aura_heal",
    "execute",
    "thorns",
    "spell_strike",
)

# States of a game (`game.done`).
RUNNING: Final = 0
TERMINATED: Final = 1
TRUNCATED: Final = 2

# Capacities.
NUM_SKILLS: Final = 3
NUM_EFFECTS: Final = 4
ITEM_SLOTS: Final = 6
MAX_LEVEL: Final = 15
CREEPS_PER_LANE: Final = 14  # of one team
NUM_CREEP_TARGETS: Final = 8
NUM_RELICS: Final = 2
PROJECTILES_PER_HERO: Final = 10
ZONES_PER_HERO: Final = 4

_UNIT: Final = [
    ("x", "f4"),  # position [m]
    ("y", "f4"),
    ("vx", "f4"),  # displacement of the next/last tick [m/tick]
    ("vy", "f4"),
    ("hp", "f4"),
    ("max_hp", "f4"),
    ("attack", "f4"),  # basic-attack damage before resistances
    ("armour", "f4"),  # against physical damage
    ("resist", "f4"),  # against magic damage
    ("pending", "f4"),  # damage of this tick, not yet committed; 0 between steps
    ("slow", "f4"),  # fraction of speed removed while tick < slow_until
    ("burn", "f4"),  # damage over time [hp/tick] while tick < burn_until
    ("attack_ready", "i4"),
    ("stun_until", "i4"),
    ("slow_until", "i4"),
    ("burn_until", "i4"),
    ("forced_until", "i4"),  # dashing or being knocked back: cannot act, vx/vy are fixed
    ("reveal_until", "i4"),  # seen even inside brush (it attacked from there)
    ("target", "i2"),  # creep, structure: unit under attack; hero: unit of the attack order
    ("last_hero", "i2"),  # enemy hero that damaged it in this tick (earns the last hit), else -1
    ("burn_hero", "i2"),  # who lit the burn
    ("kind", "u1"),  # KIND_*
    ("team", "u1"),
    ("alive", "u1"),
    ("visible", "u1"),  # bit t: team t sees it
    ("lane", "u1"),
    ("stage", "u1"),  # creep: next waypoint; tower: consecutive hits on one hero
    ("brush", "u1"),  # hero: 1 + index of the brush patch that it stands in, 0 none
    ("engaged", "u1"),  # creep: stands in range of its target
]

_HERO: Final = [
    ("mana", "f4"),
    ("max_mana", "f4"),
    ("facing_x", "f4"),  # unit vector of the last movement, attack or cast
    ("facing_y", "f4"),
    ("ability", "f4"),  # ability power
    ("attack_range", "f4"),  # [m], edge of the target included by its radius
    ("attack_interval", "f4"),  # [ticks]
    ("move_speed", "f4"),  # [m/s] before slow and haste
    ("lifesteal", "f4"),  # fraction of basic-attack damage
    ("haste_items", "f4"),  # cooldown reduction, fraction
    ("hp_regen", "f4"),  # [hp/s]
    ("mana_regen", "f4"),  # [mana/s]
    ("shield", "f4"),  # hit points of the shield while tick < shield_until
    ("pending_heal", "f4"),
    ("haste", "f4"),  # fractions of the four buffs, each while tick < its _until
    ("might", "f4"),
    ("frenzy", "f4"),
    ("guard", "f4"),
    ("xp", "f4"),  # total experience of the episode
    ("gold", "f4"),  # in the purse
    ("last_seen_x", "f4"),  # where the enemy team last saw it
    ("last_seen_y", "f4"),
    # Counters of the episode (grow only).
    ("gold_earned", "f4"),
    ("xp_earned", "f4"),
    ("damage_to_heroes", "f4"),  # after armour, before shields and guard
    ("damage_to_creeps", "f4"),
    ("damage_to_structures", "f4"),
    ("damage_taken", "f4"),  # hit points lost
    ("heal_done", "f4"),  # hit points restored by skills, lifesteal and auras, to whomever
    ("mana_spent", "f4"),
    ("kills", "i4"),
    ("deaths", "i4"),
    ("assists", "i4"),
    ("last_hits", "i4"),
    ("towers", "i4"),  # towers and crystals that it dealt the last blow to
    ("skills_cast", "i4"),
    ("skills_hit", "i4"),  # enemy heroes reached by its skills
    ("shield_until", "i4"),
    ("silence_until", "i4"),
    ("haste_until", "i4"),
    ("might_until", "i4"),
    ("frenzy_until", "i4"),
    ("guard_until", "i4"),
    ("respawn_at", "i4"),  # tick of the return to life; meaningful while dead
    ("recall_at", "i4"),  # tick at which the recall channel ends; 0 if not channelling
    ("windup_at", "i4"),  # tick at which the wound-up basic attack lands; 0 if none
    ("combat_until", "i4"),  # damaged or damaging an enemy hero, tower or creep recently
    ("aggro_until", "i4"),  # damaged an enemy hero recently: draws creeps and towers
    ("last_seen_tick", "i4"),
    ("cooldown_ready", "i4", (NUM_SKILLS,)),
    ("passive_count", "i2"),  # nth_hit: hits so far; spell_strike: 1 if loaded
    ("aggro_victim", "i2"),  # the enemy hero that it damaged last
    ("creep_slots", "i2", (NUM_CREEP_TARGETS,)),  # unit ids of nearest visible enemy creeps, or -1
    ("order_target", "i2"),  # unit id of the standing order's target, -1 none
    ("hero", "u1"),  # index of the hero in the tables
    ("level", "u1"),  # 1..15
    ("order", "u1"),  # BUTTON_* in force during this decision
    ("order_move", "u1"),  # world-frame direction index
    ("order_direction", "u1"),  # world-frame direction index
    ("order_distance", "u1"),
    ("num_items", "u1"),
    ("build_next", "u1"),  # index of the next item of the build order
    ("items", "u1", (ITEM_SLOTS,)),  # 1 + item index, 0 empty
]


@dataclass(frozen=True)
class GameShape:
    """Sizes that fix the layout of a game record.

    Raises:
        ValueError: If a size is outside its range.
    """

    team_size: int = 1
    """Heroes of each team, 1 to 5."""
    num_lanes: int = 1
    """Lanes of the map, 1 to 3."""
    structures_per_team: int = 2
    """Towers and the crystal of each team, 2 to 12."""
    num_items: int = 12
    """Items of the shop: the target head must be able to name each."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        limits = {
            "team_size": (1, 5),
            "num_lanes": (1, 3),
            "structures_per_team": (2, 12),
            "num_items": (1, 32),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} must be from {low} to {high}, got {value}")

    @property
    def num_heroes(self) -> int:
        """Heroes of both teams; also the number of agents."""
        return 2 * self.team_size

    @property
    def creep_start(self) -> int:
        """First unit id of the creep slots."""
        return self.num_heroes

    @property
    def num_creeps(self) -> int:
        """Creep slots of both teams."""
        return 2 * self.num_lanes * CREEPS_PER_LANE

    @property
    def structure_start(self) -> int:
        """First unit id of the structures."""
        return self.creep_start + self.num_creeps

    @property
    def num_units(self) -> int:
        """Length of the unit array."""
        return self.structure_start + 2 * self.structures_per_team

    @property
    def num_unit_targets(self) -> int:
        """Target slots that name units: heroes, nearest creeps, enemy structures."""
        return self.num_heroes + NUM_CREEP_TARGETS + self.structures_per_team

    @property
    def num_targets(self) -> int:
        """Width of the target head: unit slots, or items if they are more."""
        return max(self.num_unit_targets, self.num_items)

    @property
    def action_sizes(self) -> tuple[int, int, int, int, int]:
        """Widths of the five action heads."""
        return (NUM_BUTTONS, NUM_DIRECTIONS, NUM_DIRECTIONS, NUM_DISTANCES, self.num_targets)


def unit_dtype() -> np.dtype[Any]:
    """Return the dtype of one unit (hero, creep or structure)."""
    return np.dtype(_UNIT, align=True)


def hero_dtype(team_size: int) -> np.dtype[Any]:
    """Return the dtype of what only heroes have.

    Args:
        team_size: Heroes a team; `hit_by[j]` is the tick at which enemy hero `j` (counted within
            its team) last damaged this one.
    """
    return np.dtype([*_HERO, ("hit_by", "i4", (team_size,))], align=True)


def projectile_dtype(num_mobile: int) -> np.dtype[Any]:
    """Return the dtype of one projectile.

    Args:
        num_mobile: Heroes and creep slots of the game, for the mask of units already hit.
    """
    return np.dtype(
        [
            ("x", "f4"),
            ("y", "f4"),
            ("vx", "f4"),  # [m/tick]; for homing ones the last displacement
            ("vy", "f4"),
            ("speed", "f4"),  # [m/tick]
            ("damage", "f4"),  # of a basic attack, before resistances; skills use their effects
            ("until", "i4"),  # skill-shot: tick of expiry
            ("hit_mask", "i8", ((num_mobile + 63) // 64,)),  # units that a piercing shot has hit
            ("source", "i2"),  # unit id
            ("target", "i2"),  # homing: unit id; skill-shot: -1
            ("skill", "i1"),  # 0..2, or -1 for a basic attack
            ("bonus", "u1"),  # basic attack of a hero: 1 if the passive's bonus is on it
            ("alive", "u1"),
        ],
        align=True,
    )


def zone_dtype() -> np.dtype[Any]:
    """Return the dtype of one area effect, delayed or lasting."""
    return np.dtype(
        [
            ("x", "f4"),
            ("y", "f4"),
            ("radius", "f4"),
            ("next", "i4"),  # tick of the next pulse
            ("until", "i4"),  # last tick at which it may pulse
            ("period", "i4"),  # ticks between pulses
            ("source", "i2"),  # hero
            ("follow", "i2"),  # unit id whose position the zone takes, -1 fixed
            ("skill", "i1"),
            ("alive", "u1"),
        ],
        align=True,
    )


def game_dtype(shape: GameShape) -> np.dtype[Any]:
    """Return the dtype of one whole game.

    Fields beside the unit, hero, projectile and zone arrays: `rng` (32-bit state in an int64),
    `seed`, `tick`, `wave` (waves spawned so far), `next_wave` (tick), `winner` (team, −1 none),
    `done` (RUNNING, TERMINATED, TRUNCATED), `relic_ready[2]` (tick from which the relic is there),
    `creep_top[team, lane]`, `fallen[team]` (structures lost), `shots[team]` and `areas[team]` (how
    far into the team's half live projectiles and zones may stand: with `half` the length of a half,
    iterate over `team * half .. team * half + shots[team] - 1`).

    Args:
        shape: Sizes of the game.
    """
    num_mobile = shape.num_heroes + shape.num_creeps
    return np.dtype(
        [
            ("units", unit_dtype(), (shape.num_units,)),
            ("heroes", hero_dtype(shape.team_size), (shape.num_heroes,)),
            (
                "projectiles",
                projectile_dtype(num_mobile),
                (shape.num_heroes * PROJECTILES_PER_HERO,),
            ),
            ("zones", zone_dtype(), (shape.num_heroes * ZONES_PER_HERO,)),
            ("rng", "i8"),
            ("seed", "i8"),
            ("tick", "i4"),
            ("wave", "i4"),
            ("next_wave", "i4"),
            ("relic_ready", "i4", (NUM_RELICS,)),
            ("creep_top", "i2", (2, shape.num_lanes)),
            ("fallen", "i2", (2,)),
            ("shots", "i2", (2,)),
            ("areas", "i2", (2,)),
            ("winner", "i1"),
            ("done", "u1"),
        ],
        align=True,
    )


@njit(cache=True, nogil=True)
def creep_begin(game: Any, team: int, lane: int) -> int:
    """Return the unit id of the first creep slot of a team in a lane."""
    return game.heroes.shape[0] + (team * game.creep_top.shape[1] + lane) * CREEPS_PER_LANE


@njit(cache=True, nogil=True)
def structure_begin(game: Any, team: int) -> int:
    """Return the unit id of the first structure of a team; its last one is the crystal."""
    start = game.heroes.shape[0] + 2 * game.creep_top.shape[1] * CREEPS_PER_LANE
    return start + team * ((game.units.shape[0] - start) // 2)


@njit(cache=True, nogil=True)
def structures_per_team(game: Any) -> int:
    """Return the number of towers and crystals of one team."""
    start = game.heroes.shape[0] + 2 * game.creep_top.shape[1] * CREEPS_PER_LANE
    return (game.units.shape[0] - start) // 2


@njit(cache=True, nogil=True)
def team_size(game: Any) -> int:
    """Return the number of heroes of one team."""
    return game.heroes.shape[0] // 2
