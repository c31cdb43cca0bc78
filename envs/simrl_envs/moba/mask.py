"""What an agent may do: the action spec, the kernel that writes legal masks, and two readers of it.

An action is `[button, move, skill_dir, skill_dist, target]`; which heads count depends on the
button and, for skills, on how the hero's skill is aimed. Directions are in the agent's own frame
(for red, turned by 180°). What a value of the target head names is `rules.target_of_slot`; for the
button "buy" it is an item.
"""

from typing import Any, Final

import numpy as np

from simrl.core import DiscreteActions, Head
from simrl_envs.moba import records as rec
from simrl_envs.moba.rules.kernel import kernel
from simrl_envs.moba.rules.predicates import (
    can_attack_unit,
    can_buy,
    can_cast,
    can_cast_at,
    can_move,
    can_recall,
)
from simrl_envs.moba.rules.targets import target_of_slot
from simrl_envs.moba.tables import Tables

_SINGLE: Final = 2 * rec.NUM_DIRECTIONS + rec.NUM_DISTANCES + rec.NUM_BUTTONS  # before the targets
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)


def action_spec(tables: Tables) -> DiscreteActions:
    """Describe the five heads of an action, with readable names of their values."""
    shape = tables.shape
    compass = tuple(f"{360 * d // rec.NUM_DIRECTIONS} deg" for d in range(rec.NUM_DIRECTIONS))
    distances = tuple(f"{(d + 1) / rec.NUM_DISTANCES:.0%}" for d in range(rec.NUM_DISTANCES))
    targets = (
        "self",
        *(f"ally {i}" for i in range(1, shape.team_size)),
        *(f"enemy {i}" for i in range(shape.team_size)),
        *(f"creep {i}" for i in range(rec.NUM_CREEP_TARGETS)),
        *(f"structure {i}" for i in range(shape.structures_per_team - 1)),
        "crystal",
    )
    targets += tuple(f"item {i}" for i in range(len(targets), shape.num_targets))
    return DiscreteActions(
        heads=(
            Head("button", rec.NUM_BUTTONS, choices=rec.BUTTON_NAMES),
            Head("move", rec.NUM_DIRECTIONS, choices=compass),
            Head("skill_dir", rec.NUM_DIRECTIONS, choices=compass),
            Head("skill_dist", rec.NUM_DISTANCES, choices=distances),
            Head("target", shape.num_targets, conditional=True, choices=targets),
        ),
        selector="button",
    )


def mask_templates(tables: Tables) -> np.ndarray:
    """Return what of the mask never changes for each hero, bool `[heroes, mask_size]`.

    That is which heads count for each button; and every direction and distance is legal always.
    """
    spec = action_spec(tables)
    table = tables.record[0]
    result = np.zeros((len(tables.heroes), spec.mask_size), np.bool_)
    for head in (rec.HEAD_MOVE, rec.HEAD_DIRECTION, rec.HEAD_DISTANCE):
        result[:, spec.mask_slices[head]] = True
    start = spec.mask_slices[-1].stop
    used = result[:, start:].reshape(-1, rec.NUM_BUTTONS, rec.NUM_HEADS)
    used[:, :, rec.HEAD_BUTTON] = True
    used[:, rec.BUTTON_MOVE, rec.HEAD_MOVE] = True
    used[:, rec.BUTTON_ATTACK, rec.HEAD_TARGET] = True
    used[:, rec.BUTTON_BUY, rec.HEAD_TARGET] = True
    for hero in range(len(tables.heroes)):
        for skill in range(rec.NUM_SKILLS):
            aim = table["heroes"][hero]["skills"][skill]["aim"]
            heads = used[hero, rec.BUTTON_SKILL + skill]
            heads[rec.HEAD_TARGET] = aim == rec.AIM_TARGET
            heads[rec.HEAD_DIRECTION] = aim in (rec.AIM_DIRECTION, rec.AIM_POINT)
            heads[rec.HEAD_DISTANCE] = aim == rec.AIM_POINT
    return result


@kernel
def num_targets(game: Any, table: Any) -> int:
    """Return the width of the target head (`GameShape.num_targets`)."""
    slots = game.heroes.shape[0] + rec.NUM_CREEP_TARGETS + rec.structures_per_team(game)
    return max(slots, table.num_items)


@kernel
def write_mask(game: Any, table: Any, agent: int, templates: Any, width: int, out: Any) -> None:
    """Write the legal mask of one agent into `out`, bool `[mask_size]`.

    Button "none" is legal always; a button that needs a target is legal only if it has one.
    """
    hero = game.heroes[agent]
    out[:] = templates[hero.hero]
    out[rec.BUTTON_NONE] = True
    if not game.units[agent].alive:
        return
    out[rec.BUTTON_MOVE] = can_move(game, agent)
    out[rec.BUTTON_RECALL] = can_recall(game, table, agent)
    first = game.heroes.shape[0] // 2
    slots = game.heroes.shape[0] + rec.NUM_CREEP_TARGETS + rec.structures_per_team(game)
    row = _SINGLE + rec.BUTTON_ATTACK * width
    for slot in range(first, slots):  # the slots before are the agent's own team
        unit = target_of_slot(game, agent, slot)
        if unit >= 0 and can_attack_unit(game, table, agent, unit):
            out[row + slot] = True
            out[rec.BUTTON_ATTACK] = True
    for skill in range(rec.NUM_SKILLS):
        if not can_cast(game, table, agent, skill):
            continue
        button = rec.BUTTON_SKILL + skill
        if table.heroes[hero.hero].skills[skill].aim != rec.AIM_TARGET:
            out[button] = True
            continue
        row = _SINGLE + button * width
        for slot in range(slots):
            unit = target_of_slot(game, agent, slot)
            if unit >= 0 and can_cast_at(game, table, agent, skill, unit):
                out[row + slot] = True
                out[button] = True
    if table.agent_buys:
        row = _SINGLE + rec.BUTTON_BUY * width
        for item in range(table.num_items):
            if can_buy(game, table, agent, item):
                out[row + item] = True
                out[rec.BUTTON_BUY] = True


