"""Clips of play: recorded, stored by the hash of their content, drawn as videos and pages.

library = ClipLibrary("clips")
ids = record_clips(library, "cart-pole", {}, {"random": policy}, count=40, seconds=4, seed=0)
with RenderPool(library) as pool:
    pool.submit(ids)
    pool.wait()
"""

from simrl.preferences.clips.clip import (
    Clip,
    check_clip_id,
    clip_from_bytes,
    config_hash_of,
    read_clip,
)
from simrl.preferences.clips.cut import ClipSource, cut_clip
from simrl.preferences.clips.library import ClipLibrary, segments_of
from simrl.preferences.clips.pool import RenderPool
from simrl.preferences.clips.record import clip_steps, record_clips

__all__ = [
    "Clip",
    "ClipLibrary",
    "ClipSource",
    "RenderPool",
    "check_clip_id",
    "clip_from_bytes",
    "clip_steps",
    "config_hash_of",
    "cut_clip",
    "read_clip",
    "record_clips",
    "segments_of",
]
