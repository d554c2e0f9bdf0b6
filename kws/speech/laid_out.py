"""Makes clips of the rows that a layout other than one folder per word gives: their splits, speakers and content.

Decisions:
- Files may be called anything in these layouts, so clips go by the digests of their files: the draw of "other", the
  order in training, and the fingerprint, which has no names. The same files with the same words, splits and speakers
  are the same data in all of them.
- A split that a layout does not give is taken from its training clips by the official rule, on the speaker, or on the
  file's digest where speakers are not known. Where it gives none, lists of splits count, as with one folder per word.
- Speakers are those that are told, else the layout's, if it gives every clip's, else those of Speech Commands' names.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kws.events import DRAWN_BY_DIGESTS, TEST, TRAIN, VALIDATION
from kws.recipe import counted
from kws.recipe.partition import Partition
from kws.speech import digests
from kws.speech.clips import Clip, Folder
from kws.speech.dealing import split_by_shares
from kws.speech.found import Found
from kws.speech.names import without_ending
from kws.speech.overlapping import Piece, in_other_splits
from kws.speech.placed import Placed, placed
from kws.speech.progress import Track
from kws.speech.recognise import unknown
from kws.speech.speakers import speakers_of
from kws.speech.splits import LISTS, Splits, list_path, read_lists, split_clips
from kws.speech.tree import Tree

_SHOWN = 3


def laid_out(
    tree: Tree,
    found: Found,
    speakers: str | None,
    speakers_at: Path | None,
    partition: Partition | None,
    align: str,
    track: Track,
) -> Folder:
    """The folder that a layout's rows make; `speakers_at` is the file that `speakers` names, if any.

    With a `partition`, splits are made by its shares, and those of the layout and of lists do not count.

    Raises DataError for what a layout's manifest, a list or the speakers do not allow, and OSError for a folder that
    cannot be read.
    """
    clips, unused = placed(tree, found)
    read = [*found.read]
    if speakers_at is not None:
        name = os.path.relpath(os.path.realpath(speakers_at), os.path.realpath(tree.folder))
        read += [name] if _take_out(unused, name) else []
    if not clips:
        raise unknown(tree)
    lists = {} if tree.is_manifest or found.splits or partition else read_lists(tree.folder / found.lists)
    for split in lists:
        name = os.path.relpath(list_path(tree.folder / found.lists, LISTS[split]), tree.folder)
        read += [name] if _take_out(unused, name) else []
    held = digests.of_files(tree.folder, [(clip.path, clip.stamp) for clip in clips], track=track)
    contents = [_content(clip, digest) for clip, digest in zip(clips, held, strict=True)]
    told = _speakers(clips, speakers, tree.folder)
    names = _names(clips)
    if partition:
        given: list[str | None] = []
        by_rule = splits = split_by_shares(_by_content(clips, contents), told, partition)
    else:
        given = [clip.row.split for clip in clips]
        by_rule = split_clips(names, told or contents, lists, tree.folder)
        splits = Splits(of=_with_given(given, by_rule.of), missing=by_rule.missing, elsewhere=by_rule.elsewhere)
    every_speaker: Sequence[str | None] = told or [None] * len(clips)
    return Folder(
        clips=[
            Clip(
                clip.path, clip.row.word, clip.name, split, clip.stamp, speaker,
                at_ms=clip.at_ms, end_ms=clip.end_ms, content=content, align=align,
            )
            for clip, split, speaker, content in zip(clips, splits.of, every_speaker, contents, strict=True)
        ],
        unused=unused,
        lists=tuple(lists),
        splits=splits,
        place=tree.folder,
        layout=found.title,
        found=_found(clips, found),
        said=(*_said(clips, tree, found, bool(told), None if partition else by_rule.of), *_overlaps(clips, splits.of)),
        split_by="the layout" if any(given) else split_by(lists, has_speakers=told is not None, content="digests"),
        draw=DRAWN_BY_DIGESTS,
        by_folder=found.by_folder,
        read=tuple(sorted(set(read))),
        partition=partition,
        align=align,
    )  # fmt: skip


def _found(clips: Sequence[Placed], found: Found) -> str:
    files = len({clip.name for clip in clips})
    parts = [found.title, *([counted(found.splits, "split")] if found.splits else [])]
    parts.append(counted(len(clips), "clip") + (f" in {counted(files, 'file')}" if files < len(clips) else ""))
    return f"found: {', '.join(parts)}"


def _said(
    clips: Sequence[Placed], tree: Tree, found: Found, has_speakers: bool, by_rule: Sequence[str] | None
) -> Iterator[str]:
    """What is to be known of how a layout was read, besides what it is; `by_rule` is None where a partition divides."""
    outside = [clip.name for clip in clips if Path(clip.name).is_absolute()]
    if outside:
        more = f", the first of {len(outside):,} clips" if len(outside) > 1 else ""
        yield f"outside {tree.folder}: {outside[0]}{more}"
    if by_rule is not None:
        splits = _with_given([clip.row.split for clip in clips], by_rule)
        if found.unknown_splits:
            yield f"not known as splits, so that the official rule decides: {some(found.unknown_splits)}"
        there = {clip.row.split for clip in clips if clip.row.split}
        if there and (taken := [split for split in (VALIDATION, TEST) if split not in there and split in splits]):
            yield f"no {' and no '.join(taken)} split is given: taken from training by the official rule"
    known = sum(clip.row.speaker is not None for clip in clips)
    if 0 < known < len(clips) and not has_speakers:
        yield f"the speakers of {len(clips) - known:,} of {len(clips):,} clips are not given, so none is used"


def _overlaps(clips: Sequence[Placed], splits: Sequence[str]) -> Iterator[str]:
    """That pieces of one recording share sound and are in two splits, if any do."""
    pieces = [Piece(clip.name, clip.at_ms or 0, clip.end_ms, split) for clip, split in zip(clips, splits, strict=True)]
    if found := [clips[place] for place in in_other_splits(pieces)]:
        files = sorted({clip.name for clip in found})
        more = f" and {counted(len(files) - 1, 'more recording')}" if len(files) > 1 else ""
        yield (
            f"WARNING: {counted(len(found), 'piece')} of {files[0]}{more} overlap pieces in another split: "
            f"{some([clip.row.line or clip.name for clip in found])}; accuracies will look better than on other clips"
        )


def _with_given(given: Sequence[str | None], by_rule: Sequence[str]) -> list[str]:
    """Each clip's split: the given one; what is not given comes out of training by the rule."""
    there = {split for split in given if split}
    rest = [TRAIN if split in there else split for split in by_rule]
    return [
        rule if split in (None, TRAIN) and rule not in there else split or TRAIN
        for split, rule in zip(given, rest, strict=True)
    ]


