"""Draw a clip: a video with a poster, and a page where the environment has a canvas player."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from simrl.core.env import VecEnv
from simrl.core.files import write_atomic
from simrl.core.plugins import env_plugin, make_env
from simrl.core.replay import Replay
from simrl.core.spec import EnvSpec
from simrl.preferences.clips.clip import Clip
from simrl.preferences.clips.library import ClipLibrary
from simrl.preferences.clips.record import STEPS_PER_SECOND
from simrl.rollout.video import drawn, write_mp4

MAX_FPS: Final = 30.0
"""Frames a second above which steps are left out."""
MIN_WIDTH: Final = 360
MAX_WIDTH: Final = 960
"""Widths between which videos lie [pixels]."""
STRIP: Final = 30
"""Height of the line of words below the picture [pixels]."""
TOLERANCE: Final = 1e-4
"""Difference to the recorded observation beyond which a clip was not played again truly."""
PAPER: Final = (20, 24, 30)
INK: Final = (240, 242, 245)


def render_clip(library: ClipLibrary, clip: str) -> None:
    """Draw everything of one clip; the video comes last, so where it is, the rest is.

    Raises:
        ValueError: The clip is damaged, it cannot be played again, or its environment cannot draw.
    """
    content = library.get(clip)
    env = make_env(content.env, 1, **content.env_options)
    replay = replay_of(content, env)
    page = env_plugin(content.env).replay_page
    if page is not None:
        write_atomic(library.path(clip, "html"), page(replay))
    fps, every = pace(content.step_seconds)
    pictures = captioned(clip_frames(replay, env, every), caption(env.spec, content.seat))
    first = next(pictures)
    write_atomic(library.path(clip, "jpg"), _jpeg(first))
    write_mp4(_after(first, pictures), library.path(clip, "mp4"), fps, threads=1)


def go_to_start(content: Clip, env: VecEnv) -> None:
    """Bring environment 0 to the clip's first step.

    Raises:
        ValueError: It does not show there what was recorded: rules, options or data have changed.
    """
    obs = env.restore(torch.from_numpy(content.snapshot.copy())[None])
    for action in content.lead:
        obs = env.step(torch.from_numpy(action.copy())[None]).obs
    seen = obs["policy"][0, content.seat].cpu().numpy()
    if seen.shape != content.obs[0].shape or not np.allclose(
        seen, content.obs[0], rtol=TOLERANCE, atol=TOLERANCE
    ):
        raise ValueError(
            f"played again, clip {content.id} of {content.env} begins otherwise than it was "
            "recorded, so it was recorded with other rules, options or data"
        )


def replay_of(content: Clip, env: VecEnv) -> Replay:
    """Return the clip as a replay that begins at its first step and looks at its seat.

    Who played is left out: whoever judges should not know.  `env` must be of the clip's kind and
    options; its row 0 is used.  ValueError as for `go_to_start`.
    """
    env.request(["policy"])
    go_to_start(content, env)
    return Replay(
        env=content.env,
        config=content.env_options,
        snapshot=env.snapshot()[0].cpu().numpy().tobytes(),
        actions=content.action,
        seat=content.seat,
    )


def clip_frames(replay: Replay, env: VecEnv, every: int) -> Iterable[np.ndarray]:
    """Draw a clip's start and each `every`-th step after it.

    The plug-in draws where it can; else `env`, which stands at the start, is stepped and drawn.
    """
    frames = env_plugin(replay.env).frames
    return _live_frames(replay, env, every) if frames is None else drawn(frames, replay, every)


def pace(step_seconds: float) -> tuple[float, int]:
    """Return frames a second and the number of steps from one frame to the next.

    Real time, with at most 30 and at least 2 frames a second; steps without a unit of time are
    shown for half a second each.
    """
    fps = 1.0 / step_seconds if step_seconds > 0 else STEPS_PER_SECOND
    every = max(1, math.ceil(fps / MAX_FPS - 1e-9))
    return max(fps / every, STEPS_PER_SECOND), every


def caption(spec: EnvSpec, seat: int) -> str:
    """Return the words below the picture: whom to judge, where there are several agents."""
    return f"Judge: {spec.agent_names[seat].replace('_', ' ')}" if spec.num_agents > 1 else ""


def captioned(frames: Iterable[np.ndarray], words: str) -> Iterator[np.ndarray]:
    """Bring frames to a width that suits a page, and write `words` below them, if any."""
    strip: np.ndarray | None = None
    for frame in frames:
        picture = _fitted(frame)
        if words:
            if strip is None:
                strip = _strip(words, picture.shape[1])
            picture = np.concatenate((picture, strip))
        yield picture


def _live_frames(replay: Replay, env: VecEnv, every: int) -> Iterator[np.ndarray]:
    yield env.render(0)
    for count, action in enumerate(replay.actions, start=1):
        timestep = env.step(torch.from_numpy(action.copy())[None])
        if bool(timestep.done[0]):
            return  # the row shows the next episode already
        if count % every == 0:
            yield env.render(0)


def _fitted(frame: np.ndarray) -> np.ndarray:
    """Enlarge small pictures by a whole factor, and shrink large ones."""
    height, width = frame.shape[:2]
    if width < MIN_WIDTH:
        factor = math.ceil(MIN_WIDTH / width)
        size, how = (width * factor, height * factor), Image.Resampling.BICUBIC
    elif width > MAX_WIDTH:
        size, how = (MAX_WIDTH, round(height * MAX_WIDTH / width)), Image.Resampling.LANCZOS
    else:
        return frame
    return np.asarray(Image.fromarray(frame).resize(size, how))


def _strip(words: str, width: int) -> np.ndarray:
    image = Image.new("RGB", (width, STRIP), PAPER)
    place = (width / 2, STRIP / 2)
    ImageDraw.Draw(image).text(place, words, fill=INK, font=_font(), anchor="mm")
    return np.asarray(image)


@lru_cache(maxsize=1)
def _font() -> Any:
    return ImageFont.load_default(17)


def _jpeg(frame: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(frame).save(content, format="JPEG", quality=85, optimize=True)
    return content.getvalue()


def _after(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest
