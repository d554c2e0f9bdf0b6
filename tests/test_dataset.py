"""A data set is computed once, the same everywhere, and appears in the cache whole or not at all."""

import hashlib
import os
import pickle
import shutil
import time
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from recordings import SPLITS, noise, report, write, write_folder, write_lists

from kws.errors import ClipError, DataError
from kws.events import DataCard
from kws.speech import digests, prepare
from kws.speech.dataset import Dataset, Split, load, require_all_classes
from kws.speech.decode import read_waveform
from kws.speech.features import log_mel
from kws.speech.listing import list_source

WORDS = ("yes", "no")
REPORT = report(*WORDS)
COUNTS = {"yes": (4, 2, 1), "no": (6, 1, 2), "up": (4, 2, 3), "left": (5, 2, 1)}
TAKEN = {"train": (4, 6, 5), "validation": (2, 1, 2), "test": (1, 2, 2)}  # yes, no, other


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A data set that nobody changes."""
    return write_folder(tmp_path_factory.mktemp("dataset") / "words", COUNTS)


@pytest.fixture
def folder(original, tmp_path) -> Path:
    """A data set of the test's own."""
    return Path(shutil.copytree(original, tmp_path / "words"))


@pytest.fixture(autouse=True)
def threads():
    """Whatever a test does to torch's threads ends with it."""
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def cached(tmp_path: Path) -> list[Path]:
    """What lies in the cache of features, hidden folders too."""
    place = tmp_path / "cache" / "features"
    return sorted(place.iterdir()) if place.is_dir() else []


def contents(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in sorted(place.rglob("*")) if path.is_file()}


def assert_same(one: Dataset, other: Dataset) -> None:
    assert one.card == other.card
    for split in SPLITS:
        assert torch.equal(one.split(split).features, other.split(split).features)
        assert torch.equal(one.split(split).labels, other.split(split).labels)


def refuse_to_track(*args, **kwargs):
    raise AssertionError("features are computed again")


def break_at(count: int, error: BaseException):
    """A track that fails when `count` items have passed."""

    def track(items, /, *, total, what, unit="clips"):
        for done, item in enumerate(items):
            if done == count:
                raise error
            yield item

    return track


# What is loaded


def test_every_split_has_features_and_labels(original):
    loaded = load(str(original), REPORT)
    assert loaded.card.classes == ("yes", "no", "other")
    assert loaded.card.source == "words"
    assert list(loaded.left_out) == []
    for split in SPLITS:
        part = loaded.split(split)
        clips = sum(TAKEN[split])
        assert len(part) == clips
        assert part.features.shape == (clips, 101, 40) and part.features.dtype == torch.float32
        assert part.labels.shape == (clips,) and part.labels.dtype == torch.int64
        assert loaded.card.counts[split] == TAKEN[split] == tuple(part.labels.bincount(minlength=3).tolist())
        assert loaded.card.labels_of(split) == bytes(part.labels.tolist())


def test_features_are_log_mel_less_the_training_mean_over_the_training_deviation(original):
    loaded = load(str(original), report("yes", "no", "up", "left"))  # no other: the clips can be listed by hand
    raw, labels = {}, {}
    for split in SPLITS:
        paths = [path for word in ("yes", "no", "up", "left") for path in sorted((original / word).glob(f"{split}*"))]
        raw[split] = torch.cat([log_mel(torch.from_numpy(read_waveform(path))[None]) for path in paths])
        labels[split] = [("yes", "no", "up", "left").index(path.parent.name) for path in paths]
    mean, std = raw["train"].double().mean().item(), raw["train"].double().std(correction=0).item()
    assert (loaded.card.mean, loaded.card.std) == pytest.approx((mean, std), rel=1e-6)
    for split in SPLITS:
        torch.testing.assert_close(loaded.split(split).features, (raw[split] - mean) / std, rtol=1e-5, atol=1e-5)
        assert loaded.split(split).labels.tolist() == labels[split]


def test_the_training_split_has_mean_0_and_deviation_1_and_the_others_nearly(original):
    loaded = load(str(original), REPORT)
    train = loaded.split("train").features.double()
    assert train.mean().item() == pytest.approx(0, abs=1e-5)
    assert train.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert abs(loaded.split("test").features.mean().item()) > 1e-4, "it has the training split's mean, not its own"