def _content(clip: Placed, digest: bytes) -> str:
    """The digest of a file in hexadecimal, or of it and where it is cut; of its name if it cannot be read."""
    digest = digest or hashlib.sha256(clip.name.encode("utf-8", "surrogateescape")).digest()
    if clip.at_ms is None and clip.end_ms is None:
        return digest.hex()
    return hashlib.sha256(digest + f"@{clip.at_ms or 0}-{clip.end_ms}".encode()).hexdigest()


def _by_content(clips: Sequence[Placed], contents: Sequence[str]) -> list[str]:
    """A name of each clip that is the same in every layout: word/content."""
    return [f"{clip.row.word.replace('/', ' ')}/{content}" for clip, content in zip(clips, contents, strict=True)]


def _names(clips: Sequence[Placed]) -> list[str]:
    """The name of each clip in lists: word/file below its word's folder, or its path where that is not unique."""
    names = [without_ending(f"{clip.row.word}/{clip.row.below}") for clip in clips]
    unique = all(clip.row.below for clip in clips) and len({*names}) == len(names)
    return names if unique else [without_ending(clip.name) for clip in clips]


def _speakers(clips: Sequence[Placed], told: str | None, folder: Path) -> list[str] | None:
    """The speaker of every clip, as told, as the layout gives them, or by their names; None if they are unknown."""
    if told and "{" in told:
        words = (clip.row.word.replace("/", " ") for clip in clips)
        below = (clip.row.below or clip.name for clip in clips)
        return speakers_of(
            [without_ending(f"{word}/{path}") for word, path in zip(words, below, strict=True)], told, folder
        )
    if told:
        return speakers_of(_names(clips), told, folder)
    given = [clip.row.speaker for clip in clips if clip.row.speaker is not None]
    if len(given) == len(clips):
        return given
    return None if given else speakers_of([without_ending(clip.name) for clip in clips], None, folder)


def _take_out(unused: dict[str, list[str]], name: str) -> bool:
    """Take a file that was read out of those not used; whether it was there."""
    for reason, names in unused.items():
        if name in names:
            names.remove(name)
            if not names:
                del unused[reason]
            return True
    return False


def split_by(lists: Mapping[str, object], *, has_speakers: bool, content: str = "names") -> str:
    """What says which split a clip is in: lists, or the official rule, or for the splits without a list the rule."""
    rule = "the official rule" if has_speakers else f"the official rule on the clips' {content}"
    named = " and ".join(LISTS[split] for split in lists)
    return f"{named}, else {rule}" if len(lists) == 1 else named or rule


def some(names: Sequence[str]) -> str:
    """The first few of these names."""
    return ", ".join(names[:_SHOWN]) + (" ..." if len(names) > _SHOWN else "")
