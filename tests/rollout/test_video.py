"""Videos hold every frame, at the right size and pace."""

import sys

import numpy as np
import pytest
from PIL import Image

from simrl.rollout.video import write_gif, write_mp4, write_png


def moving_square(count, height=48, width=64):
    for i in range(count):
        frame = np.full((height, width, 3), 30, np.uint8)
        frame[10:20, i : i + 10] = (250, 40, 40)
        yield frame


def test_mp4_holds_every_frame(tmp_path):
    av = pytest.importorskip("av")
    path = tmp_path / "new" / "out.mp4"
    assert write_mp4(moving_square(12), path, fps=7.5) == 12
    with av.open(str(path)) as box:
        stream = box.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == pytest.approx(7.5)
        frames = [frame.to_ndarray(format="rgb24") for frame in box.decode(stream)]
    assert len(frames) == 12
    last = frames[-1].astype(int)
    # Frame 11 has its square at columns 11..20; column 5 is background again.
    assert last[15, 16, 0] > 180 and last[15, 16, 1] < 110
    assert abs(last[15, 5] - 30).max() < 40
    assert [p.name for p in path.parent.iterdir()] == ["out.mp4"]


def test_mp4_pads_odd_sizes(tmp_path):
    av = pytest.importorskip("av")
    write_mp4(moving_square(3, 49, 65), tmp_path / "odd.mp4", fps=10)
    with av.open(str(tmp_path / "odd.mp4")) as box:
        assert (box.streams.video[0].height, box.streams.video[0].width) == (50, 66)


def test_mp4_without_pyav_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ValueError, match=r"pip install 'simrl\[video\]'"):
        write_mp4(moving_square(3), tmp_path / "out.mp4", fps=10)


def test_bad_frames_leave_no_file(tmp_path):
    def shrinking():
        yield np.zeros((32, 32, 3), np.uint8)
        yield np.zeros((32, 30, 3), np.uint8)

    for write in (write_mp4, write_gif):
        with pytest.raises(ValueError, match="frame 1: its shape"):
            write(shrinking(), tmp_path / "out", fps=10)
        with pytest.raises(ValueError, match="no frames"):
            write([], tmp_path / "out", fps=10)
        with pytest.raises(ValueError, match="uint8"):
            write([np.zeros((32, 32, 3))], tmp_path / "out", fps=10)
        with pytest.raises(ValueError, match="fps"):
            write(moving_square(2), tmp_path / "out", fps=0)
    assert list(tmp_path.iterdir()) == []


def test_gif_and_png(tmp_path):
    assert write_gif(moving_square(5), tmp_path / "out.gif", fps=10) == 5
    with Image.open(tmp_path / "out.gif") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (5, (64, 48), 100)
    frame = next(moving_square(1))
    write_png(frame, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert np.array_equal(np.asarray(image), frame)
