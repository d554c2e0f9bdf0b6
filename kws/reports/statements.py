"""Compares a caption with the registry's caption, in its author's words or in the registry's.

Decisions:
- The file's tokens are aligned with those of the registry's sentences. A number among the same words is compared with
  the registry's. So is whatever is in the place of a name, of "not" or of a term.
- A number without a counterpart is looked up by the words beside it (kws.reports.facts). What neither explains is
  unchecked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kws.reports import facts
from kws.reports.alignment import (
    FEW,
    FILLING,
    Step,
    anchored,
    denials,
    instead,
    key,
    pairs_of,
    steps_to,
    text_of,
    value_of,
)
from kws.reports.facts import Facts
from kws.reports.findings import Compared
from kws.reports.tokens import CODE, NUMBER, WORD, Token, around, content, normal, tokens

_TERMS = {  # in the form of keys: one in the place of another changes the meaning
    *("student", "wilson", "welch", "holm", "hsu", "dunnett", "tukey", "bonferroni", "hochberg", "bootstrap", "normal"),
    *("binomial", "t", "z", "f", "paired", "unpaired", "sided", "seed", "clip", "speaker", "epoch", "run", "network"),
    *("optimizer", "deviation", "error", "variance", "interval", "mean", "median", "test", "validation", "training"),
    *("larger", "smaller", "higher", "lower", "more", "les", "fewer", "best", "worst", "last", "first"),
    *("better", "worse", "earlier", "later"),
}
_MOST = 0.7  # least share of a paragraph that is the registry's
_MORE = 2  # words by which one name of a thing may be longer than another
_LONGEST = 2_000  # tokens; no caption is that long
_NUMBERED = {
    *("table", "tab", "tables", "fig", "figure", "figures", "section", "sec", "eq", "equation", "appendix", "ref"),
    *("chapter", "page", "al"),
}


def distant(text: str, known: Facts) -> Iterator[Compared]:
    """What a paragraph outside the table's own text says about it, if the registry disagrees: unchecked."""
    text = normal(text)
    for fact in facts.found_in(text):
        if known.allows(fact) is False:
            yield Compared(what=fact.what, file=fact.value, registry="", about=_part(text, fact), unchecked=True)


def _part(text: str, fact: facts.Found) -> str:
    return around(text, [Token(WORD, fact.value, fact.start, fact.end)])


def caption(text: str, stated_text: str, known: Facts) -> Iterator[Compared]:
    """Compare a paragraph, in its author's words or the registry's, with the registry's caption."""
    text, stated_text = normal(text), normal(stated_text)
    said, stated = content(tokens(text)), content(tokens(stated_text))
    if len(said) > _LONGEST:
        yield from distant(text, known)
        return
    steps = steps_to(stated, said)
    pairs = pairs_of(steps, stated, said)
    named = _named(text, said)
    theirs = {(each.what, each.value) for each in (*facts.found_in(stated_text), *facts.words_in(stated_text))}
    precisions = {each.start for each in facts.words_in(text) if each.what == facts.PRECISION}
    beside_words = {(_unit(stated, a), token.text) for a, token in enumerate(stated) if token.kind == NUMBER}
    for c, token in enumerate(said):
        fact = named.get(c)
        if token.kind not in (NUMBER, CODE) and fact is None:
            continue
        if (c and said[c - 1].text in _NUMBERED) or token.start in precisions:
            continue
        about = around(text, [token])
        shown = Compared(what=fact.what if fact else "number", file=token.text, registry="", about=about)
        value = value_of(token, stated[pairs[c]], known) if c in pairs else None
        allowed = fact and (True if (fact.what, fact.value) in theirs else known.allows(fact))
        if value == token.text or allowed or (_unit(said, c), token.text) in beside_words:
            yield replace(shown, registry=token.text)
        elif fact and allowed is False:
            yield replace(shown, registry=known.told(fact.what))
        elif value is not None:
            yield replace(shown, registry=value)
        elif not (token.kind == CODE and token.text in {each.text for each in stated}):
            yield replace(shown, unchecked=True)
    yield from _names(text, stated_text, steps, stated, said, known)
    yield from _wording(text, steps, stated, said)


def share(text: str, stated_text: str) -> float:
    """How much of two texts is in both, from 0 to 1."""
    said, stated = (content(tokens(normal(each)))[:_LONGEST] for each in (text, stated_text))
    same = sum(step.d - step.c for step in steps_to(stated, said) if step.tag == "equal")
    return 2 * same / max(1, len(said) + len(stated))


