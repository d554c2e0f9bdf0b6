import dataclasses
import errno
import functools
import hashlib
import io
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from recordings import noise, write, write_folder

from kws.errors import DownloadError
from kws.recipe import TASK
from kws.speech import archives
from kws.speech.archives import ARCHIVES, Archive, folder, is_there, place
from kws.speech.dataset import load

CLIPS = {
    "yes/a.wav": b"RIFF yes",
    "yes/b.wav": b"RIFF yes, too" * 1000,
    "no/a.wav": b"",
    "validation_list.txt": b"yes/b.wav\n",
}


def tar_of(members: dict[str, bytes], *special: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in special:  # a header alone, whatever size it tells; addfile refuses that since Python 3.13
            tar.fileobj.write(info.tobuf(tar.format, tar.encoding, tar.errors))
    return buffer.getvalue()


def zip_of(members: dict[str, bytes], *special: zipfile.ZipInfo) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
        for info in special:
            archive.writestr(info, b"target")
    return buffer.getvalue()


MAKE = {".tar.gz": tar_of, ".zip": zip_of}
both_kinds = pytest.mark.parametrize("ending", MAKE)


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


class Server(ThreadingHTTPServer):
    """Serves `files`; a path below /broken ends early, below /silent stalls, below /500 fails."""

    files: dict[str, bytes]
    requests: list[str]

    def archive(self, body: bytes, ending: str = ".tar.gz", *, below: str = "", **facts) -> Archive:
        path = f"{below}/words{ending}"
        self.files[path] = body
        known = {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)} | facts
        return Archive(name="words", url=f"http://127.0.0.1:{self.server_port}{path}", title="Words", **known)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *args) -> None:
        pass

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        body = self.server.files.get(self.path)
        if body is None or self.path.startswith("/500"):
            self.send_error(404 if body is None else 500)
            return
        self.send_response(200)
        if not self.path.startswith("/unannounced"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path.startswith(("/broken", "/silent")):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if self.path.startswith("/silent"):
                time.sleep(0.5)
            return
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.files, server.requests = {}, []
        thread = threading.Thread(target=functools.partial(server.serve_forever, poll_interval=0.01), daemon=True)
        thread.start()
        yield server
        server.shutdown()


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


def by_hand(body: bytes, cache: Path, ending: str = ".tar.gz", **facts) -> Archive:
    """An archive that lies at its place and whose server does not exist."""
    known = {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)} | facts
    archive = Archive(name="words", url=f"http://127.0.0.1:{free_port()}/words{ending}", title="Words", **known)
    cache.mkdir(exist_ok=True)
    place(archive, cache).write_bytes(body)
    return archive


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def refusal(archive: Archive, cache: Path) -> str:
    with pytest.raises(DownloadError) as caught:
        folder(archive, cache)
    message = str(caught.value)
    assert "\n" not in message and not message.endswith("."), "one sentence, as the command line shows it"
    return message


def test_the_archives_are_the_published_ones():
    full, mini, test = (ARCHIVES[name] for name in ("speech-commands", "mini-speech-commands", "speech-commands-test"))
    assert list(ARCHIVES) == [full.name, mini.name, test.name]
    assert test.url == "https://download.tensorflow.org/data/speech_commands_test_set_v0.02.tar.gz"
    assert test.sha256 is None and test.bytes is None
    assert full.url == "https://download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
    assert full.bytes == 2_428_923_189
    assert full.sha256 == "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
    assert mini.url == "https://storage.googleapis.com/download.tensorflow.org/data/mini_speech_commands.zip"
    assert mini.sha256 is None and mini.bytes is None
    assert not any("\n" in archive.title for archive in ARCHIVES.values())


@both_kinds
def test_an_archive_is_downloaded_once_and_needs_no_network_after_that(server, cache, ending):
    archive = server.archive(MAKE[ending](CLIPS), ending)
    assert not is_there(archive, cache)
    unpacked = folder(archive, cache)
    assert unpacked == cache / "words" and contents(unpacked) == CLIPS
    assert is_there(archive, cache)
    assert sorted(path.name for path in cache.iterdir()) == ["words", f"words{ending}"]
    assert folder(archive, cache) == unpacked and len(server.requests) == 1


@both_kinds
def test_an_archive_without_published_checksum_or_size_is_taken_whole(server, cache, ending):
    assert contents(folder(server.archive(MAKE[ending](CLIPS), ending, sha256=None, bytes=None), cache)) == CLIPS


