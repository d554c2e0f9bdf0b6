"""`kws record`: leads through recording words with a microphone, take by take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.inference.takes import Room
    from kws.speech.takes_folder import TakesFolder

SCHEMA = 1
_PATIENCE_S = 6.0  # until it is said that nothing was said
_KEYS = "Enter: another word, r: redo the last, q: stop"


def record(
    words: Annotated[str, typer.Option(metavar="WORD,WORD,...", help="What is said, as in lamp,heater.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where takes are written, and go on.")
    ] = Path("recordings"),
    takes: Annotated[int, typer.Option(min=1, help="Takes of each word in this session.")] = 10,
    session: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Who speaks, and where, as in anna: one that is there goes on. By default new."
        ),
    ] = None,
    room_seconds: Annotated[
        float, typer.Option(min=1, max=60, help="How long the room is recorded first.", callback=options.number)
    ] = 4.0,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A microphone by its number or a part of its name; else the system's own."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Record words with a microphone, led take by take.

    The room is recorded first, which decides what is too quiet. Then each word is shown in mixed order, and a second is
    kept once it was said; what is too quiet, clipped, cut off or too long is said, and asked for again. Clips are those
    of a speaker who is called as the session is, so that no session is in two splits: one session a person. Nothing is
    overwritten, and Ctrl-C loses no take: the same command with --session goes on. It needs the extra `listen`.

    Example: kws record --words lamp,heater --session anna
    """
    from kws.errors import DataError
    from kws.inference import microphone
    from kws.speech import word_folders
    from kws.speech.takes_folder import TakesFolder
    from kws.terminal import console, recording
    from kws.terminal.keys import has_keys, keys
    from kws.training.stopping import Stopped, stoppable

    said = word_folders.read(words)
    to = TakesFolder.of(out, session)
    if not (has_keys() and recording.has_screen()):
        raise DataError(
            "kws record leads through recording by keys, and needs a terminal; run it in one, without a pipe"
        )
    if to.missing(said, takes):
        stopped = None
        with microphone.opened(device) as heard:
            to.next_room()  # fails early where nothing can be written
            console.say(f"{console.visible(heard.name)}; session {to.session}; {_KEYS}")
            studio = Studio(to, heard.pieces(), lambda: heard.lost)
            try:
                with stoppable(), keys() as studio.pressed, recording.prompt() as studio.prompt:
                    studio.lead(said, takes, room_seconds)
            except KeyboardInterrupt as stop:
                stopped = stop
        _close(studio, words=said, takes=takes, as_json=json)
        if stopped is not None:
            raise Stopped(stopped)
    else:
        _close(Studio(to, iter(()), lambda: 0), words=said, takes=takes, as_json=json)


class _Stop(Exception):  # noqa: N818 - no error
    """It was asked to stop."""


