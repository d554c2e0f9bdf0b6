"""Aligns the tokens of two texts: finds what one says in the place of what the other says.

Numbers align with numbers of the same role, and codes with codes, whatever their values. Words must be the same, except
for plurals and the field's synonyms. A number is matched only if words beside it identify its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from kws.reports.facts import Facts, words_of
from kws.reports.tokens import CODE, NUMBER, WORD, Token, beside

FILLING = {
    *("a", "an", "the", "of", "in", "on", "at", "for", "with", "to", "and", "or", "is", "are", "was", "were", "by"),
    *("from", "over", "as", "that", "this", "these", "we", "our", "it", "its", "be", "which", "all", "per", "using"),
    *("each", "across", "within", "into"),
}
DENIALS = {"not", "no", "cannot", "can", "never", "neither", "nor", "without", "none", "nothing"}
_NEAR = 6  # tokens beside a step, one of which must identify the place
FEW = 4  # words: leaving out more says less, but does not reverse the meaning
_SAME = dict.fromkeys(("minibatch", "minibatches", "batches"), "batch")
_SAME |= dict.fromkeys(("clips", "utterance", "utterances", "recordings", "recording", "examples"), "clip")


@dataclass(frozen=True)
class Step:
    """One edit: the registry's tokens from a to b become the file's tokens from c to d."""

    tag: str
    a: int
    b: int
    c: int
    d: int


def key(token: Token) -> str:
    """The key by which tokens align: a word without its plural; numbers of one role share a key, as do codes."""
    if token.text == "\u2013":
        return "to"
    text = _SAME.get(token.text, token.text).removesuffix("'s")
    return token.key if token.kind != WORD else text[:-1] if len(text) > 3 and text.endswith("s") else text


def steps_to(stated: Sequence[Token], said: Sequence[Token]) -> list[Step]:
    """The edits that turn the registry's tokens into the file's."""
    theirs, ours = [key(each) for each in stated], [key(each) for each in said]
    if theirs == ours:
        return [Step("equal", 0, len(theirs), 0, len(ours))] if ours else []
    return [Step(*each) for each in SequenceMatcher(None, theirs, ours, autojunk=False).get_opcodes()]


def tells(token: Token) -> bool:
    """Whether a token identifies a place in a sentence."""
    return token.kind == CODE or (token.kind == WORD and token.text not in FILLING)


def anchored(steps: Sequence[Step], place: int, said: Sequence[Token], *, least: int = 1) -> bool:
    """Whether both neighbours of a step are equal in both texts: an end of both, or tokens that identify the place."""
    before = steps[place - 1] if place else None
    after = steps[place + 1] if place + 1 < len(steps) else None
    for step in (before, after):
        if step is not None and step.tag == "equal":
            near = said[step.c : step.d][-_NEAR:] if step is before else said[step.c : step.d][:_NEAR]
            ends = step in (steps[0], steps[-1])  # the text has no more tokens on this side
            if (step.d - step.c < least and not ends) or not any(map(tells, near)):
                return False
        elif step is not None:
            return False
    return True


def pairs_of(steps: Sequence[Step], stated: Sequence[Token], said: Sequence[Token]) -> dict[int, int]:
    """The registry's number or code in the place of each of the file's, by index, if words identify the place."""
    pairs = {}
    for place, step in enumerate(steps):
        if step.tag == "equal":
            for c in range(step.c, step.d):
                near = said[max(step.c, c - 3) : min(step.d, c + 4)]
                whole = step.d - step.c == len(said) == len(stated)
                if said[c].kind in (NUMBER, CODE) and (whole or any(tells(each) for each in near if each != said[c])):
                    pairs[c] = step.a + c - step.c
        elif step.tag == "replace" and anchored(steps, place, said):
            theirs = [a for a in range(step.a, step.b) if stated[a].kind in (NUMBER, CODE)]
            ours = [c for c in range(step.c, step.d) if said[c].kind in (NUMBER, CODE)]
            pairs |= dict(zip(ours, theirs, strict=False))
    return pairs


def value_of(said: Token, stated: Token, known: Facts) -> str | None:
    """The registry's number or code, in the file's notation if they agree; None if that cannot be decided."""
    if said.kind == stated.kind == NUMBER:
        return beside(said.text, stated.text, known.known)
    whole = (code for code in known.codes if code.startswith(said.text) and code.startswith(stated.text))
    return said.text if len(said.text) >= 6 and any(whole) else stated.text


def instead(
    name: str, steps: Sequence[Step], stated: Sequence[Token], said: Sequence[Token], *, before: str = ""
) -> Sequence[Token]:
    """What the file says in the place of a name in the registry's sentence; empty if that is unknown.

    The name's place is its last occurrence, or the last one before the word `before` if the sentence has that word.
    """
    wanted = words_of(name)
    limit = next((i for i, each in enumerate(stated) if each.text == before), len(stated))
    places = range(limit - len(wanted), -1, -1) if wanted else ()
    start = next((i for i in places if [each.text for each in stated[i : i + len(wanted)]] == wanted), None)
    if start is None or len(wanted) == len(stated):
        return ()
    end = start + len(wanted)
    at = {step.a + k: step.c + k for step in steps if step.tag == "equal" for k in range(step.b - step.a)}
    first = at.get(start - 1, -1 if start == 0 else None)
    last = at.get(end, len(said) if end == len(stated) else None)
    return () if first is None or last is None else said[first + 1 : last]


def denials(said: Sequence[Token]) -> set[str]:
    """The words among these tokens that negate a sentence."""
    return {each.text for each in said if each.text in DENIALS}


def text_of(said: Sequence[Token]) -> str:
    """The tokens joined by spaces."""
    return " ".join(each.text for each in said)
