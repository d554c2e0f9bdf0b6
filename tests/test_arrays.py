import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kws.errors import DataError
from kws.speech.arrays import FILES, is_arrays_folder, read

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
NAMES = [name for names in FILES.values() for name in names]
rng = np.random.default_rng(0)
X = rng.normal(size=(4, 101, 40)).astype(np.float32)
LABELS = np.array([2, 0, 1, 0])
Y = np.eye(3)[LABELS]
LAYOUTS = {  # the same array, as memory holds it in four ways, each of which pickle writes in another
    "C": X,
    "Fortran": np.asfortranarray(X),
    "strided": np.repeat(X, 2, axis=0)[::2],
    "transposed": np.ascontiguousarray(X.swapaxes(0, 1)).swapaxes(0, 1),
}


def dumped(array: object, protocol: int = 4) -> bytes:
    return pickle.dumps(array, protocol)


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def course(tmp_path) -> Path:
    """A folder with four clips a split."""
    for x_name, y_name in FILES.values():
        (tmp_path / x_name).write_bytes(dumped(X))
        (tmp_path / y_name).write_bytes(dumped(Y))
    return tmp_path


def refusal(folder: Path, name: str, content: object) -> str:
    """What `read` says when the file of that name holds `content`: bytes, or an array to pickle."""
    (folder / name).write_bytes(content if isinstance(content, bytes) else dumped(content))
    with pytest.raises(DataError) as caught:
        read(folder)
    message = str(caught.value)
    assert name in message and "\n" not in message and not message.endswith(".")
    return message


def check(folder: Path) -> None:
    splits = read(folder)
    assert list(splits) == ["train", "validation", "test"]
    for features, labels in splits.values():
        assert features.dtype == np.float32 and labels.dtype == np.int64
        assert features.flags.writeable and features.flags.c_contiguous and labels.flags.writeable
        np.testing.assert_array_equal(features, X)
        np.testing.assert_array_equal(labels, LABELS)


def test_the_six_files_are_those_of_the_course():
    assert sorted(NAMES) == ["X_test.p", "X_train.p", "X_valid.p", "Y_test.p", "Y_train.p", "Y_valid.p"]


def test_a_folder_is_one_of_arrays_as_soon_as_it_holds_one_of_the_files(tmp_path):
    assert not is_arrays_folder(tmp_path) and not is_arrays_folder(tmp_path / "absent")
    (tmp_path / "Y_valid.p").touch()
    assert is_arrays_folder(tmp_path)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_what_pickle_wrote_comes_back(course, protocol, array):
    for x_name, y_name in FILES.values():
        (course / x_name).write_bytes(dumped(array, protocol))
        (course / y_name).write_bytes(dumped(Y, protocol))
    check(course)


@pytest.mark.parametrize("array", [X, np.asfortranarray(X)], ids=["C", "Fortran"])
def test_what_numpy_save_wrote_comes_back_whatever_its_ending(course, array):
    for x_name, y_name in FILES.values():
        (course / x_name).write_bytes(saved(array))
        (course / y_name).write_bytes(saved(Y))
    check(course)


@pytest.mark.parametrize("write", [dumped, saved])
@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f4", "<f8", ">f8", "longdouble", "i1", "<i4", ">u8"])
def test_features_of_any_width_and_byte_order_become_float32(course, write, dtype):
    array = np.round(X).astype(dtype) if np.dtype(dtype).kind == "f" else np.abs(np.round(X)).astype(dtype)
    (course / "X_test.p").write_bytes(write(array))
    features, _ = read(course)["test"]
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, array)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3])
def test_pickles_of_numpy_1_are_read(course, protocol):
    for name in NAMES:
        new = dumped(X if name.startswith("X") else Y, protocol)
        old = new.replace(b"cnumpy._core.", b"cnumpy.core.")  # GLOBAL ends at the line's end, so no length changes
        assert old != new
        (course / name).write_bytes(old)
    check(course)


