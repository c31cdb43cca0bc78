"""A game on a bench: tests place units, give orders by name and look at the record."""

import numpy as np
import pytest

from simrl_envs.moba import records as rec
from simrl_envs.moba.rules import reset_game, step_games
from simrl_envs.moba.rules.step import refresh_views
from simrl_envs.moba.tables import load_tables

NEVER = 1_000_000


class Match:
    """One game with writable tables; waves are off unless asked for."""

    def __init__(self, heroes, map_name="1v1", waves=False, seed=1, **options):
        self.tables = load_tables(map=map_name, **options)
        self.record = self.tables.record.copy()
        self.table = self.record[0]
        self.shape = self.tables.shape
        self.games = self.tables.new_games(1)
        ids = np.array([self.tables.hero_id(name) for name in heroes])
        reset_game(self.games, self.record, 0, seed, ids)
        self.game = self.games[0]
        if not waves:
            self.game["next_wave"] = NEVER

    def unit(self, i):
        return self.games["units"][0, i]

    def hero(self, i):
        return self.games["heroes"][0, i]

    def base(self, i):
        return self.table["heroes"][self.hero(i)["hero"]]

    @property
    def tick(self):
        return int(self.game["tick"])

    def tower(self, team):
        return self.shape.structure_start + team * self.shape.structures_per_team

    def crystal(self, team):
        return self.tower(team) + self.shape.structures_per_team - 1

    def place(self, i, x, y=0.0, **fields):
        unit = self.unit(i)
        unit["x"], unit["y"] = x, y
        for name, value in fields.items():
            unit[name] = value
        refresh_views(self.game_record(), self.record[0])

    def game_record(self):
        return self.games[0]

    def add_creep(self, team, x, y=0.0, kind=rec.KIND_MELEE, **fields):
        """Put an idle creep (it never attacks) into the next slot of lane 0 and return its id."""
        top = int(self.games["creep_top"][0, team, 0])
        i = rec.creep_begin(self.game_record(), team, 0) + top
        self.games["creep_top"][0, team, 0] = top + 1
        data = self.table["kinds"][kind]
        unit = self.unit(i)
        unit["kind"], unit["team"], unit["alive"], unit["stage"] = kind, team, 1, 1
        unit["hp"] = unit["max_hp"] = data["hp"]
        unit["attack"] = data["attack"]
        unit["armour"] = data["armour"]
        unit["target"] = unit["last_hero"] = unit["burn_hero"] = -1
        unit["attack_ready"] = 0
        unit["stun_until"] = NEVER
        for name, value in fields.items():
            unit[name] = value
        self.place(i, x, y)
        return i

    def slot_of(self, agent, unit):
        """Return the target slot of an agent that names a unit."""
        size = self.shape.team_size
        team = agent // size
        if unit < self.shape.num_heroes:
            if unit // size == team:
                return (unit - agent) % size
            return size + unit % size
        if unit >= self.shape.structure_start:
            return 2 * size + rec.NUM_CREEP_TARGETS + unit - self.tower(1 - team)
        return 2 * size + list(self.hero(agent)["creep_slots"]).index(unit)

    def step(self, orders=None, times=1):
        """Play decisions; `orders` maps agents to (button, move, direction, distance, target)."""
        actions = np.zeros((1, self.shape.num_heroes, 5), np.int64)
        for agent, order in (orders or {}).items():
            actions[0, agent, : len(order)] = order
        for _ in range(times):
            step_games(self.games, self.record, actions, 0, 1)

    def attack(self, agent, unit, times=1):
        for _ in range(times):
            self.step({agent: (rec.BUTTON_ATTACK, 0, 0, 0, self.slot_of(agent, unit))})

    def cast(self, agent, skill, direction=0, distance=3, unit=None):
        target = 0 if unit is None else self.slot_of(agent, unit)
        self.step({agent: (rec.BUTTON_SKILL + skill, 0, direction, distance, target)})


@pytest.fixture
def match():
    return Match
