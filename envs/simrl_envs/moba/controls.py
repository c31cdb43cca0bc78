"""Let a person play a hero with mouse and keyboard, seeing what the hero's team sees.

A click is an order that stands until it is done: walk to a point, or attack a unit.  Skills are
cast at once, at what is under the pointer.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from simrl.core.controls import PersonInput
from simrl.core.env import VecEnv
from simrl.core.timestep import Obs
from simrl_envs.moba import records as rec
from simrl_envs.moba.bots.orders import ROUNDED, direction_of
from simrl_envs.moba.config import MobaConfig, config_tables
from simrl_envs.moba.mask import action_spec
from simrl_envs.moba.render import field_point, render
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.targets import target_of_slot

PICK: Final = 2.0
"""How near to a unit a click must be to mean it [m]."""
ARRIVED: Final = 0.5
"""How near to its goal a walk ends [m]."""
SKILL_KEYS: Final = ("q", "w", "e")
NUMBERS: Final = ("1", "2", "3", "4", "5", "6", "7", "8", "9")

Point = tuple[float, float]


class MobaControls:
    """Turn clicks and keys into the orders of one hero."""

    reads = frozenset({"action_mask", "state"})

    def __init__(self, config: MobaConfig) -> None:
        self.tables = config_tables(config)
        self._dtype = rec.game_dtype(self.tables.shape)
        self._spec = action_spec(self.tables)
        self._places = np.zeros((self.tables.shape.num_targets, 3))
        self._goal: Point | None = None
        self._victim = -1
        self._camera: Point | None = None
        keys = [
            ("mouse-left mouse-right", "walk here, or attack the enemy under the pointer"),
            *((key, f"skill {n}, at the pointer") for n, key in enumerate(SKILL_KEYS, 1)),
            ("a", "attack the enemy nearest to the pointer"),
            ("b", "go back to the fountain"),
            ("s", "stop"),
        ]
        if config.agent_buys:
            keys.append((" ".join(NUMBERS), "buy this item of those that can be had now"))
        self.keys = tuple(keys)

    def reset(self) -> None:
        """Forget where to walk to and whom to attack."""
        self._goal, self._victim = None, -1

    def picture(self, env: VecEnv, seat: int) -> np.ndarray:
        """Draw the surroundings of the hero, the rest of the field under its team's fog."""
        games = getattr(env, "games", None)
        if games is None:
            raise ValueError(f"the MOBA's controls draw MobaEnv, got {type(env).__name__}")
        unit = games[0]["units"][seat]
        self._camera = (float(unit["x"]), float(unit["y"]))
        return render(games[0], self.tables, team=int(unit["team"]), seat=seat)

    def action(self, obs: Obs, seat: int, given: PersonInput) -> Tensor | None:
        """Return the order of this decision `[5]`; it is never waited for."""
        game = obs["state"].numpy().view(self._dtype)
        mask = obs["action_mask"]
        _slot_places(game, seat, self._places)
        aim = None if given.pointer is None else self._point(given.pointer)
        self._listen(mask, given, aim)
        # The newest key that can be obeyed now counts.
        for key in reversed(given.pressed):
            order = self._cast(game[0], seat, mask, key, aim)
            if order is not None:
                return order
        return self._standing(game[0], seat, mask)

    def _point(self, place: Point) -> Point:
        return field_point(self.tables, place, camera=self._camera)

    def _listen(self, mask: Tensor, given: PersonInput, aim: Point | None) -> None:
        """Change the standing orders by clicks, held buttons and keys."""
        for click in given.clicks:
            self._order_at(mask, self._point((click.x, click.y)), PICK)
        drags = bool(given.held & {"mouse-left", "mouse-right"}) and not given.clicks
        if drags and aim is not None and self._goal is not None:
            self._goal = aim
        if "a" in given.pressed and aim is not None:
            self._order_at(mask, aim, np.inf)
        if "s" in given.pressed or "b" in given.pressed:
            self.reset()

    def _order_at(self, mask: Tensor, point: Point, reach: float) -> None:
        """Attack the enemy within `reach` of a point, or walk there."""
        slot = self._nearest(mask, rec.BUTTON_ATTACK, point, reach)
        if slot >= 0:
            self._goal, self._victim = None, int(self._places[slot, 0])
        elif np.isfinite(reach):
            self._goal, self._victim = point, -1

    def _cast(
        self, game: Any, seat: int, mask: Tensor, key: str, aim: Point | None
    ) -> Tensor | None:
        """Return the order of one key, if it has one that is legal now."""
        if key == "b" and bool(mask[rec.BUTTON_RECALL]):
            return _order(rec.BUTTON_RECALL)
        if key in NUMBERS and bool(mask[rec.BUTTON_BUY]):
            items = self._legal_targets(mask, rec.BUTTON_BUY).nonzero().flatten().tolist()
            if NUMBERS.index(key) < len(items):
                return _order(rec.BUTTON_BUY, target=items[NUMBERS.index(key)])
        if key not in SKILL_KEYS:
            return None
        skill = SKILL_KEYS.index(key)
        button = rec.BUTTON_SKILL + skill
        if not bool(mask[button]):
            return None
        return self._aimed(game, seat, mask, skill, aim)

    def _aimed(
        self, game: Any, seat: int, mask: Tensor, skill: int, aim: Point | None
    ) -> Tensor | None:
        button = rec.BUTTON_SKILL + skill
        unit, hero = game["units"][seat], game["heroes"][seat]
        data = self.tables.record[0]["heroes"][hero["hero"]]["skills"][skill]
        here = (float(unit["x"]), float(unit["y"]))
        if data["aim"] == rec.AIM_SELF:
            return _order(button)
        if data["aim"] == rec.AIM_TARGET:
            slot = self._nearest(mask, button, aim or here, np.inf)
            return None if slot < 0 else _order(button, target=slot)
        if aim is None:  # nothing is pointed at: towards the nearest enemy, or straight ahead
            slot = self._nearest(mask, rec.BUTTON_ATTACK, here, np.inf)
            ahead = (here[0] + 1.0 - 2.0 * (seat >= self.tables.shape.team_size), here[1])
            aim = ahead if slot < 0 else (self._places[slot, 1], self._places[slot, 2])
        gap = (aim[0] - here[0], aim[1] - here[1])
        distance = 0
        if data["aim"] == rec.AIM_POINT:
            quarter = round(float(np.hypot(*gap)) / float(data["range"]) * rec.NUM_DISTANCES) - 1
            distance = min(max(quarter, 0), rec.NUM_DISTANCES - 1)
        return _order(button, direction=self._direction(gap, unit), distance=distance)

    def _standing(self, game: Any, seat: int, mask: Tensor) -> Tensor:
        """Go on with the order that stands, or end it."""
        unit = game["units"][seat]
        if self._victim >= 0:
            legal = self._legal_targets(mask, rec.BUTTON_ATTACK).numpy()
            slots = np.flatnonzero(legal & (self._places[:, 0] == self._victim))
            if bool(mask[rec.BUTTON_ATTACK]) and len(slots):
                return _order(rec.BUTTON_ATTACK, target=int(slots[0]))
            other = game["units"][self._victim]
            if not (other["alive"] and other["visible"] & (1 << int(unit["team"]))):
                self._victim = -1
        if self._goal is not None:
            gap = (self._goal[0] - float(unit["x"]), self._goal[1] - float(unit["y"]))
            if np.hypot(*gap) < ARRIVED:
                self._goal = None
            elif bool(mask[rec.BUTTON_MOVE]):
                return _order(rec.BUTTON_MOVE, move=self._direction(gap, unit))
        return _order(rec.BUTTON_NONE)

    def _direction(self, gap: Point, unit: Any) -> int:
        return int(direction_of(gap[0], gap[1], int(unit["team"]), ROUNDED))

    def _nearest(self, mask: Tensor, button: int, point: Point, reach: float) -> int:
        """Return the legal target slot nearest to a point, or -1 if none is within `reach` [m]."""
        if not bool(mask[button]):
            return -1
        gaps = np.hypot(self._places[:, 1] - point[0], self._places[:, 2] - point[1])
        gaps[~self._legal_targets(mask, button).numpy()] = np.inf
        slot = int(gaps.argmin())
        return slot if np.isfinite(gaps[slot]) and gaps[slot] <= reach else -1

    def _legal_targets(self, mask: Tensor, button: int) -> Tensor:
        return self._spec.head_mask(mask, rec.HEAD_TARGET, torch.tensor(button))


def _order(
    button: int, *, move: int = 0, direction: int = 0, distance: int = 0, target: int = 0
) -> Tensor:
    return torch.tensor([button, move, direction, distance, target])


@kernel
def _slot_places(games: Any, seat: int, out: Any) -> None:
    """Write unit id, x and y of what each target slot names into `out` `[slots, 3]`; -1 if none."""
    game = games[0]
    for slot in range(out.shape[0]):
        unit = target_of_slot(game, seat, slot)
        out[slot, 0] = unit
        out[slot, 1] = 0.0
        out[slot, 2] = 0.0
        if unit >= 0:
            out[slot, 1] = game.units[unit].x
            out[slot, 2] = game.units[unit].y
