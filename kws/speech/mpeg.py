"""Checks whether a file can be MPEG audio (MP1, MP2, MP3) before libsndfile opens it.

For any other file, libsndfile's decoder mpg123 would search all of it and write messages to stderr, bypassing Python.
Source: ISO/IEC 11172-3, 2.4.1.3; ID3v2.4, section 3.1.
"""

from __future__ import annotations

from pathlib import Path

_LOOKED_AT = 1 << 16  # bytes after a tag that must contain two consecutive frames
_TAG = 10  # bytes of a tag's header
_KBITS = {  # by version 1 or 2, and layer
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # by version's bits


def has_frames(path: Path) -> bool:
    """Whether there are two consecutive frames of MPEG audio near the beginning. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(_TAG)
        at = 0
        while head[:3] == b"ID3" and len(head) == _TAG:
            size = 0
            for byte in head[6:]:
                size = size << 7 | byte & 0x7F
            at += _TAG + size
            file.seek(at)
            head = file.read(_TAG)
        data = head + file.read(_LOOKED_AT)
    place = data.find(b"\xff")
    while 0 <= place < len(data) - 4:
        length = _frame_bytes(data[place : place + 4])
        if length and (_frame_bytes(data[place + length : place + length + 4]) or place + length == len(data)):
            return True
        place = data.find(b"\xff", place + 1)
    return False


def _frame_bytes(header: bytes) -> int:
    """The length in bytes of the frame with this header; 0 if it is not a frame header."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    bit_rate, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or layer == 4 or bit_rate in (0, 15) or rate == 3:  # nobody uses a free bit rate
        return 0
    bits = 1000 * _KBITS[1 if version == 3 else 2, layer][bit_rate - 1]
    hz = _RATES_HZ[version][rate]
    if layer == 1:
        return (12 * bits // hz + padding) * 4
    return (144 if layer == 2 or version == 3 else 72) * bits // hz + padding