def test_all_is_the_splits_one_after_the_other(original):
    loaded = load(str(original), REPORT)
    everything = loaded.split("all")
    assert len(everything) == sum(map(sum, TAKEN.values()))
    assert torch.equal(everything.features, torch.cat([loaded.split(split).features for split in SPLITS]))
    assert bytes(everything.labels.tolist()) == loaded.card.labels_of("all")


def test_silence_alone_is_finite(tmp_path):
    for word in WORDS:
        write(tmp_path / "silence" / word / "00f0204f_nohash_0.wav", np.zeros(100))
    loaded = load(str(tmp_path / "silence"), REPORT)
    assert loaded.card.std == 1.0
    assert not loaded.split("train").features.any()


def test_a_split_without_clips_is_empty(tmp_path):
    loaded = load(str(write_folder(tmp_path / "data", {"yes": (2, 0, 1), "no": (2, 0, 0)})), REPORT)
    assert len(loaded.split("validation")) == 0
    assert loaded.split("validation").features.shape == (0, 101, 40)
    assert loaded.card.counts["validation"] == (0, 0)
    assert len(loaded.split("all")) == 5


def test_without_training_clips_features_are_not_normalised(tmp_path):
    folder = write_folder(tmp_path / "data", {"yes": (0, 0, 1), "no": (0, 0, 1)})
    loaded = load(str(folder), REPORT)
    assert (loaded.card.mean, loaded.card.std) == (0.0, 1.0)
    waveform = read_waveform(folder / "yes" / "test0_nohash_0.wav")
    assert torch.equal(loaded.split("test").features[:1], log_mel(torch.from_numpy(waveform)[None]))


def test_clips_renormalised_as_those_of_another_data_set_are_what_it_would_have_made_of_them(original, tmp_path):
    ours = load(str(original), REPORT)
    louder = tmp_path / "louder"
    for path in original.rglob("*.wav"):
        samples, _ = soundfile.read(path)
        write(louder / path.relative_to(original), 1.5 * samples)
    for name in ("validation_list.txt", "testing_list.txt"):
        shutil.copy(original / name, louder / name)
    theirs = load(str(louder), REPORT)
    assert theirs.card.mean != ours.card.mean
    test = theirs.split("test")
    raw = test.features * theirs.card.std + theirs.card.mean
    before = test.features.clone()
    mapped = test.renormalised(of=theirs.card, to=ours.card)
    torch.testing.assert_close(mapped.features, (raw - ours.card.mean) / ours.card.std, rtol=1e-5, atol=1e-5)
    assert torch.equal(mapped.labels, test.labels)
    assert torch.equal(test.features, before), "the split itself is left as it is"
    back = mapped.renormalised(of=ours.card, to=theirs.card)
    torch.testing.assert_close(back.features, before, rtol=1e-4, atol=1e-4)


def test_clips_renormalised_as_they_are_stay_the_same_bits(original):
    loaded = load(str(original), REPORT)
    split = loaded.split("test")
    assert split.renormalised(of=loaded.card, to=loaded.card) is split


def card_of(counts: dict[str, tuple[int, ...]]) -> DataCard:
    return DataCard(
        source="words",
        classes=("yes", "no", "other"),
        counts=counts,
        split_fingerprints={},
        labels={},
        front_end={},
        mean=0.0,
        std=1.0,
    )


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("number", range(3))
def test_a_class_without_clips_in_a_split_is_named_with_the_split(split, number):
    counts = dict.fromkeys(SPLITS, (1, 1, 1)) | {split: tuple(int(i != number) for i in range(3))}
    loaded = Dataset(card_of(counts), {})
    with pytest.raises(DataError, match=f"'{('yes', 'no', 'other')[number]}' in its {split} split.*`kws data check`"):
        require_all_classes(loaded)
    require_all_classes(loaded, [other for other in SPLITS if other != split])


def test_a_data_set_with_all_classes_everywhere_is_accepted(original):
    require_all_classes(load(str(original), REPORT))


# The cache


def test_the_second_time_no_clip_is_read(folder, monkeypatch):
    monkeypatch.setattr(digests, "_SETTLED_NS", -(10**18))  # as if the files had lain there for long
    first = load(str(folder), REPORT)
    monkeypatch.setattr(digests, "_digest", None)
    monkeypatch.setattr(prepare, "read_recording", None)
    assert_same(load(str(folder), REPORT, track=refuse_to_track), first)


