"""Deals clips to parts of wanted sizes: all clips of a speaker to one part, and of each word a share to every part.

Decisions:
- What is dealt is a speaker with all of its clips; where speakers are unknown, a clip, or several that have one name
  under different words, as in the official rule (kws.speech.splits).
- A hash alone, as in the official rule, is right for hundreds of speakers and leaves parts empty with a dozen. So first
  each part gets clips of each word, the rarest word first: a speaker of it who has most of the words that the part
  still lacks, and of those the one with the fewest clips. Then the others are dealt, those with most clips first, each
  to the part that is the furthest below its share of the speaker's words (by the divisors of Sainte-Laguë, which treat
  small and large parts alike).
- Whoever is equal in all this comes in the order of the SHA-1 of their names. So nothing but names and words decides:
  neither the order of the clips nor where they lie.
- Promised: a speaker's clips are in one part. If there are at least as many speakers as parts, and all of them say all
  words, every part has every word; so it has if speakers are unknown and no name is under several words, for each word
  with as many clips as parts. Otherwise a word may be missing in a part although another division would have it there.
- Unlike by the official rule, a speaker may come into another part when clips are added.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache

from kws.recipe.partition import Partition
from kws.speech.names import folded
from kws.speech.splits import Splits, key_by_name


def split_by_shares(names: Sequence[str], speakers: Sequence[str] | None, partition: Partition) -> Splits:
    """The split of each clip by a partition's shares, from the clips' names (word/.../file) and speakers, if known."""
    keys = [key_by_name(name) for name in names] if speakers is None else speakers
    parts = deal(keys, [folded(name.partition("/")[0]) for name in names], partition.shares)
    return Splits(of=[partition.splits[part] for part in parts], missing=(), elsewhere=0)


def deal(speakers: Sequence[str], words: Sequence[str], shares: Sequence[float]) -> list[int]:
    """The part of each of N clips, from 0, by its speaker and its word; `shares` are the sizes of the parts (P,)."""
    names = [unicodedata.normalize("NFC", speaker) for speaker in speakers]
    held: dict[str, Counter[str]] = {}
    for name, word in zip(names, words, strict=True):
        held.setdefault(name, Counter())[word] += 1
    order = sorted(held, key=lambda name: (_digest(name), name))
    dealt = _Dealt(held, words, shares)
    dealt.cover(order)
    dealt.fill(order)
    return [dealt.part_of[name] for name in names]


class _Dealt:
    """The speakers dealt so far, and the clips of each word that each part has of them."""

    def __init__(self, held: dict[str, Counter[str]], words: Sequence[str], shares: Sequence[float]) -> None:
        self.part_of: dict[str, int] = {}
        self._held, self._shares, self._total = held, shares, Counter(words)
        self._has: list[Counter[str]] = [Counter() for _ in shares]

    def cover(self, order: Sequence[str]) -> None:
        """Give each part clips of each word, as far as there are speakers left for it."""
        speakers: dict[str, list[str]] = {}
        for name in order:
            for word in self._held[name]:
                speakers.setdefault(word, []).append(name)
        smallest_first = sorted(range(len(self._shares)), key=lambda part: self._shares[part])
        for word in sorted(speakers, key=lambda each: (len(speakers[each]), each)):
            for part in smallest_first:
                left = [name for name in speakers[word] if name not in self.part_of]
                if left and not self._has[part][word]:
                    lacking = {each for each in self._total if not self._has[part][each]}
                    self._give(min(left, key=lambda name: (-len(lacking & self._held[name].keys()),
                                                           self._held[name].total())), part)  # fmt: skip

    def fill(self, order: Sequence[str]) -> None:
        """Deal all who are left."""
        left = [name for name in order if name not in self.part_of]
        for name in sorted(left, key=lambda name: -self._held[name].total()):
            self._give(name, min(range(len(self._shares)), key=lambda part: self._quotient(name, part)))

    def _quotient(self, name: str, part: int) -> float:
        """How full a part would be, of this speaker's words, in relation to its share."""
        mine, has = self._held[name], self._has[part]
        full = sum(count * (2 * has[word] + count) / self._total[word] for word, count in sorted(mine.items()))
        return full / self._shares[part]

    def _give(self, name: str, part: int) -> None:
        self.part_of[name] = part
        self._has[part] += self._held[name]


@cache
def _digest(name: str) -> str:
    return hashlib.sha1(name.encode("utf-8", "surrogateescape")).hexdigest()
