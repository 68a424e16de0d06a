"""A result as a notebook shows it: one piece of HTML without scripts, some tens of kilobytes."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

import cv2
import numpy as np

from segformer_core.data.colours import RGB

WIDTH, HEIGHT = 640, 480
"""Pixels that the picture is fitted into."""
QUALITY = 85
ROWS = 12
"""Classes in the table; what is left of the others is one row."""
SWATCH = "display:inline-block;width:.9em;height:.9em;border:1px solid #8888;vertical-align:-.1em;margin-right:.5em"


def html(title: str, picture: np.ndarray, areas: Mapping[str, float], colours: Sequence[RGB]) -> str:
    """A title, a picture (H, W, 3) uint8 RGB, and a table of the classes that are there: colour, name, share of the pixels."""
    entries = zip(areas.items(), colours, strict=True)
    there = sorted(((share, name, colour) for (name, share), colour in entries if share), reverse=True)
    rows = [_row(_swatch(colour) + escape(name), share) for share, name, colour in there[:ROWS]]
    if len(there) > ROWS:
        rows.append(_row(f"{len(there) - ROWS} more", sum(share for share, _, _ in there[ROWS:])))
    if (open_ := 1 - sum(areas.values())) > 1e-9:
        rows.append(_row("no class", open_))
    return (
        '<div style="display:flex;flex-wrap:wrap;gap:1em;align-items:flex-start">'
        f'<figure style="margin:0"><img alt="" src="data:image/jpeg;base64,{_jpeg(picture)}" style="max-width:100%">'
        f'<figcaption>{escape(title)}</figcaption></figure><table style="margin:0">{"".join(rows)}</table></div>'
    )


def _swatch(colour: RGB) -> str:
    return f'<span style="{SWATCH};background:rgb{tuple(colour)}"></span>'


def _row(name: str, share: float) -> str:
    text = f"{share:.1%}" if share >= 0.001 else "&lt;0.1%"
    return f'<tr><td style="text-align:left">{name}</td><td style="text-align:right">{text}</td></tr>'


def _jpeg(picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    scale = min(WIDTH / width, HEIGHT / height, 1)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return base64.b64encode(encoded.tobytes()).decode("ascii")
