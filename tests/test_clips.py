"""How a clip is called in manifests: its path below the data's folder, whatever way the two were written."""

import os
from pathlib import Path

import pytest

from kws.speech.clips import Clip
from kws.speech.digests import Stamp

FOLDERS = ("/data", "data", ".", "../data", "/data/a b")
BELOW = ("yes/1.wav", "yes/.hidden/1.wav", "yes//1.wav", "yes/./1.wav", "yes/../no/1.wav", "../other/1.wav", "/1.wav")


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("path", [*BELOW, "yes/1.wav/", ".wav", "..wav"])
def test_a_clip_is_shown_by_its_path_below_the_folder(folder, path):
    source = Path(folder)
    joined = f"{source}/{path}"
    assert Clip(joined, "yes", "1.wav", "train", Stamp(0, 0, 0, 0, 0)).shown(source) == os.path.relpath(joined, source)


@pytest.mark.parametrize("path", ["/elsewhere/yes/1.wav", "elsewhere/1.wav", "/data2/1.wav", "yes/1.wav"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_a_clip_that_lies_elsewhere_is_shown_by_the_way_there(folder, path):
    source = Path(folder)
    assert Clip(path, "yes", "1.wav", "train", Stamp(0, 0, 0, 0, 0)).shown(source) == os.path.relpath(path, source)