@dataclass
class Studio:
    """Records takes into a folder: from pieces of sound, of which so many blocks are lost, by keys, with a prompt."""

    to: TakesFolder
    pieces: Iterator[NDArray[np.float32]]
    lost: Callable[[], int]
    pressed: Callable[[], str | None] = lambda: None  # kws.terminal.keys
    prompt: Any = None  # kws.terminal.recording
    kept: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)

    def lead(self, words: tuple[str, ...], takes: int, room_seconds: float) -> None:
        """Record until each word has its takes, or q is pressed. Raises KwsError and KeyboardInterrupt."""
        from kws.terminal.keys import ENTER

        try:
            for piece, key in self._heard():
                self._show("Enter begins, with the room: be quiet then", piece)
                if key == ENTER:
                    break
            room = self._room(room_seconds)
            last: Path | None = None
            waiting = self.to.missing(words, takes)
            while waiting:
                word = waiting.pop(0)
                kept, key = self._take(word, room, f"{len(waiting) + 1} to go")
                if key == "r" and last is not None:
                    waiting[:0] = [last.parent.parent.name, word]
                    last.unlink(missing_ok=True)
                    self.kept[waiting[0]] -= 1
                    self.prompt.say(f"  {last} is gone; once more")
                    last = None
                elif key == "r":
                    waiting.insert(0, word)
                elif kept is None:
                    waiting.append(word)
                else:
                    last = kept
        except _Stop:
            pass

    def _room(self, seconds: float) -> Room:
        """The room, which is recorded until nothing but it is heard."""
        import numpy as np

        from kws.errors import DataError
        from kws.inference import takes
        from kws.speech import long
        from kws.speech.decode import SAMPLE_RATE_HZ

        while True:
            parts: list[NDArray[np.float32]] = []
            left = seconds
            for piece, _ in self._heard():
                self._show(f"the room, be quiet: {left:.0f} s", piece)
                parts.append(piece)
                left -= len(piece) / SAMPLE_RATE_HZ
                if left <= 0:
                    break
            samples = np.concatenate(parts)
            room = takes.Room.of(samples)
            if room.why == takes.MUTED:
                raise DataError(takes.MUTED)
            if not room.why:
                long.write(path := self.to.next_room(), [samples])
                self.prompt.say(f"  the room: {room.median_db:.0f} dB, kept as {path}")
                return room
            self.prompt.say(f"  {room.why}; once more, quietly")

    def _take(self, word: str, room: Room, count: str) -> tuple[Path | None, str | None]:
        """The file of a take of a word, or None and the key that was pressed instead."""
        from kws.inference import takes
        from kws.speech import long
        from kws.terminal import console
        from kws.terminal.keys import ENTER

        name = console.visible(word)
        ear, lost = takes.Ear(room), self.lost()
        for piece, key in self._heard():
            self._show(_asks(name, ear, count), piece)
            if key in ("r", ENTER):
                return None, key
            samples = ear.push(piece)
            if samples is not None:
                take = takes.judged(samples, room)
                why = takes.LOST if self.lost() > lost else take.why
                if not why:
                    long.write(path := self.to.next_take(word), [take.clip])
                    self.kept[word] += 1
                    self.prompt.say(f"  {name}: {take.level_db:.0f} dB, {take.over_room_db:.0f} dB over the room; kept")
                    return path, None
            elif ear.hears or ear.waited_s < _PATIENCE_S:
                continue
            else:
                why = takes.LOUDER if ear.is_waiting_for_quiet else takes.NOTHING
            self.rejected[why] += 1
            self.prompt.say(f"  {name}: {why}; once more")
            ear, lost = takes.Ear(room), self.lost()
        return None, None

    def _heard(self) -> Iterator[tuple[NDArray[np.float32], str | None]]:
        """Each piece, with the key that was pressed meanwhile. q ends it all."""
        for piece in self.pieces:
            key = self.pressed()
            if key == "q":
                raise _Stop
            yield piece, key

    def _show(self, what: str, piece: NDArray[np.float32]) -> None:
        from kws.inference.microphone import level_db

        self.prompt.show(what, level_db(piece))


def _asks(name: str, ear: Any, count: str) -> str:
    if ear.hears:
        return f"... {name}"
    return f"(quiet, please)  {name}" if ear.is_waiting_for_quiet else f"say: {name}  ({count})"


def _close(studio: Studio, *, words: tuple[str, ...], takes: int, as_json: bool) -> None:
    """Say what there is now, and how to go on."""
    import shlex

    from kws.terminal import console

    to = studio.to
    there = {word: len(to.takes_of(word)) for word in words}
    counts = ", ".join(f"{console.visible(word)} {count}" for word, count in there.items())
    reasons = [f"{count} {why.partition(':')[0].partition(';')[0]}" for why, count in studio.rejected.items()]
    kept = studio.kept.total()
    rejected = f"{studio.rejected.total()} rejected" + (f" ({', '.join(reasons)})" if reasons else "")
    console.say(f"{kept} take{'' if kept == 1 else 's'} kept, {rejected}")
    console.say(f"session {to.session} has: {counts}")
    if len(to.missing(words, takes)):
        again = ["kws", "record", "--words", ",".join(words), "--out", str(to.folder), "--takes", str(takes)]
        console.say(f"go on with: {shlex.join([*again, '--session', to.session])}")
    if as_json:
        console.print_json(
            {
                "schema": SCHEMA,
                "folder": str(to.folder),
                "session": to.session,
                "kept": {word: studio.kept[word] for word in words},
                "rejected": dict(studio.rejected),
                "takes": there,
            }
        )
    else:
        typer.echo(to.folder)