def _named(text: str, said: Sequence[Token]) -> dict[int, facts.Found]:
    """The fact that each token states, by its index: "567,171 and 346,067 parameters" states it for both numbers."""
    starts = {each.start: each for each in facts.found_in(text)}
    named = {c: starts[token.start] for c, token in enumerate(said) if token.start in starts}
    for c in range(len(said) - 2, -1, -1):
        if said[c].kind == NUMBER and c not in named:
            then = c + 2 if said[c + 1].text in ("and", "or") else c + 1 if said[c + 1].kind == NUMBER else None
            if then in named:
                named[c] = replace(named[then], value=said[c].text, start=said[c].start, end=said[c].end)
    return named


def _unit(said: Sequence[Token], place: int) -> tuple[str, str]:
    """The words before and after a number, which say what it counts."""
    before = key(said[place - 1]) if place else ""
    return before, key(said[place + 1]) if place + 1 < len(said) else ""


def _names(
    text: str, stated_text: str, steps: Sequence[Step], stated: Sequence[Token], said: Sequence[Token], known: Facts
) -> Iterator[Compared]:
    """Compare the names in a caption: data, metric, precision and which epoch was selected."""
    theirs = {(each.what, each.value) for each in facts.words_in(stated_text)}
    for found in facts.words_in(text):
        agrees = (found.what, found.value) in theirs or known.allows(found)
        value = found.value if agrees else known.told(found.what)
        yield Compared(what=found.what, file=found.value, registry=value, about=text[found.start : found.end])
    other = facts.other_metric(text.partition(". ")[0], known.metric)
    if other and facts.other_metric(stated_text, known.metric) is None:
        told = instead(known.metric, steps, stated, said)
        within = bool(told) and told[0].start < other.end and other.start < told[-1].end
        about = text[other.start : other.end]
        yield Compared(what=facts.METRIC, file=other.value, registry=known.metric, about=about, unchecked=not within)
    if told := instead(known.data, steps, stated, said, before="fingerprint"):
        words, wanted = [each.text for each in told], facts.words_of(known.data)
        others = [facts.words_of(each) for each in known.other_data]
        inside = words not in others and any(wanted == words[i : i + len(wanted)] for i in range(len(words)))
        unchecked = inside and words != wanted
        about = around(text, told)
        yield Compared(
            what=facts.DATA, file=" ".join(words), registry=" ".join(wanted), about=about, unchecked=unchecked
        )


def _wording(text: str, steps: Sequence[Step], stated: Sequence[Token], said: Sequence[Token]) -> Iterator[Compared]:
    """Words of the registry's sentence that the file has changed: "not" and terms differ, others are unchecked.

    This applies only if most of a paragraph is the registry's; an author's own wording has no counterpart in the
    registry.
    """
    if sum(step.d - step.c for step in steps if step.tag == "equal") < _MOST * len(said):
        return
    joined = _joined(steps)
    for place, step in enumerate(joined):
        ours, theirs = said[step.c : step.d], stated[step.a : step.b]
        few = max(len(ours), len(theirs)) <= (2 * FEW if ours and theirs else FEW)
        if step.tag == "equal" or not few or not anchored(joined, place, said, least=2):
            continue
        about = around(text, ours or said[max(0, step.c - 1) : step.c + 1])
        shown = Compared(what="words", file=text_of(ours), registry=text_of(theirs), about=about)
        counted = [{each.text for each in side if facts.is_number_word(each)} for side in (ours, theirs)]
        if denials(ours) != denials(theirs) or (all(counted) and counted[0] != counted[1]):
            yield shown
        elif any(map(_is_word, ours)) and any(each.kind == WORD for each in theirs):
            terms = [{key(each) for each in side} & _TERMS for side in (ours, theirs)]
            longer = abs(len(ours) - len(theirs)) > _MORE or any(each.kind in (NUMBER, CODE) for each in ours)
            yield replace(shown, unchecked=longer or terms[0] <= terms[1] or terms[1] <= terms[0])
        elif 0 < place < len(joined) - 1 and {key(each) for each in ours} & _TERMS:
            yield from () if any(each.kind in (NUMBER, CODE) for each in ours) else (replace(shown, unchecked=True),)


def _joined(steps: Sequence[Step]) -> list[Step]:
    """The steps, with two changes joined into one if only a single equal word is between them."""
    made: list[Step] = []
    for place, step in enumerate(steps):
        single = step.tag == "equal" and step.d - step.c == 1 and 0 < place < len(steps) - 1
        tag = "replace" if single else step.tag
        if made and tag != "equal" and made[-1].tag != "equal":
            made[-1] = Step("replace", made[-1].a, step.b, made[-1].c, step.d)
        else:
            made.append(Step(tag, step.a, step.b, step.c, step.d))
    return made


def _is_word(token: Token) -> bool:
    return token.kind == WORD and token.text not in FILLING