def write_in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def write_beside_and_rename(path: Path, content: bytes) -> None:
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("replace", [write_in_place, write_beside_and_rename])
def test_a_clip_replaced_with_its_size_and_times_kept_is_read_anew(folder, monkeypatch, replace, settled):
    if settled:
        monkeypatch.setattr(digests, "_SETTLED_NS", -(10**18))
    first = load(str(folder), REPORT)
    path = folder / "yes" / "train0_nohash_0.wav"
    about, sound = path.stat(), path.read_bytes()
    time.sleep(0.02)  # the clock that files are stamped by ticks every 4 to 10 ms
    replace(path, sound[:44] + sound[:43:-1])
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    again = load(str(folder), REPORT)
    assert again.card.fingerprint != first.card.fingerprint
    assert not torch.equal(again.splits["train"].features, first.splits["train"].features)


def test_folders_whose_clips_only_look_the_same_share_nothing(folder, tmp_path):
    other = tmp_path / "elsewhere" / folder.name
    shutil.copytree(folder, other)
    for path in other.rglob("*.wav"):
        sound, about = path.read_bytes(), path.stat()
        path.write_bytes(sound[:44] + bytes(reversed(sound[44:])))
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    first, second = load(str(folder), REPORT), load(str(other), REPORT)
    assert first.card.fingerprint != second.card.fingerprint
    assert len(cached(tmp_path)) == 2


