"""ManifestReader: the manifests of data sets, every clip of a split, whole or a column alone.

A column is read without the others, since a manifest of 10,000 clips takes a tenth of a second to read whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

from kws.events import DIGEST_BYTES, Manifest
from kws.registry import decoding
from kws.registry.protocols import Connection, Reading

_FROM = """
FROM manifests JOIN splits USING (data_fingerprint, split) WHERE data_fingerprint = :fingerprint AND split = :split
"""


class ManifestReader(ABC):
    """The queries about manifests, for kws.registry.reader. Everything is None where an older registry has no manifest.

    Raises RegistryError if a manifest is damaged.
    """

    @abstractmethod
    def reading(self) -> AbstractContextManager[Reading]:
        """A connection whose reads all see one snapshot of the registry."""

    def manifest(self, fingerprint: str, split: str) -> Manifest | None:
        """The manifest (every clip) of one split of a data set."""
        with self.reading() as connection:
            row = _row(connection, "manifests.*", fingerprint, split)
            return decoding.manifest(row, row["clips"]) if row else None

    def speakers(self, fingerprint: str, split: str) -> tuple[str, ...] | None:
        """The speaker of each clip of one split, in the order of its labels; None, too, if they are not known."""
        with self.reading() as connection:
            row = _row(connection, "speakers", fingerprint, split)
            return decoding.speakers(row["speakers"], row["clips"]) if row else None

    def paths(self, fingerprint: str, split: str) -> tuple[str, ...] | None:
        """The path of each clip of one split, in the order of its labels."""
        with self.reading() as connection:
            row = _row(connection, "paths", fingerprint, split)
            return _whole(decoding.paths(row["paths"]), row, split) if row else None

    def digests(self, fingerprint: str, split: str) -> list[bytes] | None:
        """The digest of each clip of one split, in the order of its labels."""
        with self.reading() as connection:
            row = _row(connection, "digests", fingerprint, split)
            if row is None:
                return None
            blob = row["digests"]
            return _whole([blob[at : at + DIGEST_BYTES] for at in range(0, len(blob), DIGEST_BYTES)], row, split)


def _row(connection: Connection, columns: str, fingerprint: str, split: str) -> Any:
    about = {"fingerprint": fingerprint, "split": split}
    return connection.execute(f"SELECT {columns}, clips {_FROM}", about).fetchone()


def _whole(found: Any, row: Any, split: str) -> Any:
    """What was found, if it is of as many clips as the split has. Raises ValueError if it is not."""
    if len(found) != row["clips"]:
        raise ValueError(f"the manifest of the {split} split does not have its {row['clips']} clips")
    return found
