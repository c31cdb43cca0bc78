"""The rules of the game as kernels over game records; they know nothing of torch or rewards.

`games` is an array of `game_dtype`, `tables` is `Tables.record` (shape [1]). `reset_game` begins a
game in a row, `step_games` plays one decision of a range of rows. Within kernels of other modules,
with `game = games[row]` and `table = tables[0]`, the predicates say what is legal and
`target_of_slot` says what a slot of the target head names.
"""

from simrl_envs.moba.rules.effects import effect_size, mitigated, structure_factor
from simrl_envs.moba.rules.geometry import (
    direction_vector,
    distance_squared,
    is_seen,
    random_unit,
    within,
    world_direction,
)
from simrl_envs.moba.rules.growth import refresh_stats
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import (
    at_fountain,
    can_act,
    can_attack_unit,
    can_buy,
    can_cast,
    can_cast_at,
    can_move,
    can_recall,
    can_shop,
    is_vulnerable,
    skill_cooldown,
    skill_mana,
    skill_rank,
)
from simrl_envs.moba.rules.step import refresh_views, reset_game, step_game, step_games
from simrl_envs.moba.rules.targets import fill_creep_slots, target_of_slot, update_sight

__all__ = [
    "at_fountain",
    "can_act",
    "can_attack_unit",
    "can_buy",
    "can_cast",
    "can_cast_at",
    "can_move",
    "can_recall",
    "can_shop",
    "direction_vector",
    "distance_squared",
    "effect_size",
    "fill_creep_slots",
    "is_seen",
    "is_vulnerable",
    "kernel",
    "mitigated",
    "random_unit",
    "refresh_stats",
    "refresh_views",
    "reset_game",
    "skill_cooldown",
    "skill_mana",
    "skill_rank",
    "step_game",
    "step_games",
    "structure_factor",
    "target_of_slot",
    "update_sight",
    "within",
    "world_direction",
]
