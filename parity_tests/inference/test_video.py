"""Videos: results have the same number of frames, size, rate and order; and nothing half written is left."""

import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from parity_tests import ROOT
from parity_tests.inference.halves import CLASSES, Halves, Terminal, halves, segmenter
from segformer_core.config.keys import InferenceConfig
from segformer_core.errors import DataError, UserError
from segformer_core.inference import video
from segformer_core.inference.infer import Incomplete, infer
from segformer_core.inference.results import Results
from segformer_core.inference.sources import named
from segformer_core.inference.video import Video, video_writer

SIZE, RATE, LENGTH, STEP = (48, 64), 12.5, 11, 23
DARK = 76
"""What the gray of a darker frame becomes in an overlay, if it is not black: 255 · 0.3."""


def frame(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(*size, 3) uint8 RGB: brighter from frame to frame."""
    return np.full((*size, 3), STEP * index, np.uint8)


def write_clip(path: Path, length: int = LENGTH, picture: Callable[[int], np.ndarray] = frame) -> Path:
    path.parent.mkdir(exist_ok=True)
    codec = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "FFV1"}[path.suffix]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), RATE, SIZE[::-1])
    assert writer.isOpened()
    for index in range(length):
        writer.write(picture(index)[..., ::-1])
    writer.release()
    return path


def frames(path: Path) -> list[np.ndarray]:
    return list(Video(path).frames())


def run(clips: list[Path], output: Path, network: Halves | None = None, batch_size: int = 1, **switches: bool | int) -> list[str]:
    lines: list[str] = []
    settings = InferenceConfig(infer_output_path=str(output), **switches)
    sources = named((clip, Path(clip.name)) for clip in clips)
    infer(
        segmenter(network or Halves(), workers=3, batch_size=batch_size),
        Results(sources, CLASSES, settings),
        settings.infer_log_interval,
        lines.append,
    )
    return lines


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def is_nearly(pixels: np.ndarray, colour: np.ndarray) -> bool:
    return bool(np.abs(pixels.reshape(-1, 3).mean(0) - colour).max() < 8)


@pytest.mark.parametrize(("suffix", "batch_size"), [(".mp4", 1), (".avi", 4), (".mkv", 1)])
def test_results_have_the_clips_frames_size_and_rate(tmp_path: Path, suffix: str, batch_size: int) -> None:
    lines = run([write_clip(tmp_path / "in" / f"a:b 1%d{suffix}")], tmp_path / "out", batch_size=batch_size, infer_log_interval=4)
    assert names(tmp_path / "out") == {"legend.png", *(f"a:b 1%d{end}" for end in ("_overlap.mp4", "_color.mp4", "_gray.mkv"))}
    for name in names(tmp_path / "out") - {"legend.png"}:
        result = Video(tmp_path / "out" / name)
        assert (result.size, result.length) == (SIZE, LENGTH) and result.rate == pytest.approx(RATE)
        pictures = list(result.frames())
        assert len(pictures) == LENGTH
        for index, picture in enumerate(pictures):
            left, right = picture[4:-4, 4:28], picture[4:-4, 36:-4]
            if name.endswith(".mkv"):
                assert np.array_equal(picture, np.dstack([halves(SIZE)] * 3)), "class indices, bit by bit"
            elif "color" in name:
                assert is_nearly(left, np.array(CLASSES.colours[0])) and is_nearly(right, np.array(CLASSES.colours[1]))
            else:
                gray = max(STEP * index, DARK) if index else 0
                assert is_nearly(left, (np.array(CLASSES.colours[0]) + gray) / 2), f"frame {index} in its place"
                assert is_nearly(right, (np.array(CLASSES.colours[1]) + gray) / 2)
    assert lines[0].startswith("get image size:0, videos:1, infer result will save to ")
    assert re.fullmatch(r".*: 48×64 pixels, 12\.5 frames a second; its results are without sound", lines[1])
    counts = [re.fullmatch(rf"infer a:b 1%d\{suffix} frame (\d+)/11 done, step cost:[\d.]+ms", line) for line in lines[2:5]]
    assert [match[1] for match in counts if match] == ["4", "8", "11"]


@pytest.mark.parametrize(("length", "shown"), [(LENGTH, r"clip\.avi:   0%\|.*\| 0/11 \["), (-1, r"clip\.avi: 0frame \[")])
def test_a_terminal_shows_a_bar_for_each_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int, shown: str) -> None:
    """A video whose length is not known has a bar without an end."""
    clip = write_clip(tmp_path / "clip.avi")
    monkeypatch.setattr("segformer_core.inference.infer.Video", lambda path: announcing(Video(path), length))
    monkeypatch.setattr("sys.stderr", terminal := Terminal())
    run([clip], tmp_path / "out")
    assert re.search(shown, terminal.getvalue())


def announcing(video: Video, length: int) -> Video:
    video.length = length
    return video


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip = write_clip(tmp_path / "clip.mp4").rename(tmp_path / "a:b.mp4")
    run([Path(clip.name)], Path("."))
    assert Video(tmp_path / "a:b_overlap.mp4").length == LENGTH


@pytest.mark.parametrize(
    ("switch", "file"),
    [
        ("infer_save_gray_img", "clip_gray.mkv"),
        ("infer_save_color_img", "clip_color.mp4"),
        ("infer_save_overlap_img", "clip_overlap.mp4"),
    ],
)
def test_each_switch_leaves_out_its_file(tmp_path: Path, switch: str, file: str) -> None:
    run([write_clip(tmp_path / "clip.mp4")], tmp_path / "out", **{switch: False})
    assert names(tmp_path / "out") == {"clip_gray.mkv", "clip_color.mp4", "clip_overlap.mp4", "legend.png"} - {file}


@pytest.mark.parametrize(("degrees", "matrix"), [(90, (0, 1, -1, 0)), (180, (-1, 0, 0, -1)), (270, (0, -1, 1, 0))])
def test_a_clip_is_turned_as_its_metadata_say(tmp_path: Path, degrees: int, matrix: tuple[int, ...]) -> None:
    """The matrix in the track's header, as a telephone writes it, turns clockwise; the upper half of the frames is bright."""
    half = np.zeros((*SIZE, 3), np.uint8)
    half[:24] = 200
    clip = write_clip(tmp_path / "clip.mp4", picture=lambda _: half)
    data = bytearray(clip.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    clip.write_bytes(data)
    run([clip], tmp_path / "out")
    shown = np.rot90(half, -degrees // 90)
    expected = (shown + np.array(CLASSES.colours)[halves(shown.shape[:2])]) / 2
    result = frames(tmp_path / "out" / "clip_overlap.mp4")
    assert len(result) == LENGTH
    for picture in (result[0], result[-1]):
        assert picture.shape == expected.shape and np.abs(picture - expected).mean() < 8


def test_an_odd_height_and_width_are_filled_up(tmp_path: Path) -> None:
    """A GIF, since cv2 writes no odd video; FFmpeg goes by the content."""
    pictures = [Image.fromarray(frame(index, (47, 63))) for index in range(5)]
    pictures[0].save(tmp_path / "clip.gif", save_all=True, append_images=pictures[1:], duration=40)
    clip = (tmp_path / "clip.gif").rename(tmp_path / "clip.avi")
    assert (Video(clip).size, Video(clip).length, Video(clip).rate) == ((47, 63), 5, 25)
    lines = run([clip], tmp_path / "out")
    assert f"{clip}: its height or width is odd; the results repeat the last row or column, as videos need even sizes" in lines
    filled = np.pad(halves((47, 63)), ((0, 1), (0, 1)), "edge")
    result = frames(tmp_path / "out" / "clip_gray.mkv")
    assert len(result) == 5 and all(np.array_equal(picture[..., 0], filled) for picture in result)
    assert Video(tmp_path / "out" / "clip_overlap.mp4").size == (48, 64)


def test_a_clip_that_ends_early_is_said(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "clip.mkv", length=40, picture=lambda _: np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    )
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    lines = run([clip], tmp_path / "out")
    length = len(frames(clip))
    assert 5 < length < 35 and Video(tmp_path / "out" / "clip_overlap.mp4").length == length
    assert f"{clip}: only {length} of the 40 frames that it announces could be read" in lines


def without_frames(clip: bytes) -> bytes:
    """An mp4 or avi whose index is sound and whose frames are zeros."""
    start, end = (clip.index(mark) for mark in ((b"mdat", b"moov") if b"moov" in clip else (b"movi", b"idx1")))
    return clip[: start + 4] + bytes(end - start - 8) + clip[end - 4 :]


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("empty.mp4", lambda clip: b""),
        ("text.mp4", lambda clip: b"no video"),
        ("truncated.mp4", lambda clip: clip[:1000]),
        ("blank.mp4", without_frames),
        ("blank.avi", without_frames),
    ],
)
def test_a_clip_that_cannot_be_read_is_named_and_the_rest_is_done(
    tmp_path: Path, name: str, spoilt: Callable[[bytes], bytes]
) -> None:
    broken, sound = write_clip(tmp_path / name), write_clip(tmp_path / "sound.mp4")
    broken.write_bytes(spoilt(broken.read_bytes()))
    with pytest.raises(Incomplete, match=rf"1 of 2 files could not be read: .*{name}; everything else is done"):
        run([broken, sound], tmp_path / "out")
    assert names(tmp_path / "out") == {"sound_gray.mkv", "sound_color.mp4", "sound_overlap.mp4", "legend.png"}


class Stops(Halves):
    """Fails at its sixth batch."""

    def __init__(self, mistake: type[BaseException]):
        self.mistake = mistake

    def predict(self, images, plan):
        if self.calls == 5:
            raise self.mistake
        return super().predict(images, plan)


@pytest.mark.parametrize("mistake", [RuntimeError, KeyboardInterrupt, UserError])
def test_nothing_is_left_of_a_clip_that_was_not_finished(tmp_path: Path, mistake: type[BaseException]) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    run([clip], tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(mistake):
        run([clip], tmp_path / "out", Stops(mistake))
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_full_disk_stops_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "ROOM", 2**62)
    network = Halves()
    with pytest.raises(UserError, match=r"cannot write .*clip_\w+\.m\w\w: the disk is full; free some space"):
        run([write_clip(tmp_path / "clip.mp4", length=60)], tmp_path / "out", network)
    assert network.calls < 30 and names(tmp_path / "out") == {"legend.png"}


def test_frames_that_do_not_arrive_are_noticed(tmp_path: Path) -> None:
    """No file may grow beyond 20 kB: cv2 does not report that its writes fail."""
    program = f"""
import resource, sys
import numpy as np
from pathlib import Path
from segformer_core.errors import UserError
from segformer_core.inference.video import video_writer
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with video_writer(Path({str(tmp_path)!r}) / "clip.mp4", 25, (240, 320)) as write:
        for index in range(60):
            write(np.random.default_rng(index).integers(0, 256, (240, 320, 3)).astype(np.uint8))
except UserError as error:
    sys.exit(f"error: {{error}}")
"""
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"error: cannot write {tmp_path}/clip.mp4: not every frame was written; free some space" in process.stderr
    assert process.returncode == 1 and names(tmp_path) == set()


@pytest.mark.parametrize("rate", [0.5, 23.976, 29.97, 60, 240])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_writer_keeps_every_rate_and_every_frame(tmp_path: Path, suffix: str, rate: float) -> None:
    for length in (1, 2, 30):
        with video_writer(tmp_path / f"clip{suffix}", rate, SIZE) as write:
            for _ in range(length):
                write(frame(3) if suffix == ".mp4" else halves(SIZE))
        written = Video(tmp_path / f"clip{suffix}")
        assert len(list(written.frames())) == length and written.rate == pytest.approx(rate, rel=1e-3)


def test_a_video_that_cannot_be_written_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot write .*nowhere/clip\.mp4: its folder is not writable, or OpenCV lacks"):
        with video_writer(tmp_path / "nowhere" / "clip.mp4", 25, SIZE):
            pass
    with pytest.raises(DataError, match=r"nowhere\.mp4 is empty, damaged, or no video"):
        Video(tmp_path / "nowhere.mp4")
