"""Languages that eSpeak NG speaks, as its voice data names them, and the accents of each.

A language alone (`en`, `pt`) is spoken with all of its accents, and `en-us` or `pt-br` with that one. Voices that read
the language in another script (`en-shaw`, `fa-latn`) speak only where they are named.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import NamedTuple

from kws.errors import DataError
from kws.speech import synthetic

LIST = "list"
_NAME = re.compile(r"^name +(.+?)\s*(?://.*)?$", re.MULTILINE)
_ALSO = re.compile(r"^language +(\S+)", re.MULTILINE)
_DICTIONARY = re.compile(r"^dictionary +(\S+)", re.MULTILINE)
_SCRIPT = re.compile(r"-(latn|shaw)\b")
_SHOWN = 4


class Language(NamedTuple):
    """A language, or an accent of one: what eSpeak NG calls it, and its name in English."""

    code: str
    name: str


def every_language() -> list[Language]:
    """All languages of the eSpeak NG that is installed, by code. Raises DataError if it cannot be used."""
    found = []
    for code, text in sorted(_texts().items()):
        name = _NAME.search(text)
        found.append(Language(code, name[1] if name else code))
    return found


def language(wanted: str) -> Language:
    """The language that is called so, as in "de", "pt-br", "pt_BR", "zh" or "german".

    Raises DataError, which names the nearest.
    """
    texts = _texts()
    known = {each.code: each for each in every_language()}
    code = " ".join(wanted.lower().replace("_", "-").split())
    called: dict[str, str] = {}
    for each in known.values():
        called.setdefault(each.name.partition(" (")[0].lower(), each.code)
        for also in _ALSO.findall(texts[each.code]):
            if "-" not in also:
                called.setdefault(also, each.code)
    if found := known.get(code) or known.get(called.get(code, "")):
        return found
    begins = [each for each in known if each.partition("-")[0] == code.partition("-")[0]]
    near = difflib.get_close_matches(code, [*called, *known], n=_SHOWN, cutoff=0.5)
    codes = list(dict.fromkeys([*begins, *(called.get(each, each) for each in near)]))[:_SHOWN]
    listed = ", ".join(f"{each} ({known[each].name})" for each in codes)
    nearest = f"near it {'is' if len(codes) == 1 else 'are'} {listed}; " if codes else ""
    raise DataError(f"eSpeak NG has no language {wanted!r}; {nearest}`kws data synth --language list` lists all")


def accents(of: Language) -> tuple[str, ...]:
    """What a language is spoken with: all accents of a language alone, else the one that was named."""
    if of.code == "en":
        return synthetic.ACCENTS
    codes = (each.code for each in every_language() if each.code.startswith(f"{of.code}-") and "-" not in of.code)
    return (of.code, *(code for code in codes if not _SCRIPT.search(code)))


def _texts() -> dict[str, str]:
    """The files that describe languages, by code, without those whose dictionary is missing: they say nothing."""
    try:
        import espeakng_loader

        data = Path(espeakng_loader.get_data_path())
        files = {file.name.lower(): file for file in (data / "lang").rglob("*") if file.is_file()}
        texts = {code: file.read_text(encoding="utf-8") for code, file in files.items()}
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise synthetic.unusable(str(error)) from None
    found = {code: text for code, text in texts.items() if (data / f"{_dictionary(text)}_dict").is_file()}
    if not found:
        raise synthetic.unusable("it finds no voice data")
    return found


def _dictionary(text: str) -> str:
    named = _DICTIONARY.search(text) or _ALSO.search(text)
    return named[1].partition("-")[0] if named else ""
