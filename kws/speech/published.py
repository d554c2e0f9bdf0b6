"""The published archives of recordings: their URL, size, digest and words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """A downloadable archive (.zip or .tar.gz); `sha256` and `bytes` are None if they are not published.

    `words` are the words that it has recordings of; if empty, any content is accepted.
    """

    name: str
    url: str
    sha256: str | None
    bytes: int | None
    title: str
    words: tuple[str, ...] = ()


# mini-speech-commands and speech-commands-test are published without a checksum. So these files are only checked by
# HTTPS, a complete transfer (Content-Length) and the CRC-32 that a zip archive holds for each of its files, and a
# .tar.gz for the whole.
ARCHIVES: dict[str, Archive] = {
    archive.name: archive
    for archive in (
        Archive(
            name="speech-commands",
            url="https://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
            bytes=2_428_923_189,
            title="Google Speech Commands v0.02: 35 words, about 105,000 clips of one second (2.4 GB)",
            words=(
                *("backward", "bed", "bird", "cat", "dog", "down", "eight", "five", "follow", "forward", "four", "go"),
                *("happy", "house", "learn", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven"),
                *("sheila", "six", "stop", "three", "tree", "two", "up", "visual", "wow", "yes", "zero"),
            ),
        ),
        Archive(
            name="mini-speech-commands",
            url="https://storage.googleapis.com/download.tensorflow.org/data/mini_speech_commands.zip",
            sha256=None,
            bytes=None,
            title="An excerpt of Speech Commands: 8 words, 1,000 clips of each (0.2 GB; checksum not checked)",
            words=("down", "go", "left", "no", "right", "stop", "up", "yes"),
        ),
        Archive(
            name="speech-commands-test",
            url="https://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz",
            sha256=None,
            bytes=None,
            title="Its test archive, for --test-data: 10 words, unknown, silence (0.1 GB; checksum not checked)",
            words=("down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes"),
        ),
    )
}