def test_folders_that_hold_the_same_share_their_features(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    first, second = load(str(folder), REPORT), load(str(tmp_path / "copy"), REPORT)
    assert first.card.fingerprint == second.card.fingerprint
    assert len(cached(tmp_path)) == 1


def test_arrays_replaced_with_their_sizes_and_times_kept_are_read_anew(course):
    first = load(str(course), REPORT)
    path = course / "X_train.p"
    about, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 7
    content[len(content) // 2 + 1] ^= 7
    content[len(content) // 2 + 4] ^= 7
    path.write_bytes(content)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert load(str(course), REPORT).card.fingerprint != first.card.fingerprint


def test_a_clip_that_is_changed_while_it_is_read_ends_in_a_sentence_and_leaves_nothing(folder, tmp_path, monkeypatch):
    path, read = folder / "yes" / "train0_nohash_0.wav", prepare.read_recording

    def read_and_touch(*clip):
        recording = read(*clip)
        os.utime(path, (1, 1))
        return recording

    monkeypatch.setattr(prepare, "read_recording", read_and_touch)
    with pytest.raises(DataError, match="was changed while it was being read; run the command again"):
        load(str(folder), REPORT)
    assert cached(tmp_path) == []


def test_the_manifest_has_every_clip_of_a_split_with_its_sound_and_speaker(folder):
    card = load(str(folder), REPORT).card
    for split in SPLITS:
        manifest = card.manifests[split]
        assert len(manifest.paths) == len(card.labels[split])
        for place, path in enumerate(manifest.paths):
            waveform = read_waveform(folder / path)
            assert manifest.digest(place) == hashlib.sha256(waveform.tobytes()).digest()
            assert manifest.speakers[place] == Path(path).name.partition("_nohash_")[0]
            assert manifest.modified_ns[place] == (folder / path).stat().st_mtime_ns
            assert manifest.seconds[place] == pytest.approx(soundfile.info(folder / path).duration, abs=1e-6)


def test_one_name_without_a_speaker_makes_the_speakers_of_the_whole_folder_unknown(folder):
    (folder / "yes" / "train0_nohash_0.wav").rename(folder / "yes" / "mine.wav")
    (folder / "validation_list.txt").write_text((folder / "validation_list.txt").read_text() + "yes/mine.wav\n")
    manifests = load(str(folder), REPORT).card.manifests
    assert [manifests[split].speakers for split in SPLITS] == [None, None, None]


def test_where_speakers_are_unknown_those_of_a_split_without_clips_are_too(tmp_path):
    for name in ("yes/a", "yes/b", "no/a", "no/b"):
        write(tmp_path / "data" / f"{name}.wav", noise(len(name)))
    write_lists(tmp_path / "data", {"validation": [], "test": ["yes/a.wav", "no/a.wav"]})
    manifests = load(str(tmp_path / "data"), REPORT).card.manifests
    assert [manifests[split].speakers for split in SPLITS] == [None, None, None]


def test_speakers_who_are_told_are_in_the_manifest_and_decide_the_splits(tmp_path):
    folder = tmp_path / "data"
    for number in range(24):
        for word in WORDS:
            write(folder / word / f"speaker{number % 12}_{number}.wav", noise(number, seconds=0.1))
    unknown, told = load(str(folder), REPORT), load(str(folder), REPORT, speakers="{speaker}_{n}")
    assert unknown.card.fingerprint != told.card.fingerprint
    assert {each.speakers for each in unknown.card.manifests.values()} == {None}
    of = {split: set(told.card.manifests[split].speakers) for split in SPLITS}
    assert set.union(*of.values()) == {f"speaker{i}" for i in range(12)} and sum(map(len, of.values())) == 12
    assert_same(load(str(folder), REPORT, speakers="{speaker}_{n}", track=refuse_to_track), told)


def test_speakers_are_not_for_arrays(course):
    with pytest.raises(DataError, match=r"`speakers` \(=\{speaker\}\) is about recordings"):
        load(str(course), REPORT, speakers="{speaker}")


def test_the_content_is_the_same_under_other_names_and_the_fingerprint_is_not(folder, tmp_path):
    renamed = tmp_path / "renamed"
    shutil.copytree(folder, renamed)
    listed = [(renamed / name).read_text() for name in ("testing_list.txt", "validation_list.txt")]
    for path in list((renamed / "yes").glob("*.wav")):
        path.rename(path.with_name(f"x{path.name}"))
    for name, text in zip(("testing_list.txt", "validation_list.txt"), listed, strict=True):
        (renamed / name).write_text(text.replace("yes/", "yes/x"))
    first, second = load(str(folder), REPORT).card, load(str(renamed), REPORT).card
    assert first.content == second.content
    assert first.fingerprint != second.fingerprint


def test_one_folder_in_the_cache_is_one_data_set(original, tmp_path):
    load(str(original), REPORT)
    (place,) = cached(tmp_path)
    before = contents(place)
    load(str(original), REPORT)
    assert cached(tmp_path) == [place] and contents(place) == before


def test_features_found_by_their_listings_name_are_not_listed_again(folder, monkeypatch):
    first = load(str(folder), REPORT)
    found = list_source(str(folder), REPORT).found()
    monkeypatch.setattr("kws.speech.listing.read_folder", None)
    assert_same(load(str(folder), REPORT, found=found), first)


def test_what_a_listing_names_and_is_not_there_is_computed(folder, tmp_path):
    found = list_source(str(folder), REPORT).found()
    first = load(str(folder), REPORT, found=found)
    assert [place.name for place in cached(tmp_path)] == [found["key"]]
    assert_same(load(str(folder), REPORT, found=found | {"key": "0" * 32}), first)
    assert [place.name for place in cached(tmp_path)] == [found["key"]]


def test_what_is_not_used_is_told_as_it_is_now_though_features_are_cached(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    drawn = {"not drawn for 'other'": 8}
    assert load(str(folder), REPORT).card.unused == drawn
    for name in ("yes/notes.txt", "no/.hidden.wav", "_background_noise_/hum.wav", "up/new.m4a"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "nothing").mkdir()
    expected = drawn | {
        "not audio": 1,
        "hidden": 1,
        "in _background_noise_": 1,
        "of a kind that is not read (.m4a)": 1,
        "empty folders": 1,
    }
    assert load(str(folder), REPORT, track=refuse_to_track).card.unused == expected
    assert load(str(folder), REPORT, found=list_source(str(folder), REPORT).found()).card.unused == expected
    assert load(str(copy), REPORT).card.unused == drawn


def test_clips_that_are_not_drawn_or_cannot_be_read_are_counted(folder):
    for number in range(20):
        write(folder / "up" / f"more{number}_nohash_0.wav", noise(100 + number, seconds=0.1))
    (folder / "no" / "train3_nohash_0.wav").write_text("not audio")
    loaded = load(str(folder), REPORT, skip_unreadable=True)
    there = len(list(folder.rglob("*.wav")))
    assert loaded.card.unused == {"not drawn for 'other'": there - sum(map(sum, TAKEN.values())), "unreadable": 1}
    assert sum(map(len, loaded.card.labels.values())) + sum(loaded.card.unused.values()) == there


def test_a_listed_clip_that_is_not_there_is_an_error_that_names_it(folder):
    (folder / "no" / "test0_nohash_0.wav").unlink()
    with pytest.raises(DataError, match=r"name no/test0_nohash_0\.wav, of a word that is there, .*`kws data check"):
        load(str(folder), REPORT)


def test_listed_clips_of_words_that_are_not_there_are_counted(folder):
    shutil.rmtree(folder / "left")
    loaded = load(str(folder), REPORT)
    assert loaded.elsewhere == COUNTS["left"][1] + COUNTS["left"][2]
    assert load(str(folder), REPORT, found=list_source(str(folder), REPORT).found()).elsewhere == loaded.elsewhere


def test_clips_in_folders_below_their_words_are_used_and_keep_their_speakers(folder):
    flat = load(str(folder), REPORT)
    for split in SPLITS:
        for path in sorted((folder / "yes").glob(f"{split}*.wav")):
            target = folder / "yes" / "session2" / path.name
            target.parent.mkdir(exist_ok=True)
            path.rename(target)
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).write_text((folder / name).read_text().replace("yes/", "yes/session2/"))
    deep = load(str(folder), REPORT)
    assert deep.card.content == flat.card.content and deep.card.unused == flat.card.unused
    assert deep.card.manifests["test"].paths[0] == "yes/session2/test0_nohash_0.wav"
    assert deep.card.manifests["test"].speakers == flat.card.manifests["test"].speakers


@pytest.mark.parametrize("bad", ["wav", "flac"])
def test_of_two_files_that_differ_in_their_endings_alone_one_is_the_clip(folder, bad):
    samples, rate = soundfile.read(folder / "yes" / "test0_nohash_0.wav")
    write(folder / "yes" / "test0_nohash_0.flac", samples, rate)
    (folder / "yes" / f"test0_nohash_0.{bad}").write_text("not audio")
    loaded = load(str(folder), REPORT, skip_unreadable=True)
    paths = loaded.card.manifests["test"].paths
    assert ("yes/test0_nohash_0.wav" in paths) == (bad == "flac")
    assert "yes/test0_nohash_0.flac" not in paths and loaded.card.unused["named like another clip"] == 1
    for split in SPLITS:
        manifest = loaded.card.manifests[split]
        assert len(manifest.paths) == len(loaded.splits[split])
        for place, path in enumerate(manifest.paths):
            assert manifest.digest(place) == hashlib.sha256(read_waveform(folder / path).tobytes()).digest()


def rewrite_later(folder: Path) -> None:
    os.utime(folder / "yes" / "train0_nohash_0.wav", (1, 1))


def add_clip(folder: Path) -> None:
    write(folder / "no" / "train99_nohash_0.wav", noise(99))


def remove_clip(folder: Path) -> None:
    (folder / "yes" / "train0_nohash_0.wav").unlink()


def rename_clip(folder: Path) -> None:
    (folder / "yes" / "train0_nohash_0.wav").rename(folder / "yes" / "train77_nohash_0.wav")


def change_size_only(folder: Path) -> None:
    path = folder / "yes" / "train0_nohash_0.wav"
    about = path.stat()
    write(path, noise(5, seconds=0.3))
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def move_to_another_split(folder: Path) -> None:
    clips = (folder / "testing_list.txt").read_text()
    (folder / "testing_list.txt").write_text(clips + "yes/train0_nohash_0.wav\n")


@pytest.mark.parametrize(
    "change", [rewrite_later, add_clip, remove_clip, rename_clip, change_size_only, move_to_another_split]
)
def test_what_changes_in_the_folder_is_computed_anew(folder, tmp_path, change):
    before = load(str(folder), REPORT)
    change(folder)
    after = load(str(folder), REPORT)
    assert len(cached(tmp_path)) == (1 if change is rewrite_later else 2)
    # A new time alone leaves the data what it was; all else makes it another.
    assert (after.card.fingerprint == before.card.fingerprint) == (change is rewrite_later)
    if change is rewrite_later:
        assert_same(before, after)


def test_other_words_are_another_data_set(original, tmp_path):
    cards = [
        load(str(original), report(*words)).card for words in (("yes", "no"), ("no", "yes"), ("yes",), ("yes", "up"))
    ]
    assert len(cached(tmp_path)) == 4
    assert len({card.fingerprint for card in cards}) == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("_BATCH", 1), ("_BATCH", 7), ("cores", lambda: 1), ("cores", lambda: 5)],
    ids=["batches of 1", "batches of 7", "1 worker", "5 workers"],
)
def test_the_bits_do_not_depend_on_workers_and_batches(original, tmp_path, monkeypatch, name, value):
    load(str(original), REPORT)
    (place,) = cached(tmp_path)
    monkeypatch.setattr(prepare, name, value)
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "again"))
    load(str(original), REPORT)
    assert contents(tmp_path / "again" / "features" / place.name) == contents(place)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_bits_do_not_depend_on_torchs_threads_and_these_stay_as_they_were(original, tmp_path, monkeypatch, count):
    load(str(original), REPORT)
    (place,) = cached(tmp_path)
    torch.set_num_threads(count)
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "again"))
    load(str(original), REPORT)
    assert torch.get_num_threads() == count
    assert contents(tmp_path / "again" / "features" / place.name) == contents(place)


