"""FFmpeg goes by a file's content: a list of other files that is called .mp4 is refused, every container of videos is read."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from segformer_core.errors import DataError
from segformer_core.inference.video import STARTS, Video

LISTS = {
    "ffconcat": "ffconcat version 1.0\nfile {}\n",
    "a playlist": "#EXTM3U\n#EXTINF:1,\n{}\n",
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "DASH": '<?xml version="1.0"?>\n<MPD profiles="urn:mpeg:dash:profile:isoff-live:2011"><BaseURL>{}</BaseURL></MPD>',
    "DASH that starts with G": 'G<MPD profiles="urn:mpeg:dash:profile:isoff-live:2011"><BaseURL>{}</BaseURL></MPD>',
}


def clip(path: Path, codec: str = "mp4v") -> Path:
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), 10, (64, 48))
    for index in range(9):
        writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize("text", LISTS.values(), ids=LISTS)
def test_a_list_of_other_files_is_no_video(tmp_path: Path, text: str) -> None:
    other = clip(tmp_path / "other.mp4")
    disguised = tmp_path / "a.mp4"
    disguised.write_text(text.format(other.name))
    with pytest.raises(DataError, match=r"a\.mp4 is empty, damaged, or no video of a kind that can be decoded; replace it"):
        Video(disguised)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "mp4v"), ("a.m4v", "mp4v"), ("a.mov", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "FFV1"), ("a.webm", "VP80"),
     ("a.ts", "MPG2"), ("a.wmv", "WMV2")],
)  # fmt: skip
def test_every_container_is_read_whatever_its_ending(tmp_path: Path, name: str, codec: str) -> None:
    path = clip(tmp_path / name, codec).rename(tmp_path / "clip.mpg")
    assert len(list(Video(path).frames())) == 9


@pytest.mark.parametrize(
    "head",
    [
        b"\0\0\1\xba\x44",
        b"\0\0\1\xb3\x16",
        b"\0\0\0\1\xb3",
        b"RIFF\x24\0\0\0CDXAfmt ",
        b"\x02\xff\xff\xffmdat",
        b"\0\0\0\x08wide",
    ],
)
def test_starts_of_videos_that_opencv_cannot_write(head: bytes) -> None:
    assert STARTS.match(head)