@pytest.mark.parametrize("protocol", [4, 5])
def test_framed_pickles_of_numpy_1_are_read(course, protocol):
    small = np.eye(3, dtype=np.float32)[LABELS]  # short enough for one frame
    new = dumped(small, protocol)
    module = b"numpy._core.numeric" if protocol == 5 else b"numpy._core.multiarray"
    old = new.replace(bytes([len(module)]) + module, bytes([len(module) - 1]) + module.replace(b"_core", b"core"))
    old = old[:3] + struct.pack("<Q", struct.unpack_from("<Q", old, 3)[0] - 1) + old[11:]
    assert len(old) == len(new) - 1
    (course / "Y_test.p").write_bytes(old)
    check(course)


def by_python_2(array: np.ndarray, protocol: int) -> bytes:
    """What Python 2's pickle (and cPickle) wrote of an array by protocol 0, 1 or 2: its strings are bytes."""
    dtype, raw = array.dtype, array.tobytes("F" if not array.flags.c_contiguous else "C")
    fortran = int(not array.flags.c_contiguous)
    order = b"<" if dtype.itemsize > 1 else b"|"
    code = f"{dtype.kind}{dtype.itemsize}".encode()
    if protocol == 0:
        shape = b"(" + b"".join(b"I%d\n" % n if i % 2 else b"L%dL\n" % n for i, n in enumerate(array.shape)) + b"t"
        return (
            b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n"
            + shape + b"p6\ncnumpy\ndtype\np7\n(S'" + code + b"'\np8\nI0\nI1\ntp9\nRp10\n(I3\nS'" + order
            + b"'\np11\nNNNI-1\nI-1\nI0\ntp12\nbI%02d\nS" % fortran + repr(raw)[1:].encode() + b"\np13\ntp14\nb."
        )  # fmt: skip
    shape = b"(" + b"".join(b"J" + struct.pack("<i", n) for n in array.shape) + b"t"
    flag = (b"I01\n" if fortran else b"I00\n") if protocol == 1 else (b"\x88" if fortran else b"\x89")
    return (
        (b"\x80\x02" if protocol == 2 else b"")
        + b"cnumpy.core.multiarray\n_reconstruct\nq\x01(cnumpy\nndarray\nq\x02(K\x00tU\x01btRq\x03(K\x01" + shape
        + b"cnumpy\ndtype\nq\x04(U" + bytes([len(code)]) + code + b"K\x00K\x01tRq\x05(K\x03U\x01" + order
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb" + flag + b"T" + struct.pack("<i", len(raw)) + raw + b"tb."
    )  # fmt: skip


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("array", [X, np.asfortranarray(X)], ids=["C", "Fortran"])
def test_pickles_of_python_2_are_read(course, protocol, array):
    for x_name, y_name in FILES.values():
        (course / x_name).write_bytes(by_python_2(array, protocol))
        (course / y_name).write_bytes(by_python_2(Y, protocol))
    assert (pickle.loads((course / x_name).read_bytes(), encoding="latin1") == X).all(), "they are what they should be"
    check(course)


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["u1", "i8", "f2", "f8", "b1"])
def test_labels_of_python_2_are_read_in_any_type(course, protocol, dtype):
    (course / "Y_valid.p").write_bytes(by_python_2(Y.astype(dtype), protocol))
    check(course)


@pytest.mark.parametrize(
    "content",
    [
        b"S'x'\n.",
        b"U\x01x.",
        b"T\x01\x00\x00\x00x.",
        b"S'x",
        b"S'x'",
        b"T\xff\xff\xff\xffx.",
        b"T\xff\xff\xff\x7fx.",
        b"cposix\nsystem\n(S'touch it ran'\ntR.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cnumpy.core.multiarray\nscalar\n(S'x'\ntR.",
        b"ccopy_reg\n_reconstructor\n(S'x'\ntR.",
        b"cnumpy\ndtype\n(S'O8'\ntR.",
        b"cnumpy\ndtype\n(S'V8'\ntR.",
        b"cnumpy\ndtype\n(S'\\xff'\ntR.",
        by_python_2(X, 2).replace(b"U\x02f4", b"U\x02O8"),
        by_python_2(X, 2)[:-1000],
        by_python_2(X, 0)[:-1000],
        by_python_2(X, 2).replace(b"J\x04\x00\x00\x00", b"J\x05\x00\x00\x00"),
        by_python_2(X, 0).replace(b"numpy\ndtype", b"numpy\nload"),
    ],
    ids=range(19),
)
def test_strings_of_python_2_open_no_door(course, tmp_path, content):
    assert "cannot be read as one NumPy array" in refusal(course, "X_valid.p", content)
    assert not list(tmp_path.glob("it*"))