def test_a_run_that_prepares_while_another_finishes_uses_the_others_work(original, tmp_path):
    inner = []

    def track(items, /, *, total, what, unit="clips"):
        for done, item in enumerate(items):
            if done == 3:
                inner.append(load(str(original), REPORT))
            yield item

    outer = load(str(original), REPORT, track=track)
    assert_same(outer, inner[0])
    (place,) = cached(tmp_path)
    assert not place.name.startswith(".")


def test_threads_that_prepare_at_once_all_succeed_with_equal_bytes(original, tmp_path):
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(lambda _: load(str(original), REPORT), range(4))
    for other in others:
        assert_same(first, other)
    assert len(cached(tmp_path)) == 1


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("the bar broke"), OSError(28, "No space left")], ids=repr
)
def test_an_interrupted_preparation_leaves_nothing_behind(original, tmp_path, error):
    with pytest.raises(DataError if isinstance(error, OSError) else type(error)):
        load(str(original), REPORT, track=break_at(5, error))
    assert cached(tmp_path) == []
    assert len(load(str(original), REPORT).split("train")) == sum(TAKEN["train"])


@pytest.mark.parametrize("damage", ["card.json", "train.npy", "train-labels.npy", "emptied train.npy"])
def test_a_cache_that_someone_damaged_is_mended_or_refused_by_name(original, tmp_path, damage):
    # Cleaners of temporary and cache folders remove single files that nobody has opened for long.
    before = load(str(original), REPORT)
    expected = {split: before.split(split).features.clone() for split in SPLITS}
    (place,) = cached(tmp_path)
    if damage.startswith("emptied"):
        (place / "train.npy").unlink()
        (place / "train.npy").touch()
    else:
        (place / damage).unlink()
    try:
        after = load(str(original), REPORT)
    except DataError as error:
        assert str(place) in str(error)
    else:
        assert all(torch.equal(after.split(split).features, expected[split]) for split in SPLITS)