def test_the_official_test_archive_is_downloaded_with_its_folders_of_no_words_and_is_a_test_split(
    server, tmp_path, monkeypatch
):
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    words = ARCHIVES["speech-commands-test"].words
    data = write_folder(tmp_path / "clips", dict.fromkeys((*words, "cat"), (1, 1, 1)), seconds=0.01)
    write(data / "_background_noise_" / "hum.wav", noise(0, seconds=10))
    clip = (data / "cat" / "test0_nohash_0.wav").read_bytes()
    names = [f"{word}/0a_nohash_0.wav" for word in (*words, "_unknown_")] + ["_silence_/0.wav"]
    body = tar_of({f"./{name}": clip for name in names} | {"./README.md": b"about it"})
    url = server.archive(body).url
    monkeypatch.setitem(
        ARCHIVES, "speech-commands-test", dataclasses.replace(ARCHIVES["speech-commands-test"], url=url)
    )
    for _ in range(2):
        card = load(str(data), TASK.part("v2-12").config(test_data="speech-commands-test")).card
        assert sorted(card.manifests["test"].paths) == sorted(f"speech-commands-test/{name}" for name in names)
        assert len(server.requests) == 1


def test_a_server_that_announces_no_length_is_read_to_its_end(server, cache):
    archive = server.archive(zip_of(CLIPS), ".zip", below="/unannounced", sha256=None, bytes=None)
    assert contents(folder(archive, cache)) == CLIPS


@both_kinds
def test_a_single_top_folder_and_the_rubbish_beside_it_disappear(server, cache, ending):
    rubbish = {"__MACOSX/words/._a.wav": b"x", "top/yes/._a.wav": b"x", "./top/.DS_Store": b"x"}
    archive = server.archive(MAKE[ending]({f"./top/{name}": clip for name, clip in CLIPS.items()} | rubbish), ending)
    assert contents(folder(archive, cache)) == CLIPS


@both_kinds
def test_an_archive_put_by_hand_is_used_without_network(cache, ending):
    archive = by_hand(MAKE[ending](CLIPS), cache, ending)
    assert contents(folder(archive, cache)) == CLIPS
    assert place(archive, cache).exists()


@both_kinds
def test_progress_adds_up_to_the_bytes_of_the_archive(server, cache, ending):
    seen: dict[str, list[int]] = {}

    def track(items, /, *, total, what, unit="clips"):
        assert unit == "bytes"
        seen[what] = [total, 0]
        for item in items:
            seen[what][1] += len(item)
            yield item

    body = MAKE[ending](CLIPS)
    folder(server.archive(body, ending), cache, track=track)
    assert seen == {"Downloading words": [len(body)] * 2, "Unpacking words": [len(body)] * 2}
    seen.clear()
    other = cache / "by hand"
    folder(by_hand(body, other, ending), other, track=track)
    assert seen == {"Checking words": [len(body)] * 2, "Unpacking words": [len(body)] * 2}


def test_a_download_with_a_wrong_checksum_is_discarded(server, cache):
    body = tar_of(CLIPS)
    archive = server.archive(body, sha256="0" * 64)
    message = refusal(archive, cache)
    assert "0" * 64 in message and hashlib.sha256(body).hexdigest() in message and "words.tar.gz" in message
    assert list(cache.iterdir()) == []


def test_a_file_put_by_hand_with_a_wrong_checksum_is_refused_and_kept(cache):
    body = tar_of(CLIPS)
    archive = by_hand(body, cache, sha256="0" * 64)
    message = refusal(archive, cache)
    assert "0" * 64 in message and hashlib.sha256(body).hexdigest() in message and str(place(archive, cache)) in message
    assert contents(cache) == {"words.tar.gz": body}


def test_a_file_put_by_hand_of_another_size_is_refused_and_kept(cache):
    archive = by_hand(tar_of(CLIPS), cache, bytes=10_000)
    assert "10,000 are expected" in refusal(archive, cache)
    assert [path.name for path in cache.iterdir()] == ["words.tar.gz"]


@pytest.mark.parametrize("known", [{}, {"sha256": None, "bytes": None}], ids=["known", "unknown"])
@pytest.mark.parametrize(
    ("below", "reason"),
    [
        ("/500", "the server answered 500"),
        ("/broken", "broke off"),
        ("/silent", "no answer within 0.1 s"),
    ],
)
def test_a_server_that_fails_leaves_a_sentence_and_nothing_else(server, cache, monkeypatch, below, reason, known):
    if below == "/silent":
        monkeypatch.setattr(archives, "TIMEOUT_S", 0.1)
    archive = server.archive(zip_of(CLIPS), ".zip", below=below, **known)
    message = refusal(archive, cache)
    assert reason in message and archive.url in message and str(place(archive, cache)) in message
    assert list(cache.iterdir()) == []


