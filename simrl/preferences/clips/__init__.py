"""Clips of play: recorded, stored by the hash of their content, drawn as videos and pages."""

from simrl.preferences.clips.clip import (
    Clip,
    check_clip_id,
    clip_from_bytes,
    config_hash_of,
    read_clip,
)
from simrl.preferences.clips.library import ClipLibrary, segments_of

__all__ = [
    "Clip",
    "ClipLibrary",
    "check_clip_id",
    "clip_from_bytes",
    "config_hash_of",
    "read_clip",
    "segments_of",
]
