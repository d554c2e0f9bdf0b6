"""The course's pickled arrays: damaged, of wrong shapes and types, absurd, and programs; through kws.speech.arrays."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.stress.cases import REPORT, Place, UnwantedError, damaged, nonsense

NAMES = ("X_train.p", "Y_train.p", "X_valid.p", "Y_valid.p", "X_test.p", "Y_test.p")
_DATASET_SHARE = 0.05


def attempt(draw: random.Random, place: Place) -> None:
    """Change one of the six files and read them all."""
    import numpy as np

    from kws.speech import arrays, dataset

    folder = shutil.copytree(place.materials / "arrays", place.folder / "arrays")
    path = folder / draw.choice(NAMES)
    make = draw.choice((_damaged, _damaged, _damaged, _odd, _odd, _program, _program, _assembled, _headed, _file))
    make(draw, place, path)
    if draw.random() < _DATASET_SHARE:
        os.environ["KWS_CACHE"] = str(place.folder / "cache")
        dataset.load(str(folder), REPORT)
        return
    for features, labels in arrays.read(folder).values():
        if features.dtype != np.float32 or not np.isfinite(features).all() or len(features) != len(labels):
            raise UnwantedError(f"features of {features.dtype} that are not finite, or not as many as labels")


def _damaged(draw: random.Random, place: Place, path: Path) -> None:
    path.write_bytes(damaged(draw, _kept(draw, _good(path))))


def _good(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


def _kept(draw: random.Random, array: Any) -> bytes:
    """An array as a file, by some protocol or as .npy."""
    import numpy as np

    if draw.random() < 0.3:
        file = io.BytesIO()
        np.save(file, array)
        return file.getvalue()
    return pickle.dumps(array, draw.randrange(pickle.HIGHEST_PROTOCOL + 1))


def _odd(draw: random.Random, place: Place, path: Path) -> None:
    """An array, but not the one that is wanted."""
    import numpy as np

    array = _good(path)
    changes: list[Callable[[], Any]] = [
        lambda: array.astype(
            draw.choice(("f2", "f8", ">f4", ">f8", "i1", "u8", "?", "c8", "g", "U3", "S2", "M8[s]", "O"))
        ),
        lambda: array.reshape(-1),
        lambda: array[..., None],
        lambda: array.T,
        lambda: np.asfortranarray(array),
        lambda: array[: draw.randrange(len(array))],
        lambda: array[::2],
        lambda: array[:0],
        lambda: np.zeros(draw.choice(((), (0,), (0, 101, 40), (1,) * 32, (6, 101, 41), (6, 0, 40), (101, 40)))),
        lambda: array * draw.choice((np.nan, np.inf, -1, 1e300, 0.5, 10**6)),
        lambda: np.rec.fromarrays([array.reshape(-1)], names="a"),
        lambda: np.ma.masked_array(array),
        lambda: list(array),
        lambda: {"array": array},
        lambda: (array, array),
        lambda: draw.choice((None, 1, "text", b"bytes", 1.5, True, float("nan"), [], {}, set(), 10**4000, print)),
        lambda: np.float64(draw.random()),
        lambda: np.full(len(array), draw.choice((-1, 255, 2**62, 1e18, -0.0, 0.1))),
        lambda: np.eye(len(array))[:, : draw.randrange(1, 6)],
    ]
    with np.errstate(all="ignore"):
        try:
            changed = draw.choice(changes)()
        except (ValueError, TypeError):
            changed = array.reshape(-1)
    path.write_bytes(
        _kept(draw, changed) if isinstance(changed, np.ndarray) else pickle.dumps(changed, draw.randrange(6))
    )


class _Call:
    """Pickles as a call."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None) -> None:
        self.call = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.call


