"""The rules of the game as kernels over game records; they know nothing of torch or rewards.

`games` is an array of `game_dtype`, `tables` is `Tables.record` (shape [1]):

- `reset_game(games, tables, row, seed, hero_ids)`: begin a game in one row.
- `step_games(games, tables, actions, first, last)`: play one decision (`decision_ticks` ticks) of
  rows `first .. last-1` with int64 `actions[N, A, 5]`; finished games stay as they are.

Inside kernels, with `game = games[row]` and `table = tables[0]`:

- `can_move(game, hero)`, `can_attack_unit(game, table, hero, unit)`, `can_cast(game, table, hero,
  skill)` (whether the button is legal at all), `can_cast_at(game, table, hero, skill, unit)` (a
  target of a skill with aim target), `can_recall(game, table, hero)`,
  `can_buy(game, table, hero, item)`.
- `target_of_slot(game, hero, slot)`: unit id of a slot of the target head, −1 if it is empty.
- `hero_of_slot`, `skill_damage`... see the modules `predicates`, `targets`.
"""
