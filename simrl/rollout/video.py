"""Write RGB frames as a video or an animated picture; knows no environment."""

from __future__ import annotations

import contextlib
import inspect
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image

from simrl.core.replay import Replay

MIN_SIDE = 16  # the smallest picture that the encoder takes [pixels]


def write_mp4(
    frames: Iterable[np.ndarray],
    path: Path | str,
    fps: float,
    *,
    quality: int = 20,
    threads: int = 0,
) -> int:
    """Write frames as H.264 (yuv420p, plays in every browser) and return how many there were.

    The frames are consumed one by one, so a generator keeps memory flat.  The file appears under
    its name only when it is whole.

    Args:
        frames: Pictures `(height, width, 3)` uint8, all of one size.  An odd side gets one more
            row or column, since yuv420p halves the colours.
        path: Where to write; missing folders are made.
        fps: Frames a second.
        quality: Constant rate factor of x264: 0 lossless, 20 good, 51 worst.
        threads: Threads of the encoder; 0 lets it take every core.

    Raises:
        ValueError: If PyAV is missing, there are no frames, or a frame has the wrong shape.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError("writing MP4 needs PyAV: pip install 'simrl[video]'") from error
    if not fps > 0:
        raise ValueError(f"fps must be above 0, got {fps}")
    first, pictures = _peek(frames)
    height, width = first.shape[:2]
    with _replacing(Path(path)) as temporary, av.open(str(temporary), "w", format="mp4") as box:
        rate = Fraction(fps).limit_denominator(1000)
        options = {"crf": str(quality), "threads": str(threads or "auto")}
        stream = box.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        count = 0
        for picture in pictures:
            _check_frame(picture, first.shape, count)
            even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            box.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            count += 1
        box.mux(stream.encode())
    return count


def drawn(
    frames: Callable[..., Iterable[np.ndarray]], replay: Replay, every: int
) -> Iterable[np.ndarray]:
    """Draw each `every`-th frame of a replay; the others are not drawn where `frames` can skip."""
    if every == 1:
        return frames(replay)
    if "every" in inspect.signature(frames).parameters:
        return frames(replay, every=every)
    return islice(frames(replay), 0, None, every)


def write_gif(frames: Iterable[np.ndarray], path: Path | str, fps: float) -> int:
    """Write frames as an endlessly repeating GIF and return how many there were.

    Args:
        frames: Pictures `(height, width, 3)` uint8, all of one size.
        path: Where to write; missing folders are made.
        fps: Frames a second; GIF rounds the time of a frame to 0.01 s.

    Raises:
        ValueError: If there are no frames or a frame has the wrong shape.
    """
    if not fps > 0:
        raise ValueError(f"fps must be above 0, got {fps}")
    first, pictures = _peek(frames)
    images: list[Image.Image] = []
    for picture in pictures:
        _check_frame(picture, first.shape, len(images))
        # One palette per frame keeps small labels readable; dithering would make the file large.
        images.append(Image.fromarray(picture).quantize(colors=128, dither=Image.Dither.NONE))
    with _replacing(Path(path)) as temporary:
        images[0].save(
            temporary,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=max(20, round(1000 / fps)),
            loop=0,
            optimize=True,
        )
    return len(images)


def write_png(frame: np.ndarray, path: Path | str, *, colors: int = 0) -> None:
    """Write one frame as PNG.

    Args:
        frame: Picture `(height, width, 3)` uint8.
        path: Where to write; missing folders are made.
        colors: Size of the palette, 2 to 256, for a small file; 0 keeps all colours.

    Raises:
        ValueError: If the frame has the wrong shape.
    """
    _check_frame(frame, frame.shape, 0)
    image = Image.fromarray(frame)
    if colors:
        image = image.quantize(colors=colors, dither=Image.Dither.NONE)
    with _replacing(Path(path)) as temporary:
        image.save(temporary, format="PNG", optimize=True)


def _peek(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError("there are no frames to write")
    _check_frame(first, first.shape, 0)
    if min(first.shape[:2]) < MIN_SIDE:
        raise ValueError(f"a frame must be at least {MIN_SIDE} pixels a side, got {first.shape}")
    return first, chain([first], rest)


def _check_frame(frame: np.ndarray, shape: tuple[int, ...], index: int) -> None:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
        raise ValueError(
            f"frame {index}: expected (height, width, 3) uint8, got {frame.shape} {frame.dtype}"
        )
    if frame.shape != shape:
        raise ValueError(f"frame {index}: its shape is {frame.shape}, the first one's is {shape}")


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        yield Path(name)
        os.chmod(name, 0o644)
        with open(name, "rb") as written:
            os.fsync(written.fileno())  # so that not even a power cut leaves a half under the name
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
