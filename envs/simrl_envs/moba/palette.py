"""The colours of the game, shared by the pictures and the replay page.

The two sides differ in lightness as well as in hue, and kinds of unit differ in shape, so nothing
is told by colour alone.
"""

from __future__ import annotations

from typing import Final

GROUND: Final = "#24322e"
GROUND_EDGE: Final = "#1a2523"
LANE: Final = "#3b4a41"
BRUSH: Final = "#2f6144"
FOUNTAIN: Final = "#2b3d48"
RELIC: Final = "#7ddc96"
FOG: Final = "#0c1116"
PANEL: Final = "#141a21"
TEXT: Final = "#e8ecf1"
MUTED: Final = "#9aa7b4"
TEAM: Final = ("#6db3ff", "#ff8a73")
TEAM_DARK: Final = ("#1f4f86", "#8a3326")
TEAM_NAMES: Final = ("Blue", "Red")
HP: Final = "#67d08b"
HP_BACK: Final = "#0d1216"
MANA: Final = "#5b8df0"
GOLD: Final = "#f0c356"
XP: Final = "#b79cf2"
STATUS: Final = {
    "stun": "#ffe066",
    "slow": "#9fd8ff",
    "silence": "#d79bff",
    "burn": "#ff9b42",
    "shield": "#ffffff",
    "haste": "#a6f0c6",
    "might": "#ff7f9e",
    "frenzy": "#ffb86b",
    "guard": "#cfd8e3",
    "recall": "#8fc7ff",
}


def rgb(color: str) -> tuple[int, int, int]:
    """Return `#rrggbb` as three numbers from 0 to 255."""
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


def rgba(color: str, opacity: float) -> tuple[int, int, int, int]:
    """Return `#rrggbb` with an opacity from 0 to 1 as four numbers from 0 to 255."""
    return (*rgb(color), round(255 * opacity))