def test_a_cache_that_cannot_be_written_is_refused_with_the_way_to_choose_another(original, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"cannot be written .*KWS_CACHE"):
        load(str(original), REPORT)


def test_nothing_but_features_is_put_into_the_cache_and_nothing_into_the_folder(folder, tmp_path):
    before = contents(folder)
    load(str(folder), REPORT)
    assert contents(folder) == before
    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {"features", "digests"}
    (place,) = cached(tmp_path)
    files = [f"{split}{rest}" for split in SPLITS for rest in (".npy", "-labels.npy", "-digests.bin", "-manifest.json")]
    assert sorted(contents(place)) == sorted(["card.json", *files])


# Clips that cannot be read


def test_an_unreadable_clip_is_named_with_the_way_to_leave_it_out(folder, tmp_path):
    bad = folder / "no" / "train3_nohash_0.wav"
    bad.write_text("not audio")
    with pytest.raises(ClipError) as caught:
        load(str(folder), REPORT)
    assert str(bad) in str(caught.value) and "--skip-unreadable" in str(caught.value)
    assert cached(tmp_path) == []


def test_an_unreadable_clip_can_be_left_out_and_is_listed(folder):
    whole = load(str(folder), REPORT)
    (folder / "no" / "train3_nohash_0.wav").write_text("not audio")
    (folder / "yes" / "test0_nohash_0.wav").write_text("not audio")
    for _ in range(2):  # computed, then cached
        rest = load(str(folder), REPORT, skip_unreadable=True)
        assert list(rest.left_out) == ["no/train3_nohash_0.wav", "yes/test0_nohash_0.wav"]
        assert rest.card.counts == {"train": (4, 5, 5), "validation": (2, 1, 2), "test": (0, 2, 2)}
        assert rest.card.fingerprint != whole.card.fingerprint
        assert rest.card.split_fingerprints["validation"] == whole.card.split_fingerprints["validation"]
        assert [len(rest.split(split)) for split in SPLITS] == [14, 5, 4]
    with pytest.raises(ClipError):  # what was left out once is not left out unasked
        load(str(folder), REPORT)


def test_what_is_left_when_a_clip_is_left_out_is_what_it_is_without_the_clip(folder, tmp_path):
    bad = folder / "no" / "train3_nohash_0.wav"
    bad.write_text("not audio")
    left_out = load(str(folder), report("yes", "no", "up", "left"), skip_unreadable=True)
    bad.unlink()
    assert_same(left_out, load(str(folder), report("yes", "no", "up", "left")))