def test_features_with_an_axis_of_one_behind_are_features(course):
    for x_name, _ in FILES.values():
        (course / x_name).write_bytes(dumped(X[..., None]))
    check(course)


@pytest.mark.parametrize("shape", [(4, 101, 40, 2), (4, 101, 40, 1, 1), (4, 101, 1, 40), (4, 101, 40, 0)])
def test_features_with_any_other_axis_are_not(course, shape):
    assert "shape" in refusal(course, "X_train.p", np.ones(shape, np.float32))


@pytest.mark.parametrize(
    "labels", [Y, Y.astype(bool), Y.astype(np.int8), LABELS, LABELS.astype(float), LABELS.astype(np.uint8)]
)
def test_labels_may_be_one_hot_or_numbers_of_any_type(course, labels):
    (course / "Y_valid.p").write_bytes(dumped(labels))
    check(course)


class Bomb:
    """An object whose pickle makes the call when it is loaded."""

    def __init__(self, call, *arguments) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("hidden", [False, True], ids=["bare", "in a tuple"])
@pytest.mark.parametrize("call", [os.system, exec, os.mkdir, np.save], ids=lambda call: call.__name__)
def test_a_pickle_that_would_run_code_is_refused_and_not_run(course, tmp_path, protocol, hidden, call):
    witness = tmp_path / "it ran.npy"
    arguments = {
        os.system: (f"touch '{witness}'",),
        exec: (f"open({str(witness)!r}, 'w').close()",),
        os.mkdir: (str(witness),),
        np.save: (str(witness), 0),
    }[call]
    bomb = dumped((X, Bomb(call, *arguments)) if hidden else Bomb(call, *arguments), protocol)
    assert "which is refused" in refusal(course, "X_train.p", bomb)
    assert not witness.exists()
    pickle.loads(bomb)
    assert witness.exists(), "the pickle does run code where nothing holds it back"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "content",
    [
        np.array([{}, None], dtype=object),
        np.array(["yes", "no"]),
        np.zeros(3, dtype=[("a", "f4")]),
        np.zeros(3, dtype="M8[s]"),
        np.zeros(3, dtype=complex),
        np.float64(1.0),
        [1.0, 2.0],
        {"X": X},
        (X,),
        "X",
        None,
    ],
    ids=["objects", "strings", "records", "dates", "complex", "scalar", "list", "dict", "tuple", "str", "None"],
)
def test_anything_but_an_array_of_numbers_is_refused(course, protocol, content):
    assert "cannot be read as one NumPy array" in refusal(course, "X_train.p", dumped(content, protocol))


@pytest.mark.parametrize(
    "content", [np.array([{}, None], dtype=object), np.array(["a"]), np.zeros(3, [("a", "f4")])], ids=str
)
def test_a_npy_file_of_anything_but_numbers_is_refused(course, content):
    assert "cannot be read as one NumPy array" in refusal(course, "X_train.p", saved(content))


def huge_npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


@pytest.mark.parametrize(
    "content",
    [
        dumped(X)[:-1000],
        dumped(X, 0)[:-1000],
        dumped(X)[:1],
        saved(X)[:-1000],
        saved(X) + b"more",
        saved(X)[:40],
        b"yes,no,other\n1,2,3\n",
        b"<html>Sign in to this network</html>",
        b"\x00" * 100,
        huge_npy("(1000000000000, 101, 40)"),
        huge_npy("(0, 9223372036854775807)"),
        huge_npy("(-1, -4)"),
        dumped(X, 2).replace(b"K\x04", b"\x8a\x06\x00\x00\x00\x00\x00\x01", 1),  # a million million clips
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of two thousand million entries
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",  # a bytearray of a terabyte
        b"\x80\x04)" + b"\x86" * 3 + b".",
        b"\x80\x02cnumpy\ndtype\nX\x03\x00\x00\x00f8\x00\x85R.",
    ],
    ids=range(17),
)
def test_damaged_or_foreign_bytes_are_refused(course, content):
    assert "cannot be read as one NumPy array" in refusal(course, "X_valid.p", content)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_named(course, name):
    assert "is empty" in refusal(course, name, b"")


