"""Reads videos ahead in a thread, and writes them so that no half-written one is left. Frames are RGB; sound is lost."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from segformer_core.data.ahead import prefetch
from segformer_core.data.image_bytes import other_kind
from segformer_core.data.quiet import quiet_decoders
from segformer_core.errors import DataError, UserError
from segformer_core.files import atomic_write, special_file, temporary_name, usable

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
STARTS = re.compile(
    rb".{4}(ftyp|moov|mdat)|\0.{3}(free|wide|skip|pnot)"  # MP4 and QuickTime
    rb"|GIF8|RIFF.{4}(AVI|CDXA)|\x1a\x45\xdf\xa3.{1,240}(matroska|webm)"
    rb"|\0\0+\x01|(.{4})?G.{187}(.{4})?G"  # MPEG's program streams, and transport streams with or without time stamps
    rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",  # WMV
    re.DOTALL,
)
"""The first bytes of the containers that VIDEO_SUFFIXES name, and of a GIF.

FFmpeg goes by the content, not by the name, and also opens lists of other files (ffconcat, M3U, SDP, DASH): none starts so.
Of a QuickTime file that refers to others it reads only what is inside: its option enable_drefs is off unless a caller sets it.
"""

HEAD = 512
"""Bytes of a file that are compared with STARTS."""

NO_VIDEO = "is empty, damaged, or no video of a kind that can be decoded; replace it"
CODECS = {".mp4": "mp4v", ".mkv": "FFV1"}
"""Suffix of a written file -> codec: MPEG-4 for colours; FFV1, which is lossless, for label maps."""

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # OpenCV reads it when the process opens its first video

ROOM = 2**24
"""Bytes that must be free on the disk before a frame is written: cv2 reports no error when a disk is full."""


class Video:
    """An open video. `rate` is in frames per second; `size` is (height, width) as shown. `length` is the number of frames that
    the file announces: some containers only estimate it, and it is not positive if unknown.
    """

    def __init__(self, path: Path):
        """Open the file. Raises DataError if it is no readable video."""
        if not _is_text(path):
            raise DataError(f"{path} has a name or a folder that is no UTF-8, and cv2 opens no such video; rename it")
        _check_start(path)
        self.path = path
        self.capture = _opened(path)
        self.capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # rotate frames as a phone's metadata say
        self.rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.size = int(self.capture.get(cv2.CAP_PROP_FRAME_HEIGHT)), int(self.capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.length = int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if not self.rate > 0 or 0 in self.size:
            raise DataError(f"{path} {NO_VIDEO}")

    def frames(self) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 RGB in order, read a few ahead. Raises DataError if there is none, or if one has another size."""

        def read(_: int) -> np.ndarray | None:
            with quiet_decoders():
                success, frame = self.capture.read()
            return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if success else None

        number = 0
        for frame in prefetch(read, count(), workers=1):  # two would change the order
            if frame is None:
                break
            number += 1
            if frame.shape[:2] != self.size:
                raise DataError(f"{self.path} changes its size at frame {number}; cut it there")
            yield frame
        if not number:
            raise DataError(f"{self.path} has no frame that can be decoded; replace it")


def frames(path: str | Path) -> Iterator[np.ndarray]:
    """The frames of a video, (H, W, 3) uint8 RGB, in order, read a few ahead. Raises DataError."""
    return Video(Path(usable(path, DataError))).frames()


@contextmanager
def video_writer(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that writes a video's frames one by one: (*size, 3) uint8 RGB for an mp4, (*size) uint8 label maps for an mkv.

    They go to a temporary file, which is renamed to `path` when the context is left without an exception. If the height or
    width is odd, the last row or column is repeated, because cv2 would cut it off. Raises UserError.
    """
    if not _is_text(path):
        raise UserError(f"{path} has a name or a folder that is no UTF-8, and cv2 writes no such video; choose another folder")
    temporary, colour = temporary_name(path, f"{os.getpid()}-frames"), path.suffix == ".mp4"
    down, right = size[0] % 2, size[1] % 2
    codec = cv2.VideoWriter.fourcc(*CODECS[path.suffix])
    with quiet_decoders():
        writer = cv2.VideoWriter(
            str(temporary.absolute()), cv2.CAP_FFMPEG, codec, rate, (size[1] + right, size[0] + down), colour
        )
    written, busy = 0, Lock()

    def write(picture: np.ndarray) -> None:
        nonlocal written
        try:
            free = shutil.disk_usage(path.parent).free
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; its folder was removed or moved: start again") from error
        if free < ROOM:
            raise UserError(f"cannot write {path}: the disk is full; free some space or choose another folder")
        pixels = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if colour else picture
        with busy:
            writer.write(cv2.copyMakeBorder(pixels, 0, down, 0, right, cv2.BORDER_REPLICATE))
        written += 1

    try:
        if not writer.isOpened():
            raise UserError(f"cannot write {path}: its folder is not writable, or OpenCV lacks the encoder {CODECS[path.suffix]}")
        yield write
        writer.release()
        if int(_opened(temporary).get(cv2.CAP_PROP_FRAME_COUNT)) != written:
            raise UserError(f"cannot write {path}: not every frame was written; free some space or choose another folder")
        atomic_write(path, lambda whole: os.replace(temporary, whole))
    finally:
        with busy:  # after an interrupt another thread may still write a frame
            writer.release()
        temporary.unlink(missing_ok=True)


def _is_text(path: Path) -> bool:
    """Whether the absolute path is UTF-8; of another one cv2's video functions end the process."""
    return os.fsencode(path.absolute()).decode("utf-8", "ignore") == str(path.absolute())


def _check_start(path: Path) -> None:
    """Raises DataError for a pipe, and for a file that FFmpeg must not see because it is no video and may name other files."""
    if special := special_file(path):
        raise DataError(f"{path} is {special}; expected a file")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except (OSError, ValueError):  # a name with a NUL is a ValueError
        head = b""
    if not STARTS.match(head):
        raise DataError(f"{path} {other_kind(head) or NO_VIDEO}")


def _opened(path: Path) -> cv2.VideoCapture:
    """Open a video by its absolute path: FFmpeg would take the a of "a:b.mp4" for a protocol."""
    with quiet_decoders():
        return cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
