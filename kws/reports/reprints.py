"""Compares what a file reprints from the registry (notes, cells of words and numbers): every word must be the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal

from kws.reports.alignment import FEW, FILLING, denials, steps_to, text_of, value_of
from kws.reports.facts import Facts
from kws.reports.findings import Compared
from kws.reports.statements import caption, share
from kws.reports.tokens import CODE, NUMBER, SIGN, WORD, Token, around, beside, content, normal, tokens

_LIKE = 0.5  # least share of the words of both
_SHORT = 6  # words: a verdict, which is its cell's whole text
_NOTE = re.compile(r"\W*note\W+", re.IGNORECASE)


def is_note(text: str) -> bool:
    """Whether a paragraph is a note."""
    return bool(_NOTE.match(text))


def note(text: str, notes: Sequence[str], known: Facts) -> Iterator[Compared]:
    """Compare a note with the most similar of the registry's notes, or with none if it is similar to none."""
    body = _NOTE.sub("", normal(text), count=1)
    best = max(notes, key=lambda each: share(body, each), default="")
    if share(body, best) >= _LIKE:
        yield from reprinted(body, best, known, Compared(what="note", file="", registry="", about="note"))
        return
    found = list(caption(body, "", known))
    yield from found
    if not found:
        yield Compared(what="note", file=body, registry="", unchecked=True, about="note")


def reprinted(text: str, stated_text: str, known: Facts, shown: Compared) -> Iterator[Compared]:
    """Compare a text that the registry wrote with what it says now: every number, code and word of it."""
    text, stated_text = normal(text), normal(stated_text)
    said, stated = content(tokens(text)), content(tokens(stated_text))
    fractions = "%" in stated_text and "%" not in text
    counted, coded = 0, any(each.kind == CODE for each in stated)
    for step in steps_to(stated, said):
        ours, theirs = said[step.c : step.d], stated[step.a : step.b]
        values = [each for each in theirs if each.kind in (NUMBER, CODE)]
        for k, token in enumerate(each for each in ours if each.kind in (NUMBER, CODE)):
            value = _value(token, values[k], known, fractions=fractions) if k < len(values) else None
            part = replace(shown, what=token.role or "number", file=token.text, registry=value or "")
            yield part if value is not None else replace(part, about=around(text, [token]), unchecked=not coded)
            counted += 1
        words = None if step.tag == "equal" else _words(ours, theirs, shown, coded=coded)
        if words:
            yield replace(words, about=around(text, ours)) if words.unchecked else words
            counted += 1
    if not counted and said:
        short = not any(each.kind in (NUMBER, CODE) for each in stated) and len(stated) <= _SHORT
        same = not short or text_of(said) == text_of(stated)
        yield replace(shown, file=text_of(said), registry=text_of(said if same else stated))


def _value(token: Token, stated: Token, known: Facts, *, fractions: bool) -> str | None:
    """The registry's number in place of one, as a fraction if the file has fractions; None if its role is another."""
    if token.role and stated.role and token.role != stated.role:
        return None
    if fractions and token.kind == stated.kind == NUMBER and abs(float(token.text)) <= 1 < abs(float(stated.text)):
        return beside(token.text, str(Decimal(stated.text) / 100), known.known)
    return value_of(token, stated, known)


def _words(ours: Sequence[Token], theirs: Sequence[Token], shown: Compared, *, coded: bool) -> Compared | None:
    """Words that replace others, which differ, or that are added: unchecked, except for negations."""
    said, stated = (
        [each for each in side if each.kind in (WORD, SIGN) and each.text not in FILLING and each.text != "%"]
        for side in (ours, theirs)
    )
    if not stated:
        said = [each for each in said if each.text not in ("\u2013", "+")]
    part = replace(shown, what="words", file=text_of(said), registry=text_of(stated))
    if denials(said) != denials(stated) and (said or len(stated) <= FEW):
        return part
    if not said or text_of(said) == text_of(stated):
        return None
    return replace(part, unchecked=not (stated or coded or any(each.text == "=" for each in said)))