def test_missing_files_are_named(course):
    (course / "X_valid.p").unlink()
    (course / "Y_test.p").unlink()
    with pytest.raises(DataError, match=r"lacks X_valid\.p, Y_test\.p"):
        read(course)


@pytest.mark.parametrize("shape", [(4, 101), (4, 40, 101), (4, 98, 40), (4, 1, 101, 40), (101, 40), ()])
def test_features_of_another_shape_are_refused_with_both_shapes(course, shape):
    message = refusal(course, "X_train.p", np.ones(shape, np.float32))
    assert str(shape) in message and "101 frames, 40 mel bands" in message


@pytest.mark.parametrize("shape", [(0, 101, 40), (0,)])
def test_an_array_without_clips_is_refused(course, shape):
    assert "holds no clip" in refusal(course, "X_train.p", np.ones(shape, np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_features_that_are_not_finite_in_float32_are_refused(course, value):
    array = X.astype(float)
    array[1, 2, 3] = value
    assert "not finite" in refusal(course, "X_test.p", array)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (Y * 0.5, "not one-hot"),
        (Y + np.roll(Y, 1, axis=1), "not one-hot"),
        (np.where(Y == 1, np.nan, Y), "not one-hot"),
        (Y - np.roll(Y, 1, axis=1) + np.roll(Y, 2, axis=1), "not one-hot"),
        (Y * 0, "not one-hot"),
        (Y[:, :, None], "shape (4, 3, 1)"),
        (Y[:, :1], "shape (4, 1)"),
        (LABELS - 1, "other than 0 to K - 1"),
        (LABELS + 0.5, "other than 0 to K - 1"),
        (np.array([0, 1, 2, 2**62]), "other than 0 to K - 1"),
        (np.array([0, 1, 2, 2**64 - 1], np.uint64), "other than 0 to K - 1"),
        (np.array([0, 1, 2, np.nan]), "other than 0 to K - 1"),
        (np.array([0, 1, 3, 3]), "no clip of class 2"),
        (np.array([0, 0, 0, 0]), "no clip of class 1"),
        (np.eye(3)[[0, 1, 1, 0]], "no clip of class 2"),
        (LABELS[:3], "3 labels"),
        (np.array([0, 1, 1, 0]), "2 in Y_valid.p"),
        (np.eye(4), "4 in Y_valid.p"),
    ],
)
def test_labels_that_do_not_fit_are_refused(course, labels, reason):
    assert reason in refusal(course, "Y_valid.p", labels)


VALID = {
    f"{kind} {order}": dumped(array, kind) if kind != "npy" else saved(array)
    for kind in (*PROTOCOLS, "npy")
    for order, array in (("X", X), ("Y", Y), ("labels", LABELS))
} | {f"{kind} by Python 2": by_python_2(X, kind) for kind in (0, 1, 2)}


@st.composite
def damaged(draw) -> bytes:
    """A valid file with some bytes replaced, inserted, deleted or cut off; most near its start or end."""
    content = bytearray(VALID[draw(st.sampled_from(sorted(VALID)))])
    for _ in range(draw(st.integers(1, 5))):
        end = draw(st.booleans())
        offset = draw(st.integers(0, min(len(content), 300)))
        at = len(content) - offset if end else offset
        piece = draw(st.binary(max_size=4))
        content[at : at + draw(st.integers(0, 4))] = piece
    return bytes(content)


@pytest.mark.filterwarnings("ignore:invalid escape sequence")  # pickletools, where Python 2's strings are damaged
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(name=st.sampled_from(NAMES), content=st.one_of(st.binary(max_size=200), damaged()))
def test_no_bytes_raise_anything_but_a_data_error(course, name, content):
    before = (course / name).read_bytes()
    (course / name).write_bytes(content)
    try:
        read(course)
    except DataError as error:
        assert name in str(error) or name.translate(str.maketrans("XY", "YX")) in str(error)
    finally:
        (course / name).write_bytes(before)
