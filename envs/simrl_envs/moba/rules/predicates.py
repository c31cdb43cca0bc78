"""What a hero may do now: the same answers for the rules and for the action masks."""

from typing import Any

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.geometry import is_seen, within
from simrl_envs.moba.rules.kernel import kernel, real, whole


@kernel
def can_act(game: Any, hero: int) -> bool:
    """Say whether a hero is alive, not stunned and not being moved by force."""
    unit = game.units[hero]
    return unit.alive != 0 and game.tick >= unit.stun_until and game.tick >= unit.forced_until


@kernel
def can_move(game: Any, hero: int) -> bool:
    """Say whether a move order does anything."""
    return can_act(game, hero)


@kernel
def is_vulnerable(game: Any, table: Any, unit: int) -> bool:
    """Say whether a structure can be damaged; heroes and creeps always can.

    A tower can once the towers before it in its lane are down, a crystal once all towers of some
    lane are.
    """
    kind = game.units[unit].kind
    if kind < rec.KIND_TOWER:
        return True
    count = rec.structures_per_team(game)
    begin = rec.structure_begin(game, whole(game.units[unit].team))
    own = table.structures[unit - begin]
    if kind == rec.KIND_TOWER:
        for k in range(count - 1):
            other = table.structures[k]
            before = other.lane == own.lane and other.tier < own.tier
            if before and game.units[begin + k].alive != 0:
                return False
        return True
    for lane in range(game.creep_top.shape[1]):
        is_open = True
        for k in range(count - 1):
            if table.structures[k].lane == lane and game.units[begin + k].alive != 0:
                is_open = False
        if is_open:
            return True
    return False


@kernel
def can_attack_unit(game: Any, table: Any, hero: int, unit: int) -> bool:
    """Say whether an attack order on a unit is legal: a visible living enemy that can be hurt."""
    if unit < 0 or not can_act(game, hero):
        return False
    team = game.units[hero].team
    other = game.units[unit]
    return other.team != team and is_seen(other, team) and is_vulnerable(game, table, unit)


@kernel
def skill_rank(table: Any, level: int) -> int:
    """Return the rank of all skills at a level, from 1."""
    return 1 + whole(level) // table.rank_every


@kernel
def skill_mana(game: Any, table: Any, hero: int, skill: int) -> float:
    """Return the mana that a skill costs the hero now."""
    me = game.heroes[hero]
    data = table.heroes[me.hero].skills[skill]
    return data.mana + data.mana_per_rank * (skill_rank(table, me.level) - 1)


@kernel
def skill_cooldown(game: Any, table: Any, hero: int, skill: int) -> int:
    """Return the cooldown [ticks] that a cast starts now."""
    me = game.heroes[hero]
    data = table.heroes[me.hero].skills[skill]
    ticks = data.cooldown - data.cooldown_per_rank * (skill_rank(table, me.level) - 1)
    return max(1, whole(ticks * (1.0 - me.haste_items)))


@kernel
def can_cast(game: Any, table: Any, hero: int, skill: int) -> bool:
    """Say whether a skill is ready: able to act, not silenced, cooled down, enough mana.

    A skill with aim target also needs a unit for which `can_cast_at` holds.
    """
    me = game.heroes[hero]
    if not can_act(game, hero) or game.tick < me.silence_until:
        return False
    ready = game.tick >= me.cooldown_ready[skill]
    return ready and me.mana >= skill_mana(game, table, hero, skill)


@kernel
def can_cast_at(game: Any, table: Any, hero: int, skill: int, unit: int) -> bool:
    """Say whether a unit is a legal target of a skill with aim target.

    It must be a living hero or creep of the skill's side (allies: heroes, oneself included), seen,
    with its edge within the skill's range. Whether the skill is ready is `can_cast`'s answer.
    """
    if unit < 0:
        return False
    me = game.units[hero]
    other = game.units[unit]
    data = table.heroes[game.heroes[hero].hero].skills[skill]
    if other.kind >= rec.KIND_TOWER or not is_seen(other, me.team):
        return False
    if data.side == rec.SIDE_ENEMY:
        if other.team == me.team:
            return False
    elif other.team != me.team or other.kind != rec.KIND_HERO:
        return False
    return within(game, table, hero, unit, real(data.range))


@kernel
def at_fountain(game: Any, table: Any, hero: int, team: int) -> bool:
    """Say whether a hero stands within the fountain of a team."""
    sign = 1.0 if team == rec.BLUE else -1.0
    dx = game.units[hero].x - sign * table.fountain[0]
    dy = game.units[hero].y - sign * table.fountain[1]
    return dx * dx + dy * dy <= table.fountain_radius * table.fountain_radius


@kernel
def can_recall(game: Any, table: Any, hero: int) -> bool:
    """Say whether a hero may channel the recall: able to act and not at its fountain."""
    return can_act(game, hero) and not at_fountain(game, table, hero, whole(game.units[hero].team))


@kernel
def can_shop(game: Any, table: Any, hero: int) -> bool:
    """Say whether a hero may buy at all: dead or at its fountain, with a free item slot."""
    if game.heroes[hero].num_items >= rec.ITEM_SLOTS:
        return False
    unit = game.units[hero]
    return unit.alive == 0 or at_fountain(game, table, hero, whole(unit.team))


@kernel
def can_buy(game: Any, table: Any, hero: int, item: int) -> bool:
    """Say whether the buy button is legal for an item (never, if heroes buy by rule)."""
    if table.agent_buys == 0 or item < 0 or item >= table.num_items:
        return False
    if game.units[hero].alive == 0:
        return False
    return game.heroes[hero].gold >= table.items[item].price and can_shop(game, table, hero)
