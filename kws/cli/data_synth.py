"""`kws data synth`: words said by synthetic speakers, as a folder of recordings."""

from pathlib import Path
from typing import Annotated

import typer

from kws.cli import options

SCHEMA = 1
TAKES = 2


def synth(
    words: Annotated[
        str | None, typer.Option(metavar="WORD,WORD,...", help="What they say, as in lamp,heater; in any script.")
    ] = None,
    language: Annotated[
        str, typer.Option(metavar="CODE|list", help="As in de or pt-br; `list` lists those that there are.")
    ] = "en",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="A new folder. By default synthetic-LANGUAGE.")
    ] = None,
    voices: Annotated[
        int | None, typer.Option(min=1, help="So many voices. By default 100, or all that the language has.")
    ] = None,
    takes: Annotated[int, typer.Option(min=1, help="How often each voice says each word.")] = TAKES,
    json: options.Json = False,
) -> None:
    """Write recordings of synthetic speakers who say the words.

    eSpeak NG speaks, in any of its languages, and better voices as well where their packages are installed. The folder
    has one folder per word, as kws reads it: 1 s, 16 kHz. The same command writes the same bytes. A word that takes
    longer than a second is left out, which is counted. Accuracies on such clips do not say how well a network hears
    people: train on them first, then on recordings of people with --from.

    Example: kws data synth --words lamp,heater --language en
    """
    from kws.errors import DataError
    from kws.recipe import counted
    from kws.speech import better_voices, languages, synthetic_words, word_folders
    from kws.terminal import console

    if language.strip().lower() == languages.LIST:
        _print_languages(languages.every_language(), as_json=json)
        return
    if words is None:
        raise DataError("kws data synth needs --words: what is to be said, as in --words lamp,heater")
    said = word_folders.read(words)
    spoken = languages.language(language)
    accents = languages.accents(spoken)
    folder = out or Path(f"synthetic-{spoken.code}")
    better = better_voices.installed(accents)
    made = synthetic_words.write(folder, said, spoken, voices, takes=takes, better=better, track=console.track)
    for word, count in made.too_long.items():
        of = count + made.clips[word]
        console.say(
            f"note: {console.visible(word)} takes longer than a clip of 1 s in {count:,} of {of:,}, which are left out"
            + ("" if made.clips[word] else ": it has no clips")
        )
    counts = ", ".join(f"{console.visible(word)} {made.clips[word]:,}" for word in said)
    accent = f" in {len(accents)} accents" if len(accents) > 1 else ""
    by = f"{made.voices:,} voice{'' if made.voices == 1 else 's'} of eSpeak NG {made.espeak}{accent}"
    by += "".join(f" and by {name}" for name in made.better)
    console.say(f"{counted(made.clips.total(), 'clip')} ({counts}) by {by}")
    if not better and (packages := better_voices.that_would_help(accents)):
        console.say(f"note: `pip install {packages}` adds better voices")
    if json:
        console.print_json({"schema": SCHEMA, "folder": str(folder), "language": spoken.code, **made.record()})
    else:
        typer.echo(folder)


def _print_languages(found: list, *, as_json: bool) -> None:
    from kws.terminal import console

    if as_json:
        console.print_json({"schema": SCHEMA, "languages": [each._asdict() for each in found]})
    else:
        for each in found:
            typer.echo(f"{each.code:<18}{each.name}")
