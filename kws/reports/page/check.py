"""The page of `kws data check --html`: counts, what to do first, and suspects with waveform, spectrogram and player.

One file that loads nothing from elsewhere and needs no script: pictures are SVG and PNG, sounds are WAV, all of them in
it. The content security policy allows nothing else. The same report gives the same bytes.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from kws.events import SPLITS
from kws.reports.page.html import digest, render, static

if TYPE_CHECKING:
    import numpy as np

_STYLES = ("page.css", "check.css")
_RATE_HZ = 16_000
_COLUMNS, _HALF = 200, 50  # of a waveform's picture
_LEAST_PEAK = 1e-5
_DARKEST = -13.8  # log-mel of silence: log(1e-6)
_ANCHORS = ((0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
            (252, 255, 164))  # fmt: skip  # of matplotlib's inferno, whose lightness grows evenly


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A clip to look at and listen to: waveform (S,) at 16 kHz, and log-mel features (T, M)."""

    name: str
    word: str
    split: str
    note: str
    waveform: np.ndarray
    features: np.ndarray

    @property
    def level(self) -> str:
        """Its peak in dB of full scale."""
        peak = float(abs(self.waveform).max())
        return "digital silence" if peak == 0 else f"peak {20 * math.log10(peak):.0f} dBFS"


@dataclass(frozen=True, kw_only=True)
class Group:
    """Suspects of one kind, in rows of one or of several that belong together; `more` rows are not shown."""

    title: str
    rows: Sequence[Sequence[Picture]]
    more: int


def page(
    source: str,
    folder: str,
    first: Sequence[str],
    counts: Mapping[str, Mapping[str, int]],
    speakers: Mapping[str, int] | None,
    groups: Sequence[Group],
) -> str:
    """The whole page."""
    style = "".join(map(static, _STYLES))
    brightest = max((float(each.features.max()) for group in groups for row in group.rows for each in row), default=0)
    return render(
        "check.html",
        source=_written(source),
        folder=_written(folder),
        first=[*map(_written, first)],
        counts={_written(word): of for word, of in counts.items()},
        splits=SPLITS,
        speakers=speakers,
        groups=groups,
        style=Markup(style),  # noqa: S704 - our own files
        policy=f"default-src 'none'; style-src {digest(style)}; img-src data:; media-src data:; base-uri 'none'; "
        "form-action 'none'",
        written=_written,
        outline=outline,
        spectrogram=lambda features: _data("image/png", spectrogram(features, brightest)),
        sound=lambda waveform: _data("audio/wav", wav(waveform)),
    )  # fmt: skip


def outline(waveform: np.ndarray) -> str:
    """A waveform's outline as the path of an SVG of 200 x 100, scaled to its peak."""
    import numpy as np

    columns = np.array_split(waveform / max(float(np.abs(waveform).max()), _LEAST_PEAK), _COLUMNS)
    upper = [f"{x} {_HALF - _HALF * float(each.max()):.1f}" for x, each in enumerate(columns)]
    lower = [f"{x} {_HALF - _HALF * float(each.min()):.1f}" for x, each in enumerate(columns)]
    return f"M{' L'.join([*upper, *reversed(lower)])} Z"


def spectrogram(features: np.ndarray, brightest: float) -> bytes:
    """Log-mel features (T, M) as a PNG of T x M pixels, low bands at the bottom, from silence to `brightest`."""
    import numpy as np

    shares = (features.T[::-1] - _DARKEST) / max(brightest - _DARKEST, 1e-9)
    pixels = np.clip(np.round(255 * shares), 0, 255).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # 0: no filter
    places = np.linspace(0, len(_ANCHORS) - 1, 256)
    palette = np.stack([np.interp(places, range(len(_ANCHORS)), part) for part in zip(*_ANCHORS, strict=True)], axis=1)
    parts = {
        b"IHDR": struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 3, 0, 0, 0),  # 3: by a palette
        b"PLTE": np.round(palette).astype(np.uint8).tobytes(),
        b"IDAT": zlib.compress(rows, 9),
        b"IEND": b"",
    }
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )


def wav(waveform: np.ndarray) -> bytes:
    """A waveform (S,) in [-1, 1] as a WAV file with 16 bits."""
    import numpy as np

    data = np.clip(np.round(waveform * 32768), -32768, 32767).astype("<i2").tobytes()
    layout = struct.pack("<IHHIIHH", 16, 1, 1, _RATE_HZ, 2 * _RATE_HZ, 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + layout + b"data" + struct.pack(
        "<I", len(data)
    ) + data  # fmt: skip


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _written(text: str) -> str:
    """A name as it can be written in UTF-8, which some systems' file names cannot."""
    return text.encode("utf-8", "backslashreplace").decode()
