"""The page of `kws data check --html`: suspects that can be seen and heard, in one file that needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import soundfile
from commands import kws, refused
from recordings import noise, write, write_folder

from kws.reports.page import check as page
from kws.speech import checks
from kws.speech.checks import suspects
from kws.speech.decode import read_waveform
from kws.speech.sources import Source

VOID = ("meta", "link", "img", "br", "path")  # elements without an end
HOSTILE = "<script>alert(1)<"  # a folder's name


class Tags(HTMLParser):
    """The elements of a page, with their attributes, and whether all that was opened was closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in VOID or self.open.pop() == tag

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [about for tag, about in self.found if tag == name]


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a silent clip, a clipped one, and one sound in two splits."""
    folder = write_folder(tmp_path / "words", {"yes": (3, 1, 1), HOSTILE: (2, 1, 1)}, seconds=1.0)
    write(folder / "yes" / "train0_nohash_0.wav", np.zeros(16_000))
    write(folder / "yes" / "train1_nohash_0.wav", np.clip(5 * noise(50), -1, 1))
    for name in ("train0", "test0"):
        write(folder / HOSTILE / f"{name}_nohash_0.wav", noise(60))
    return folder


def made(folder: Path, out: Path) -> Tags:
    result = kws("data", "check", folder, "--html", out)
    assert result.exit_code == 1 and f"wrote {out}" in result.stderr, "the same sound is in two splits"
    tags = Tags(out.read_text(encoding="utf-8"))
    assert tags.open == []
    return tags


def content(about: dict[str, str | None], kind: str) -> bytes:
    head, _, data = str(about["src"]).partition(",")
    assert head == f"data:{kind};base64"
    return base64.b64decode(data)


def test_each_suspect_has_a_waveform_a_spectrogram_and_a_player(folder, tmp_path):
    tags = made(folder, tmp_path / "page.html")
    figures = len(tags.of("figure"))
    assert figures == len(tags.of("audio")) == len(tags.of("img")) == len(tags.of("svg")) >= 4
    assert all(about["alt"] for about in tags.of("img")) and all(about["aria-label"] for about in tags.of("svg"))
    assert all(about["aria-label"] for about in tags.of("audio"))
    text = (tmp_path / "page.html").read_text()
    assert "The same sound in two splits (1)" in text and "Silent (1)" in text and "Clipped (1)" in text
    assert "Delete all copies but one of 1 recording that is in two splits." in text


def test_nothing_is_loaded_or_run_and_names_are_escaped(folder, tmp_path):
    tags = made(folder, tmp_path / "page.html")
    assert tags.of("script") == [] and "<script>" not in (tmp_path / "page.html").read_text()
    assert all(str(about.get("src") or about.get("href") or "data:").startswith("data:") for _, about in tags.found)
    (policy,) = [about["content"] for about in tags.of("meta") if about.get("http-equiv")]
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert not any("style" in about or any(name.startswith("on") for name in about) for _, about in tags.found)


def test_a_player_plays_the_second_that_is_heard_and_a_picture_shows_its_features(folder, tmp_path):
    tags = made(folder, tmp_path / "page.html")
    (place,) = [i for i, about in enumerate(tags.of("audio")) if about["aria-label"] == "Listen to yes/train1_nohash_0"]
    sound, rate = soundfile.read(io.BytesIO(content(tags.of("audio")[place], "audio/wav")), dtype="float32")
    assert rate == 16_000
    np.testing.assert_array_equal(sound, read_waveform(folder / "yes" / "train1_nohash_0.wav"))
    picture = matplotlib.image.imread(io.BytesIO(content(tags.of("img")[place], "image/png")))
    assert picture.shape[:2] == (40, 101)


def test_a_spectrogram_is_dark_in_silence_and_bright_at_its_tone():
    features = np.full((101, 40), -13.8)
    features[50, 10] = 2.0  # low bands are at the bottom
    picture = matplotlib.image.imread(io.BytesIO(page.spectrogram(features, 2.0)))[..., :3]
    brightness = picture.sum(axis=2)
    assert np.unravel_index(brightness.argmax(), brightness.shape) == (29, 50)
    assert np.unique(brightness).size == 2


def test_a_waveform_is_drawn_from_its_least_to_its_largest_sample_in_each_column():
    samples = np.zeros(16_000, np.float32)
    samples[8_000], samples[8_001] = 0.5, -0.25
    points = [tuple(map(float, point)) for point in re.findall(r"([\d.]+) (-?[\d.]+)", page.outline(samples))]
    assert len(points) == 400 and (100.0, 0.0) in points and (100.0, 75.0) in points
    assert {y for x, y in points if x != 100.0} == {50.0}


def test_sixty_clips_are_shown_and_the_others_are_counted(tmp_path):
    for number in range(100):
        write(tmp_path / "yes" / f"{number:03}.wav", np.zeros(1_600))
        write(tmp_path / "no" / f"{number:03}.wav", np.clip(5 * noise(number, seconds=0.1), -1, 1))
    groups = suspects.suspects(checks.check(Source("words", tmp_path)))
    shown = {group.title: (sum(map(len, group.rows)), group.more) for group in groups}
    assert sum(count for count, _ in shown.values()) == 60
    assert shown["Silent"][0] + shown["Silent"][1] == 100 and shown["Silent"][0] > 20 < shown["Clipped"][0]


def test_a_clip_that_is_gone_is_left_out(folder):
    report = checks.check(Source("words", folder))
    (folder / "yes" / "train0_nohash_0.wav").unlink()
    assert next(group for group in suspects.suspects(report) if group.title == "Silent").rows == []


@pytest.mark.parametrize("name", ["page.txt", "nowhere/page.html", "folder.html"])
def test_a_page_that_cannot_be_written_is_refused_before_clips_are_read(folder, tmp_path, name):
    (tmp_path / "folder.html").mkdir()
    (line,) = [refused("data", "check", folder, "--html", tmp_path / name)]
    assert "must end in .html" in line or "cannot be written" in line