def test_with_nothing_to_leave_out_the_data_is_the_same(original):
    assert_same(load(str(original), REPORT, skip_unreadable=True), load(str(original), REPORT))


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_called_like_a_clip_and_never_ends_is_refused_instead_of_waited_for(folder, kind):
    path = folder / "yes" / "train9_nohash_0.wav"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(load, str(folder), REPORT)
        _, waiting = wait([loading], timeout=20)
        if waiting and kind == "pipe":
            os.close(os.open(path, os.O_WRONLY))  # lets the reader go, so that this test ends
        assert not waiting
    assert str(path) in str(loading.exception()) and isinstance(loading.exception(), ClipError)
    assert load(str(folder), REPORT, skip_unreadable=True).left_out == ["yes/train9_nohash_0.wav"]


def test_where_no_clip_can_be_read_nothing_is_left(tmp_path):
    for word in WORDS:
        (tmp_path / "data" / word).mkdir(parents=True)
        (tmp_path / "data" / word / "a.wav").write_text("not audio")
    loaded = load(str(tmp_path / "data"), REPORT, skip_unreadable=True)
    assert sorted(loaded.left_out) == ["no/a.wav", "yes/a.wav"]
    with pytest.raises(DataError, match="no clips of 'yes'"):
        require_all_classes(loaded)


def test_a_clip_so_loud_that_it_overflows_does_not_spoil_the_others(folder):
    write(folder / "yes" / "train0_nohash_0.wav", np.full(16_000, 1e25), subtype="FLOAT")
    try:
        loaded = load(str(folder), REPORT)
    except ClipError as error:
        assert "train0_nohash_0.wav" in str(error)
    else:
        assert loaded.split("all").features.isfinite().all()


@pytest.mark.parametrize("name", [b"two words", "ñ 言葉".encode(), b"new\nline", b"it's", b"caf\xe9"], ids=repr)
def test_a_clip_may_have_any_name(folder, name):
    before = load(str(folder), REPORT).card
    path = Path(os.fsdecode(os.fsencode(folder / "yes") + b"/" + name + b"_nohash_0.wav"))
    try:
        write(folder / "new.wav", noise(99)).rename(path)
    except OSError:
        pytest.skip("this file system takes only names in Unicode")
    after = load(str(folder), REPORT).card
    assert sum(after.counts["train"]) > sum(before.counts["train"]), "both lists are there, so it is in training"
    assert after.fingerprint != before.fingerprint


# Fingerprints


def test_the_fingerprint_does_not_depend_on_where_the_folder_lies(original, tmp_path):
    here = load(str(original), REPORT).card
    moved = Path(shutil.copytree(original, tmp_path / "another name", copy_function=shutil.copyfile))
    there = load(str(moved), REPORT).card
    assert there.fingerprint == here.fingerprint
    assert there.source == "another name"


@pytest.mark.parametrize("way", ["absolute", "relative", "with a slash", "through a link"])
def test_a_folder_is_the_same_however_it_is_named(folder, tmp_path, way):
    first = load(str(folder), REPORT)
    (tmp_path / "link").symlink_to(folder)
    name = {"absolute": str(folder), "relative": "words", "with a slash": "./words/", "through a link": "link"}[way]
    assert_same(load(name, REPORT, track=refuse_to_track), first)


def test_flac_and_wav_of_the_same_samples_are_the_same_data(original, tmp_path):
    flac = tmp_path / "flac"
    for path in original.rglob("*.wav"):
        samples, rate = soundfile.read(path, dtype="int16")
        write(flac / path.relative_to(original).with_suffix(".flac"), samples, rate)
    for name in ("validation_list.txt", "testing_list.txt"):
        shutil.copy(original / name, flac / name)
    wavs, flacs = load(str(original), REPORT), load(str(flac), REPORT)
    assert wavs.card.fingerprint == flacs.card.fingerprint
    assert torch.equal(wavs.split("all").features, flacs.split("all").features)


def test_one_bit_of_one_clip_is_other_data(folder):
    before = load(str(folder), REPORT).card
    path = folder / "no" / "validation0_nohash_0.wav"
    samples, rate = soundfile.read(path, dtype="int16")
    samples[17] ^= 1
    write(path, samples, rate)
    after = load(str(folder), REPORT).card
    changed = {split for split in SPLITS if before.split_fingerprints[split] != after.split_fingerprints[split]}
    assert changed == {"validation"} and before.fingerprint != after.fingerprint


