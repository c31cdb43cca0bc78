"""Show the same scenario under every controller, side by side, as one small video."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from simrl.compare.play import play, policy_seed
from simrl.compare.run import MakePolicy
from simrl.compare.table import Table
from simrl.core import Policy, VecEnv
from simrl.rollout.video import write_mp4

FPS = 15.0
HEIGHT = 220
"""Height of each controller's picture [pixels]."""
BAND = 22
"""Height of the band with its name [pixels]."""


def chosen_scenarios(table: Table, count: int) -> list[int]:
    """Return the scenarios to show: a nominal one, then those that part the controllers most."""
    means = np.stack([table.figure(i, "score").mean(axis=0) for i in range(len(table.labels))])
    spread = means.max(axis=0) - means.min(axis=0)
    found: list[int] = []
    if count > 0:
        nominal = np.flatnonzero(~table.far)
        found.append(int(nominal[0]) if len(nominal) else 0)
    for number in np.argsort(-spread, kind="stable"):
        grids = {table.scenarios[n].grid for n in found}
        if len(found) >= count:
            break
        if number not in found and table.scenarios[number].grid not in grids:
            found.append(int(number))
    return found[:count]


def write_videos(
    table: Table, scenarios: Sequence[int], make_policy: MakePolicy, folder: Path
) -> tuple[dict[int, Path], str]:
    """Write a video of each scenario; return their files, and a line if there can be none."""
    try:
        import av  # noqa: F401
    except ImportError:
        return {}, "no videos: they need PyAV (pip install 'simrl[video]')"
    written: dict[int, Path] = {}
    for scenario in scenarios:
        path = folder / "videos" / f"scenario-{scenario:04d}.mp4"
        try:
            if not path.is_file():
                films = [film(table, n, scenario, make_policy) for n in range(len(table.labels))]
                write_mp4(_beside(films, table.labels), path, FPS, quality=28, threads=1)
        except (ValueError, ImportError, NotImplementedError) as error:
            return written, f"no videos: {' '.join(str(error).split())}"
        written[scenario] = path
    return written, ""


def film(table: Table, number: int, scenario: int, make_policy: MakePolicy) -> list[np.ndarray]:
    """Play one scenario once more under one controller and return its pictures."""
    plan = table.plan
    entrant, stage = plan.entrants[number], plan.stage(number)
    chosen = table.scenarios[scenario]
    pictures: list[np.ndarray] = []

    def build(env: VecEnv) -> Policy:
        return make_policy(entrant.members[0], env.spec, {**chosen.options, **stage.options})

    def draw(count: int, env: VecEnv) -> None:
        seconds = env.spec.step_seconds or 1.0 / FPS
        if int(count * seconds * FPS) > int((count - 1) * seconds * FPS):
            pictures.append(_sized(env.render(0)))

    seed = policy_seed(plan.seed, entrant.label, entrant.members[0], 0)
    play(stage, [chosen], build, plan.judge, seed=seed, on_steps=draw)
    if not pictures:
        raise ValueError(f"the episode {chosen.name} is too short to be shown")
    return pictures


def embedded(path: Path) -> str:
    """Return a `<video>` element that holds the file, and a picture of it until it is played."""
    data = base64.b64encode(path.read_bytes()).decode()
    poster = base64.b64encode(_poster(path)).decode()
    return (
        "<video controls muted loop playsinline preload='metadata' "
        f"poster='data:image/jpeg;base64,{poster}' src='data:video/mp4;base64,{data}'></video>"
    )


def _poster(path: Path) -> bytes:
    """Return a picture from the first half of a video, as JPEG."""
    import av

    with av.open(str(path)) as box:
        frames = [frame.to_ndarray(format="rgb24") for frame in box.decode(video=0)]
    buffer = io.BytesIO()
    Image.fromarray(frames[len(frames) // 3]).save(buffer, format="JPEG", quality=80)
    return buffer.getvalue()


def _beside(films: Sequence[list[np.ndarray]], labels: Sequence[str]) -> Iterator[np.ndarray]:
    """Yield pictures side by side; an episode that has ended stands still and turns grey."""
    for index in range(max(len(pictures) for pictures in films)):
        tiles = []
        for pictures, label in zip(films, labels, strict=True):
            over = index >= len(pictures)
            picture = pictures[min(index, len(pictures) - 1)]
            tiles.append(_named(picture, label, over=over))
        yield np.concatenate(tiles, axis=1)


def _named(picture: np.ndarray, label: str, *, over: bool) -> np.ndarray:
    if over:
        grey = picture.mean(axis=2, keepdims=True)
        picture = np.broadcast_to(0.6 * grey + 60.0, picture.shape).astype(np.uint8)
    image = Image.new("RGB", (picture.shape[1], picture.shape[0] + BAND), (24, 27, 32))
    image.paste(Image.fromarray(np.ascontiguousarray(picture)), (0, BAND))
    text = f"{label} (ended)" if over else label
    ImageDraw.Draw(image).text((6, 4), text, fill=(235, 238, 242), font_size=13)
    return np.asarray(image)


def _sized(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    size = (max(16, round(width * HEIGHT / height)), HEIGHT)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