def test_a_word_in_an_error_is_no_timeout():
    import requests
    from urllib3.exceptions import MaxRetryError, ProtocolError, ReadTimeoutError

    told = archives._reason(requests.ConnectionError("the host timed-out.example said: timed out"), 0)
    assert told == "no connection"
    for inner in (
        ReadTimeoutError(None, "/", "silence"),
        ProtocolError("broken", TimeoutError()),
        MaxRetryError(None, "/", ReadTimeoutError(None, "/", "silence")),
    ):
        assert archives._reason(requests.ConnectionError(inner), 10).startswith("no answer within")
    assert archives._reason(requests.ConnectionError(ProtocolError("broken", ConnectionResetError())), 10) == (
        "it broke off before its end"
    )


def test_an_archive_that_is_not_on_the_server_is_named(server, cache):
    archive = server.archive(b"")
    server.files.clear()
    message = refusal(archive, cache)
    assert "the server answered 404" in message and archive.url in message and str(place(archive, cache)) in message


@pytest.mark.parametrize("below", ["", "/unannounced"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_a_download_of_another_size_is_refused(server, cache, below, difference):
    body = tar_of(CLIPS)
    message = refusal(server.archive(body, below=below, bytes=len(body) + difference), cache)
    assert re.search(f"{len(body) + difference:,}|more than", message)
    assert list(cache.iterdir()) == []


def test_without_network_the_sentence_says_where_to_put_the_file(cache, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    archive = Archive("words", f"http://127.0.0.1:{free_port()}/words.zip", None, None, "Words")
    message = refusal(archive, cache)
    assert "no connection" in message and archive.url in message and str(cache / "words.zip") in message
    assert list(cache.iterdir()) == []


def special_tar(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def special_zip(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (mode | 0o644) << 16
    return info


def unlike_declared_zip() -> bytes:
    """A zip whose one member declares more bytes than it holds."""
    body = bytearray(zip_of({"a": b"1234"}))
    struct.pack_into("<I", body, body.index(b"PK\x01\x02") + 24, 5)
    return bytes(body)


def encrypted_zip() -> bytes:
    """A zip whose one member says that it is encrypted."""
    body = bytearray(zip_of({"a": b"1234"}))
    body[body.index(b"PK\x01\x02") + 8] |= 1
    return bytes(body)


def sparse_tar() -> bytes:
    """A tar whose one member is a sparse file of 1 TiB."""
    info = special_tar("yes/a.wav", tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"%011o\0" % 2**32
    header[148:156] = b"%06o\0 " % tarfile.calc_chksums(bytes(header))[0]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.fileobj.write(bytes(header))
    return buffer.getvalue()


OUTSIDE, PLAIN, MUCH, TWICE, WHOLE = "outside its folder", "neither a plain file", "more than", "twice", "not a whole"
HOSTILE = {
    "tar: absolute": (".tar.gz", tar_of(CLIPS | {"/tmp/kws-escaped": b"x"}), OUTSIDE),
    "tar: parent": (".tar.gz", tar_of(CLIPS | {"yes/../../escaped": b"x"}), OUTSIDE),
    "tar: symlink": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.SYMTYPE, "/etc/passwd")), PLAIN),
    "tar: symlink inside": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.SYMTYPE, "a.wav")), PLAIN),
    "tar: hard link": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.LNKTYPE, "yes/a.wav")), PLAIN),
    "tar: device": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.CHRTYPE)), PLAIN),
    "tar: pipe": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.FIFOTYPE)), PLAIN),
    "tar: sparse": (".tar.gz", sparse_tar(), PLAIN),
    "tar: oversize": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.REGTYPE, size=9 * 2**30)), MUCH),
    "tar: declares more": (".tar.gz", tar_of(CLIPS, special_tar("yes/c.wav", tarfile.REGTYPE, size=10**6)), WHOLE),
    "tar: twice": (".tar.gz", tar_of(CLIPS | {"./yes/a.wav": b"x"}), TWICE),
    "tar: file as folder": (".tar.gz", tar_of(CLIPS | {"yes/a.wav/b/c.wav": b"x"}), TWICE),
    "tar: cut off": (".tar.gz", tar_of(CLIPS)[:-30], WHOLE),
    "tar: not one": (".tar.gz", b"<html>Sign in to this network</html>", WHOLE),
    "tar: empty": (".tar.gz", tar_of({}), "no file at all"),
    "zip: absolute": (".zip", zip_of(CLIPS | {"/tmp/kws-escaped": b"x"}), OUTSIDE),
    "zip: parent": (".zip", zip_of(CLIPS | {"yes/../../escaped": b"x"}), OUTSIDE),
    "zip: parent with \\": (".zip", zip_of(CLIPS | {"yes\\..\\..\\escaped": b"x"}), OUTSIDE),
    "zip: drive": (".zip", zip_of(CLIPS | {"C:/escaped": b"x"}), OUTSIDE),
    "zip: symlink": (".zip", zip_of(CLIPS, special_zip("yes/c.wav", stat.S_IFLNK)), PLAIN),
    "zip: device": (".zip", zip_of(CLIPS, special_zip("yes/c.wav", stat.S_IFCHR)), PLAIN),
    "zip: encrypted": (".zip", encrypted_zip(), PLAIN),
    "zip: declares more": (".zip", unlike_declared_zip(), WHOLE),
    "zip: twice": (".zip", zip_of(CLIPS | {"./yes/a.wav": b"x"}), TWICE),
    "zip: cut off": (".zip", zip_of(CLIPS)[:-30], WHOLE),
    "zip: not one": (".zip", b"<html>Sign in to this network</html>", WHOLE),
    "zip: empty": (".zip", zip_of({}), "no file at all"),
}