def test_what_is_not_drawn_does_not_matter(folder):
    before = load(str(folder), REPORT)
    write(folder / "_background_noise_" / "hum.wav", noise())
    (folder / "README.md").write_text("hello")
    assert_same(load(str(folder), REPORT, track=refuse_to_track), before)


# Sources


@pytest.mark.parametrize(
    "data",
    ["nowhere", "words/nowhere", "~nobody-by-this-name/words", "x" * 300],
    ids=["absent", "below one that is there", "nobody's", "too long"],
)
def test_a_source_that_is_nowhere_is_refused_by_name(data, original):
    with pytest.raises(DataError) as caught:
        load(data, REPORT)
    assert data in str(caught.value)


def test_a_file_is_no_source(tmp_path):
    path = write(tmp_path / "a.wav", noise())
    with pytest.raises(DataError, match=r"a\.wav is not a folder; .*synthetic"):
        load(str(path), REPORT)


@pytest.fixture
def course(tmp_path) -> Path:
    """The course's six arrays, few and small."""
    random = np.random.default_rng(0)
    folder = tmp_path / "course"
    folder.mkdir()
    for split, clips in (("train", 9), ("valid", 6), ("test", 4)):
        features = random.normal(-5, 3, (clips, 101, 40))
        labels = np.eye(3)[np.arange(clips) % 3]
        for name, array in ((f"X_{split}.p", features), (f"Y_{split}.p", labels)):
            with (folder / name).open("wb") as file:
                pickle.dump(array, file)
    return folder


def test_the_courses_arrays_are_a_data_set(course):
    loaded = load(str(course), REPORT)
    assert loaded.card.classes == ("yes", "no", "other")
    assert loaded.card.counts == {"train": (3, 3, 3), "validation": (2, 2, 2), "test": (2, 1, 1)}
    assert [tuple(loaded.split(split).features.shape) for split in SPLITS] == [(n, 101, 40) for n in (9, 6, 4)]
    with (course / "X_train.p").open("rb") as file:
        train = pickle.load(file)
    with (course / "X_test.p").open("rb") as file:
        test = pickle.load(file)
    assert (loaded.card.mean, loaded.card.std) == pytest.approx((train.mean(), train.std()), rel=1e-6)
    expected = torch.from_numpy((test - train.mean()) / train.std()).float()
    torch.testing.assert_close(loaded.split("test").features, expected, rtol=1e-5, atol=1e-5)
    assert loaded.split("test").labels.tolist() == [0, 1, 2, 0]
    assert loaded.split("test").features.dtype == torch.float32 and loaded.split("test").labels.dtype == torch.int64


def test_the_courses_arrays_are_cached_and_left_as_they_are(course, tmp_path):
    before = contents(course)
    first = load(str(course), REPORT)
    (place,) = cached(tmp_path)
    files = contents(place)
    assert_same(load(str(course), REPORT), first)
    assert cached(tmp_path) == [place] and contents(place) == files and contents(course) == before


def test_changed_arrays_are_other_data(course, tmp_path):
    before = load(str(course), REPORT).card
    array = np.random.default_rng(1).normal(size=(4, 101, 40))
    (course / "X_test.p").write_bytes(pickle.dumps(array))
    after = load(str(course), REPORT).card
    assert len(cached(tmp_path)) == 2
    assert after.split_fingerprints["train"] == before.split_fingerprints["train"]
    assert after.split_fingerprints["test"] != before.split_fingerprints["test"]


@pytest.mark.parametrize(("words", "classes"), [(("a", "b", "c"), ("a", "b", "c")), (("b", "a"), ("b", "a", "other"))])
def test_words_name_the_arrays_columns(course, words, classes):
    assert load(str(course), report(*words)).card.classes == classes


@pytest.mark.parametrize("words", [("yes",), ("a", "b", "c", "d")])
def test_words_that_do_not_fit_the_arrays_are_refused(course, words):
    with pytest.raises(DataError, match=rf"have 3 classes, but --words names {len(words)}; name 2 of them"):
        load(str(course), report(*words))


def test_some_of_the_arrays_alone_are_refused_by_name(course):
    (course / "Y_valid.p").unlink()
    with pytest.raises(DataError, match=r"lacks Y_valid\.p"):
        load(str(course), REPORT)


def test_a_split_counts_its_clips():
    assert len(Split(torch.zeros(3, 101, 40), torch.zeros(3, dtype=torch.int64))) == 3
