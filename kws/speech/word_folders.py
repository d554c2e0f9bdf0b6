"""Words of one's own as folders that are about to be made: which words can be folders that kws reads again."""

from __future__ import annotations

from kws.errors import DataError
from kws.recipe import words
from kws.speech.names import folded

_LONGEST = 200  # bytes; file systems allow 255
_NO_FOLDER = frozenset('/\\:*?"<>|')  # on one system or another


def read(text: str) -> tuple[str, ...]:
    """The words in "lamp,heater", letters composed.

    Raises KwsError for an empty or repeated one, and for one that is no folder's name or is not read as a word.
    """
    found = words.read(text)
    words.check("words", found)
    spelt: dict[str, str] = {}
    for each in found:
        if (first := spelt.setdefault(folded(each), each)) != each:
            raise DataError(f"`words` (={text!r}) names one word twice: {first!r} and {each!r}")
        if each[0] in "_.":
            raise DataError(
                f"`words` may not hold {each!r}: a folder that begins with {each[0]!r} is not read as a word"
            )
        if each[-1] == "." or not each.isprintable() or _NO_FOLDER & {*each}:
            raise DataError(
                f"`words` may not hold {each!r}, which cannot be a folder's name everywhere; write it in letters"
            )
        if len(each.encode("utf-8", "surrogatepass")) > _LONGEST:
            raise DataError(f"`words` holds a word of {len(each)} letters; no folder can have so long a name")
    return found
