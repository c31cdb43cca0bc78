"""The lowest rung: a legal action drawn at random from the mask.

The button is uniform over the legal ones, then each head that counts for it over its legal values.
"""

from typing import Any, Final

from simrl_envs.moba.bots.orders import uniform
from simrl_envs.moba.records import NUM_BUTTONS, NUM_HEADS
from simrl_envs.moba.rules.kernel import kernel

_DRAWS: Final = 8  # random numbers set aside for one action; at least one a head


@kernel
def _pick(mask: Any, start: int, size: int, draw: float) -> int:
    """Return the index of a legal value among `mask[start : start + size]`; 0 if none is legal."""
    count = 0
    for value in range(size):
        count += mask[start + value]
    left = int(draw * count)
    for value in range(size):
        if mask[start + value]:
            if left == 0:
                return value
            left -= 1
    return 0


@kernel
def act_random_legal(masks: Any, sizes: Any, seed: int, offsets: Any, actions: Any) -> None:
    """Draw a legal action for each row.

    Args:
        masks: Legal-action masks `[rows, M]` bool; the last head's part depends on the button.
        sizes: Widths of the five heads, int64 `[5]`.
        seed: Seed of this call.
        offsets: int64 `[rows]`; a row's draws depend on `seed` and its offset alone.
        actions: Where to write, int64 `[rows, 5]`.
    """
    plain = 0
    for head in range(NUM_HEADS - 1):
        plain += sizes[head]
    used = plain + NUM_BUTTONS * sizes[NUM_HEADS - 1]
    for row in range(masks.shape[0]):
        mask = masks[row]
        first = offsets[row] * _DRAWS
        button = _pick(mask, 0, NUM_BUTTONS, uniform(seed, first))
        actions[row, 0] = button
        start = NUM_BUTTONS
        for head in range(1, NUM_HEADS):
            value = 0
            if mask[used + button * NUM_HEADS + head]:
                begin = start
                if head == NUM_HEADS - 1:
                    begin = plain + button * sizes[head]
                value = _pick(mask, begin, sizes[head], uniform(seed, first + head))
            actions[row, head] = value
            start += sizes[head]
