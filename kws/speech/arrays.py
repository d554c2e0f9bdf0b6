"""Reads the course's data safely: six files with arrays of log-mel features and labels, and nothing but arrays.

    X_train.p  Y_train.p  X_valid.p  Y_valid.p  X_test.p  Y_test.p

Each file was written by `pickle.dump(array, file)`, with any protocol, Python 2 or 3 and NumPy 1 or 2, or by
`numpy.save`, whatever its ending. X is (N, 101, 40), or (N, 101, 40, 1) as convolutions in other libraries expect it; Y
is one-hot (N, K) or labels 0 to K - 1 (N,).

Decisions:

- A pickle is a program. Only the operations that occur in an array's pickle are allowed, and only the seven names that
  it mentions are known. Those names lead to stand-ins in this module, never to NumPy, because NumPy's own __setstate__
  trusts what a file says about flags and sizes. A stand-in only interprets bytes that are in the file as numbers. So no
  code of the file runs, the result can only be an array, and no file makes kws allocate much more memory than the
  file's size. Strings of Python 2 stay bytes: nothing is decoded.
- Numbers of any width and byte order are accepted and become float32 (features) and int64 (labels). Objects, strings,
  complex numbers and records are refused.
- Only 101 frames of 40 mel bands are accepted: the networks are built for them.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kws.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    _Buffer = bytes | bytearray | memoryview

FILES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "train": ("X_train.p", "Y_train.p"),
        "validation": ("X_valid.p", "Y_valid.p"),
        "test": ("X_test.p", "Y_test.p"),
    }
)
FRAMES, MELS = 101, 40
MAX_FILE_BYTES = 4 * 2**30  # the course's largest, X_train.p as float64, has 0.3 GB


def is_arrays_folder(folder: Path) -> bool:
    """Whether `folder` contains any of the six files."""
    return any((folder / name).is_file() for names in FILES.values() for name in names)


def read(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The splits "train", "validation" and "test", each as features, float32 (N, 101, 40), and labels, int64 (N,).

    In every split the labels are 0 to K - 1 with the same K, and each class has at least one clip. The features are
    those in the file, not normalised.
    Raises DataError with the file's name if a file is missing, is not an array, or does not match the others.
    """
    missing = [name for names in FILES.values() for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{folder} lacks {', '.join(missing)}; all six files of the course's data are needed")
    splits, classes = {}, {}
    for split, (x_name, y_name) in FILES.items():
        features = _features(folder / x_name)
        labels, classes[y_name] = _labels(folder / y_name)
        if len(features) != len(labels):
            raise DataError(
                f"{folder / x_name} holds {len(features):,} clips and {folder / y_name} {len(labels):,} labels; "
                "each clip needs one label"
            )
        splits[split] = features, labels
    if len(set(classes.values())) > 1:
        found = ", ".join(f"{number} in {name}" for name, number in classes.items())
        raise DataError(f"{folder} must have the same number of classes in every split, not {found}")
    return splits


def _features(path: Path) -> np.ndarray:
    """The features in the file at `path`, float32 (N, T, M), finite; a trailing axis of length 1 is dropped."""
    import numpy as np

    array = _load(path)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim != 3 or array.shape[1:] != (FRAMES, MELS):
        raise DataError(f"{path} has shape {array.shape}, but (clips, {FRAMES} frames, {MELS} mel bands) is wanted")
    with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes infinite, and is refused
        features = array.astype(np.float32, order="C")
    if not np.isfinite(features).all():
        raise DataError(f"{path} holds values that are not finite; every feature must be a number")
    return features


def _labels(path: Path) -> tuple[np.ndarray, int]:
    """The labels in the file at `path`, int64 (N,), and the number of classes K."""
    import numpy as np

    array = _load(path)
    if array.ndim == 2 and array.shape[1] > 1:
        if not (np.isin(array, (0, 1)).all() and (np.count_nonzero(array, axis=1) == 1).all()):
            raise DataError(f"{path} has shape {array.shape} but is not one-hot; each row needs one 1 and else 0")
        labels, classes = array.argmax(axis=1), array.shape[1]
    elif array.ndim == 1:
        # Every class has a clip, so labels are below N. This also keeps a huge label from sizing the bincount below.
        if not ((array >= 0) & (array < len(array)) & (array == np.trunc(array))).all():
            raise DataError(f"{path} holds labels other than 0 to K - 1; number the classes from 0, without gaps")
        labels = array.astype(np.int64)
        classes = int(labels.max()) + 1
    else:
        raise DataError(f"{path} has shape {array.shape}, but one-hot (clips, classes) or (clips,) is wanted")
    empty = np.flatnonzero(np.bincount(labels, minlength=classes) == 0)
    if len(empty) or classes < 2:
        absent = empty[0] if len(empty) else 1
        raise DataError(f"{path} holds no clip of class {absent}; every split needs clips of every class")
    return labels.astype(np.int64), classes


def _load(path: Path) -> np.ndarray:
    """The one array in the file at `path`: integers or floats, of any shape except an empty one."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(f"{path} has {size:,} bytes; more than {MAX_FILE_BYTES:,} is refused")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} could not be read ({error.strerror}); check its permissions") from error
    if not data:
        raise DataError(f"{path} is empty; copy it again")
    try:
        array = _from_npy(data) if data.startswith(b"\x93NUMPY") else _from_pickle(data)
    # With damaged bytes pickle and numpy raise nearly anything: IndexError, UnicodeDecodeError, MemoryError ...
    except Exception as error:
        reason = str(error).split("\n", 1)[0] or type(error).__name__
        raise DataError(
            f"{path} cannot be read as one NumPy array ({reason}); write it by pickle.dump(array, file)"
        ) from error
    if array.size == 0:
        raise DataError(f"{path} has shape {array.shape}: it holds no clip")
    return array


def _from_npy(data: bytes) -> np.ndarray:
    """The array in the bytes of a .npy file (numpy.lib.format, versions 1 and 2)."""
    from numpy.lib import format as npy

    file = io.BytesIO(data)
    header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[npy.read_magic(file)]
    shape, fortran, dtype = header(file)
    return _array(memoryview(data)[file.tell() :], dtype, shape, fortran=fortran)


def _array(buffer: _Buffer, dtype: np.dtype, shape: tuple[int, ...], *, fortran: bool) -> np.ndarray:
    """The bytes of `buffer` as an array, without a copy; they must fill `shape` exactly. Booleans become uint8."""
    import numpy as np

    if dtype.kind not in "biuf":
        raise ValueError(f"it holds {dtype}, not numbers")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)  # a byte other than 0 and 1 would be an invalid bool in NumPy
    if len(shape) > 32 or not all(isinstance(length, int) and 0 <= length <= MAX_FILE_BYTES for length in shape):
        raise ValueError("its shape cannot be")
    if math.prod(shape) * dtype.itemsize != len(buffer):
        raise ValueError(f"shape {shape} of {dtype} does not take {len(buffer):,} bytes")
    return np.ndarray(shape, dtype, buffer, order="F" if fortran else "C")


# The operations of an array's pickle. There are no lists, dictionaries, classes, persistent or extension objects, and
# no DUP, so nothing can be built that takes more than the file's length.
_OPERATIONS = frozenset(  # as words, since one line each would fill a page
    """PROTO FRAME STOP MARK TUPLE EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2
    LONG LONG1 LONG4 UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    STRING BINSTRING SHORT_BINSTRING
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET GLOBAL STACK_GLOBAL REDUCE BUILD""".split()  # noqa: SIM905
)
_BY_CODE = {operation.code: operation for operation in pickletools.opcodes}
_MAX_MEMO = 1_000  # an array's pickle stores about 15 objects; the memo is a list as long as the largest index


def _from_pickle(data: bytes) -> np.ndarray:
    for operation, argument in _operations(io.BytesIO(data)):
        if operation not in _OPERATIONS:
            raise ValueError(f"operation {operation} makes Python objects, not numbers")
        if operation in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > _MAX_MEMO:
            raise ValueError(f"index {argument} where some 15 objects are expected")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about invalid escapes in damaged strings of Python 2
        loaded = _ArrayUnpickler(io.BytesIO(data), encoding="bytes").load()
    if not isinstance(loaded, _Array) or loaded.array is None:
        raise ValueError("it holds something else")
    return loaded.array


def _operations(file: io.BytesIO) -> Iterator[tuple[str, Any]]:
    """Each operation's name and argument, as from pickletools.genops(), except Python 2's quoted strings.

    Those are skipped: they are bytes, but genops() assumes ASCII.
    """
    while code := file.read(1):
        operation = _BY_CODE.get(code.decode("latin1"))
        if operation is None:
            raise ValueError(f"at position {file.tell() - 1}, operation {code!r} is unknown")
        if operation.name == "STRING":
            if not file.readline().endswith(b"\n"):
                raise ValueError("it ends within a string")
            yield operation.name, None
        else:
            yield operation.name, operation.arg.reader(file) if operation.arg else None
        if operation.name == "STOP":
            return
    raise ValueError("it ends before it stops")


def _text(written: str | bytes) -> str:
    """A name as str, whether Python 3 wrote it or Python 2, whose strings are bytes."""
    return written.decode("ascii") if isinstance(written, bytes) else written


class _DType:
    """Stand-in for numpy.dtype: a kind and a width; the byte order is its state."""

    __slots__ = ("dtype",)

    def __init__(self, name: str | bytes, *_: object) -> None:
        import numpy as np

        name = _text(name)
        # No other names: dtype() would also accept records, objects, and "M8" with units.
        if not re.fullmatch("[biuf][0-9]{1,2}", name):
            raise ValueError(f"it holds {name!r}, not numbers")
        self.dtype = np.dtype(name)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(_text(state[1]))  # type: ignore[arg-type]


class _Array:
    """Stand-in for numpy.ndarray: empty at first, an array once its state is set."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray | None = None) -> None:
        self.array = array

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, buffer = state
        self.array = _array(buffer, kind.dtype, shape, fortran=bool(fortran))


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler that only knows the names in an array's pickle.

    Each name leads to a bound method or a string, and the pickle cannot change either by BUILD.
    """

    def find_class(self, module: str, name: str) -> Callable[..., object] | str:
        known: dict[tuple[str, str], Callable[..., object] | str] = {
            ("numpy", "ndarray"): "ndarray",  # only ever an argument of _reconstruct
            ("numpy", "dtype"): self._dtype,
            ("_codecs", "encode"): self._encode,
        }
        for core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
            known[f"{core}.multiarray", "_reconstruct"] = self._reconstruct
            known[f"{core}.numeric", "_frombuffer"] = self._frombuffer
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is refused")
        return known[module, name]

    def _dtype(self, name: str | bytes, *rest: object) -> _DType:
        return _DType(name, *rest)

    def _encode(self, text: str, encoding: str) -> bytes:
        """The bytes that protocols 0 to 2 write as text."""
        if encoding != "latin1":
            raise ValueError(f"it has bytes as {encoding!r}")
        return text.encode("latin1")

    def _reconstruct(self, *_: object) -> _Array:
        """An empty array: how protocols 0 to 4 write arrays, and all protocols arrays that are not contiguous."""
        return _Array()

    def _frombuffer(
        self,
        buffer: _Buffer,
        kind: _DType,
        shape: tuple[int, ...],
        order: str,
        axes: tuple[int, ...] | None = None,
    ) -> _Array:
        """The array as protocol 5 writes it; "K" with `axes` means C order before a transposition."""
        if order == "K" and axes is not None:
            return _Array(_array(buffer, kind.dtype, shape, fortran=False).transpose(axes))
        if order not in ("C", "F"):
            raise ValueError(f"it is in order {order!r}")
        return _Array(_array(buffer, kind.dtype, shape, fortran=order == "F"))
