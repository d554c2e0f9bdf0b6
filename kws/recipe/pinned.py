"""A value that names recordings by their place and by a digest of their content, as in "dataset@4f2a91c3d0e1"."""

import re

_PINNED = re.compile(r"(.+)@([0-9a-f]{12})", re.DOTALL)


def place_and_digest(value: str) -> tuple[str, str | None]:
    """The place, and the digest if the value has one."""
    match = _PINNED.fullmatch(value)
    return (match[1], match[2]) if match else (value, None)