@kernel
def clean_actions(masks: Any, width: int, actions: Any, out: Any) -> int:
    """Copy actions with the heads that do not count set to zero, and check those that do.

    Args:
        masks: bool `[N, A, mask_size]`.
        width: Width of the target head.
        actions: int64 `[N, A, 5]`, whatever a policy chose.
        out: int64 `[N, A, 5]`, what the rules are given.

    Returns:
        -1 if every action is legal, else the first illegal one as `row * A + agent`.
    """
    used = _SINGLE + rec.NUM_BUTTONS * width
    for row in range(actions.shape[0]):
        for agent in range(actions.shape[1]):
            mask = masks[row, agent]
            action = actions[row, agent]
            button = action[0]
            if button < 0 or button >= rec.NUM_BUTTONS or not mask[button]:
                return row * actions.shape[1] + agent
            out[row, agent, 0] = button
            start = rec.NUM_BUTTONS
            for head in range(1, rec.NUM_HEADS):
                size = rec.NUM_DIRECTIONS
                if head == rec.HEAD_DISTANCE:
                    size = rec.NUM_DISTANCES
                elif head == rec.HEAD_TARGET:
                    size = width
                    start = _SINGLE + button * width
                value = 0
                if mask[used + button * rec.NUM_HEADS + head]:
                    value = action[head]
                    if value < 0 or value >= size or not mask[start + value]:
                        return row * actions.shape[1] + agent
                out[row, agent, head] = value
                start += size
    return -1


@kernel
def zero_unused(games: Any, templates: Any, width: int, actions: Any, out: Any) -> int:
    """Copy actions with the heads that do not count set to zero, whether legal or not.

    Args:
        games: Game records `[N]`.
        templates: `mask_templates(tables)`.
        width: Width of the target head.
        actions: int64 `[N, A, 5]`.
        out: int64 `[N, A, 5]`.

    Returns:
        -1, or the first action with a value out of range as `row * A + agent`.
    """
    used = _SINGLE + rec.NUM_BUTTONS * width
    for row in range(actions.shape[0]):
        for agent in range(actions.shape[1]):
            template = templates[games[row].heroes[agent].hero]
            action = actions[row, agent]
            button = action[0]
            if button < 0 or button >= rec.NUM_BUTTONS:
                return row * actions.shape[1] + agent
            out[row, agent, 0] = button
            for head in range(1, rec.NUM_HEADS):
                size = rec.NUM_DIRECTIONS
                if head == rec.HEAD_DISTANCE:
                    size = rec.NUM_DISTANCES
                elif head == rec.HEAD_TARGET:
                    size = width
                value = action[head]
                if not template[used + button * rec.NUM_HEADS + head]:
                    value = 0
                elif value < 0 or value >= size:
                    return row * actions.shape[1] + agent
                out[row, agent, head] = value
    return -1


@kernel
def random_legal(masks: Any, width: int, seed: Any, out: Any) -> None:
    """Draw a legal action for each row: a button, then a value of each head that counts, uniformly.

    Args:
        masks: bool `[rows, mask_size]`.
        width: Width of the target head.
        seed: Any integer; the same seed and row give the same action for the same mask.
        out: int64 `[rows, 5]`; heads that do not count are 0.
    """
    used = _SINGLE + rec.NUM_BUTTONS * width
    for row in range(masks.shape[0]):
        mask = masks[row]
        state = mix(np.uint64(seed) + np.uint64(row) * _GOLDEN)
        button = _draw(mask, 0, rec.NUM_BUTTONS, state)
        out[row, 0] = button
        start = rec.NUM_BUTTONS
        for head in range(1, rec.NUM_HEADS):
            size = rec.NUM_DIRECTIONS
            if head == rec.HEAD_DISTANCE:
                size = rec.NUM_DISTANCES
            elif head == rec.HEAD_TARGET:
                size = width
                start = _SINGLE + button * width
            out[row, head] = 0
            if mask[used + button * rec.NUM_HEADS + head]:
                state = mix(state + _GOLDEN)
                out[row, head] = _draw(mask, start, size, state)
            start += size


@kernel
def mix(value: Any) -> Any:
    """Scramble 64 bits (the finaliser of splitmix64)."""
    z = np.uint64(value)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _draw(mask: Any, start: int, size: int, state: Any) -> int:
    """Return one of the set positions of `mask[start : start + size]`, counted from `start`."""
    count = 0
    for index in range(start, start + size):
        count += mask[index]
    # The high bits times the count, shifted down: a draw from 0 .. count - 1 without a division.
    rest = np.int64(((state >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32))
    for index in range(start, start + size):
        if mask[index]:
            if rest == 0:
                return index - start
            rest -= 1
    return 0