@pytest.mark.parametrize(("ending", "body", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_or_broken_archive_is_refused_and_leaves_nothing(server, cache, ending, body, reason):
    message = refusal(server.archive(body, ending), cache)
    assert reason in message and f"words{ending}" in message
    assert list(cache.iterdir()) == []
    assert not (cache.parent / "escaped").exists() and not Path("/tmp/kws-escaped").exists()


def test_a_broken_archive_that_was_put_by_hand_is_kept(cache):
    archive = by_hand(tar_of(CLIPS)[:-30], cache)
    assert WHOLE in refusal(archive, cache)
    assert [path.name for path in cache.iterdir()] == ["words.tar.gz"]


@both_kinds
@pytest.mark.parametrize(("limit", "value"), [("MAX_MEMBERS", 3), ("MAX_BYTES", 10_000)])
def test_an_archive_of_too_many_files_or_bytes_is_refused(cache, monkeypatch, ending, limit, value):
    monkeypatch.setattr(archives, limit, value)
    assert MUCH in refusal(by_hand(MAKE[ending](CLIPS), cache, ending), cache)


@pytest.mark.parametrize("stage", ["Downloading", "Unpacking"])
def test_an_interruption_leaves_no_half_and_the_next_call_succeeds(server, cache, stage):
    def interrupt(items, /, *, total, what, unit="clips"):
        for count, item in enumerate(items):
            if what.startswith(stage) and (count or stage == "Downloading"):
                raise KeyboardInterrupt
            yield item

    archive = server.archive(tar_of(CLIPS))
    with pytest.raises(KeyboardInterrupt):
        folder(archive, cache, track=interrupt)
    assert [path.name for path in cache.iterdir()] == ([] if stage == "Downloading" else ["words.tar.gz"])
    assert contents(folder(archive, cache)) == CLIPS
    assert len(server.requests) == (2 if stage == "Downloading" else 1), "a whole download is not repeated"


def test_a_full_disk_is_one_sentence(server, cache):
    def full(items, /, *, total, what, unit="clips"):
        for item in items:
            if what.startswith("Unpacking"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield item

    with pytest.raises(DownloadError, match="No space left on device") as caught:
        folder(server.archive(tar_of(CLIPS)), cache, track=full)
    assert str(cache) in str(caught.value)
    assert [path.name for path in cache.iterdir()] == ["words.tar.gz"]


def test_a_cache_folder_that_cannot_be_written_is_one_sentence(server, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    assert str(file / "cache") in refusal(server.archive(tar_of(CLIPS)), file / "cache")


def test_a_file_in_the_way_of_the_folder_is_one_sentence(server, cache):
    cache.mkdir()
    (cache / "words").write_text("in the way")
    assert "Not a directory" in refusal(server.archive(tar_of(CLIPS)), cache)


def test_an_empty_folder_of_that_name_is_not_taken_for_the_archive(server, cache):
    (cache / "words").mkdir(parents=True)
    assert contents(folder(server.archive(tar_of(CLIPS)), cache)) == CLIPS


WORDS = {"words": ("yes", "no", "up", "down")}
WORDLESS = {
    "other words": {"seven/a.wav": b"RIFF", "eight/b.wav": b"RIFF"},
    "a note": {"README.md": b"the clips are elsewhere"},
    "empty words": {"yes/README.md": b"", "no/._a.wav": b""},
    "deeper": {"clips/more/yes/a.wav": b"RIFF", "clips/README.md": b""},
    "a word that is a file": {"yes": b"RIFF", "no": b"RIFF"},
}


@both_kinds
@pytest.mark.parametrize("members", WORDLESS.values(), ids=WORDLESS)
def test_an_archive_that_holds_none_of_the_words_is_refused_and_never_there(server, cache, ending, members):
    archive = dataclasses.replace(by_hand(MAKE[ending](members), cache, ending), **WORDS)
    message = refusal(archive, cache)
    assert "holds no recordings of yes, no, up or any other of its 4 words; put the right archive there" in message
    assert str(place(archive, cache)) in message
    assert not is_there(archive, cache)
    assert [path.name for path in cache.iterdir()] == [f"words{ending}"]
    downloaded = dataclasses.replace(server.archive(MAKE[ending](members), ending), **WORDS)
    (cache / f"words{ending}").unlink()
    assert "holds no recordings of" in refusal(downloaded, cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("members", WORDLESS.values(), ids=WORDLESS)
def test_a_folder_in_the_archives_place_with_none_of_the_words_is_not_the_archive(server, cache, members):
    for name, content in members.items():
        (cache / "words" / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / "words" / name).write_bytes(content)
    archive = dataclasses.replace(server.archive(tar_of(CLIPS)), **WORDS)
    assert not is_there(archive, cache)
    assert "has no recordings of yes, no, up or any other of its 4 words; move it away" in refusal(archive, cache)
    assert server.requests == []
    (cache / "words").rename(cache / "away")
    assert contents(folder(archive, cache)) == CLIPS


@both_kinds
@pytest.mark.parametrize("name", ["up/a.wav", "down/b.FLAC", "top/yes/c.ogg"])
def test_an_archive_with_a_recording_of_one_of_the_words_is_there(cache, ending, name):
    archive = dataclasses.replace(by_hand(MAKE[ending]({name: b"RIFF"}), cache, ending), **WORDS)
    assert not is_there(archive, cache)
    folder(archive, cache)
    assert is_there(archive, cache)


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_list_of_sources_says_what_is_there(cache, monkeypatch, name):
    """As `kws data list` does, of a folder that somebody has put in the archive's place."""
    from kws.speech import sources

    monkeypatch.setenv("KWS_CACHE", str(cache))

    def there():
        return {entry.name: entry.is_there for entry in sources.catalogue()}[name]

    assert len(set(ARCHIVES[name].words)) == int(re.search(r"(\d+) words", ARCHIVES[name].title)[1])
    (cache / name / "LICENSE").parent.mkdir(parents=True)
    (cache / name / "LICENSE").write_text("CC BY 4.0")
    assert not there()
    (cache / name / "yes").mkdir()
    assert not there()
    (cache / name / "yes" / "a.wav").write_bytes(b"RIFF")
    assert there()


@both_kinds
def test_threads_at_once_all_get_the_same_whole_folder(server, cache, ending):
    archive = server.archive(MAKE[ending]({f"top/{name}": clip for name, clip in CLIPS.items()}), ending)
    barrier = threading.Barrier(4)

    def together(items, /, *, total, what, unit="clips"):
        if what.startswith("Downloading"):
            barrier.wait(5)
        return iter(items)

    with ThreadPoolExecutor(4) as pool:
        folders = list(pool.map(lambda _: folder(archive, cache, track=together), range(4)))
    assert set(folders) == {cache / "words"} and contents(cache / "words") == CLIPS
    assert sorted(path.name for path in cache.iterdir()) == ["words", f"words{ending}"]


def test_processes_at_once_all_succeed(cache):
    archive = by_hand(tar_of({f"yes/{number}.wav": b"RIFF" * 100 for number in range(300)}), cache)
    code = f"""if True:
        import pathlib
        from kws.speech.archives import Archive, folder
        print(len(list(folder({archive!r}, pathlib.Path({str(cache)!r})).iterdir())))
    """
    runs = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [run.communicate(timeout=30)[0] for run in runs] == ["300\n"] * 3
    assert sorted(path.name for path in cache.iterdir()) == ["words", "words.tar.gz"]