def _program(draw: random.Random, place: Place, path: Path) -> None:
    """A pickle that would make the canary, alone or beside an array."""
    import subprocess

    import numpy as np

    canary = str(place.canary)
    code = f"open({canary!r}, 'w').close()"
    calls = [
        _Call(os.system, f"touch {canary}"),
        _Call(exec, code),
        _Call(eval, code),
        _Call(open, canary, "w"),
        _Call(subprocess.check_call, ["touch", canary]),
        _Call(os.mkdir, canary),
        _Call(shutil.copy, str(path), canary),
        _Call(np.savetxt, canary, [1.0]),
        _Call(np.memmap, canary, "u1", "w+", 0, (9,)),
        _Call(np.fromfile, canary),
        _Call(pickle.loads, pickle.dumps(_Call(exec, code), 2)),
        _Call(getattr, _Call(__import__, "os"), "system"),
    ]
    call = draw.choice(calls)
    whole = draw.choice((call, [call], (call, _good(path)), {"a": call}, np.array([call, None], dtype=object)))
    data = pickle.dumps(whole, draw.randrange(6))
    if draw.random() < 0.3:  # an array's own pickle, with what it asks for named anew
        data = pickle.dumps(_good(path), draw.choice((0, 1, 2)))
        name = draw.choice((b"posix\nsystem", b"builtins\nexec", b"numpy\nload", b"os\nsystem", b"numpy\ndtype"))
        data = data.replace(draw.choice((b"numpy\nndarray", b"_codecs\nencode", b"numpy\ndtype")), name)
    if draw.random() < 0.2:
        data = damaged(draw, data)
    path.write_bytes(data)


def _assembled(draw: random.Random, place: Place, path: Path) -> None:
    """Operations of the pickle machine in no good order, with arguments that may be absurd."""
    good = list(pickletools.genops(pickle.dumps(_good(path), draw.choice((2, 4, 5)))))
    codes = [operation.code.encode("latin1") for operation, _, _ in good]
    absurd = (
        b"\x8e" + struct.pack('<Q', 2 ** 62), b"\x96" + struct.pack('<Q', 2 ** 40),
        b"\x8b" + struct.pack('<I', 2 ** 31 - 1), b"r" + struct.pack('<I', 2 ** 32 - 1), b"p999999999\n",
        b"(" * 100000, b"(" * 5000 + b"t" * 5000, b")" + b"\x85" * 50000, b"I" + b"9" * 5000 + b"\n",
        b"L" + b"9" * 5000 + b"L\n", b"2" * 60, b"V\\ud800\n", b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy\ndtype\n(Vf4\nI0\nI1\ntR", b"\x95" + struct.pack('<Q', 2 ** 63),
    )  # fmt: skip
    parts = [b"\x80", bytes([draw.randrange(7)])]
    for _ in range(draw.randrange(1, 12)):
        part = draw.choice(
            (draw.choice(codes), draw.choice(absurd), draw.randbytes(draw.randrange(4)), b"R", b"b", b".")
        )
        parts.append(part * draw.choice((1, 1, 1, 3)))
    path.write_bytes(b"".join(parts) + draw.choice((b"", b".", b"R.", b"b.")))


def _headed(draw: random.Random, place: Place, path: Path) -> None:
    """A .npy file whose header may say anything."""
    array = _good(path)
    shape = draw.choice((array.shape, (-1,), (2**62,), (2**31, 2**31, 2**31), (0,), (1.5,), "abc", None, [6], (True,)))
    descr = draw.choice(("<f8", "<f4", "|O", "|V8", "<M8[ns]", "<U1000000000", [("a", "<f8")], "f999", None, 3, "<i8"))
    header = repr({"descr": descr, "fortran_order": draw.choice((False, True, 1, "x")), "shape": shape})
    header = draw.choice(
        (header, header, header, "(" * 3_000, "{" * 200, "9" * 9_000, "__import__('os')", "", "é", "-" * 4_000)
    )
    text = header.encode("utf-8") + b"\n"
    version = draw.choice(((1, 0), (1, 0), (2, 0), (3, 0), (0, 0), (255, 255)))
    size = draw.choice((len(text), len(text), len(text), 0, 65_535, 2**31))
    length = struct.pack("<H", size % 2**16) if version == (1, 0) else struct.pack("<I", size)
    path.write_bytes(b"\x93NUMPY" + bytes(version) + length + text + array.tobytes())


def _file(draw: random.Random, place: Place, path: Path) -> None:
    path.unlink()
    match draw.randrange(5):
        case 0:
            path.mkdir()
        case 1:
            path.symlink_to(draw.choice(("/dev/zero", "/dev/null", path.name, "nowhere")))
        case 2:
            pass  # it is missing
        case _:
            path.write_bytes(nonsense(draw))
