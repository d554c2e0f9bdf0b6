"""Every test has a cache and a registry of its own; the user's are out of reach."""

import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest
from places import ROOT

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a shell's background; what is tested heeds it
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two workers of pytest on two cores would otherwise share four threads

hypothesis.settings.register_profile("kws", deadline=None)  # a busy machine is no fault of an example
hypothesis.settings.load_profile("kws")

_SHARING = ('@pytest.fixture(scope="module")', "import librosa")  # which numba compiles for 20 s, the first time


def pytest_xdist_make_scheduler(config, log):
    """A module whose tests share what takes time to make runs in one worker; all other tests go where there is room.

    That is what pytest-xdist's own groups are for, but 3.8 cannot tell pytest 9.2's tests by their group.
    """
    from xdist.scheduler import LoadScopeScheduling

    files = {str(file.relative_to(ROOT)): file.read_text() for file in Path(__file__).parent.rglob("test_*.py")}
    shares = {name for name, text in files.items() if any(sign in text for sign in _SHARING)}

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return file if file in shares else nodeid

    return Scheduling(config, log)


def pytest_collection_modifyitems(config, items):
    """What takes longest begins first, so that no worker waits for it at the end; files' tests are for files."""
    if config.getoption("--registry") != "sqlite":
        left = [item for item in items if item.get_closest_marker("sqlite_file")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]
    items.sort(key=lambda item: item.path.name not in ("test_ray.py", "test_sweep.py", "test_real_clips.py"))


def pytest_addoption(parser):
    parser.addoption(
        "--registry",
        choices=("sqlite", "postgresql", "pgbouncer"),
        default="sqlite",
        help="where the tests' registries are: in files, or in schemas of a PostgreSQL server of the tests' own, "
        "reached directly or through PgBouncer",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "sqlite_file: about the registry as a file; left out with --registry postgresql")


@pytest.fixture(scope="session")
def server(request):
    """A PostgreSQL server of this process's own, behind a pooler if one is asked for; skips where there can be none."""
    import bouncer
    from server import Server, missing

    pooled = request.config.getoption("--registry") == "pgbouncer"
    if why := missing() or (pooled and bouncer.missing()):
        pytest.skip(why)
    made = Server()
    if pooled:
        pooler = bouncer.Bouncer(made)
        made.asked_at = pooler.port
    yield made
    if pooled:
        pooler.close()
    made.close()


@pytest.fixture(scope="session")
def new_place(request, tmp_path_factory):
    """Where a registry can be made that no other test knows, as often as it is called."""
    if request.config.getoption("--registry") == "sqlite":
        return lambda name="experiments.db": tmp_path_factory.mktemp("registry") / name
    from kws.registry.location import locate

    server = request.getfixturevalue("server")
    return lambda _="": locate(server.url(server.new_schema()))


@pytest.fixture
def place(request, tmp_path, new_place):
    """Where this test's registry of a name is, or can be made: a file of that name in its folder, or a schema."""
    if request.config.getoption("--registry") == "sqlite":
        return lambda name: tmp_path / name
    made = {}
    return lambda name: made[name] if name in made else made.setdefault(name, new_place())


@pytest.fixture
def db(place):
    """The test's registry where no other is named."""
    return place("experiments.db")


@pytest.fixture
def registry(db):
    """The test's registry, new and open."""
    from kws.registry.store import Registry

    with Registry(db, create=True) as opened:
        yield opened


@pytest.fixture(autouse=True)
def own_places(request, tmp_path, monkeypatch):
    """Point the cache and the registry into the test's folder, and make that the current one."""
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "experiments.db"))
    for name in ("KWS_DATA", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    if request.config.getoption("--registry") != "sqlite":
        monkeypatch.setenv("KWS_DB", request.getfixturevalue("db").in_full())
    yield
    if "torch" in sys.modules:  # training flushes denormals, and hypothesis checks that nobody does
        sys.modules["torch"].set_flush_denormal(False)


@pytest.fixture(scope="session")
def real_clips(tmp_path_factory):
    """The real clips, unpacked; skips where they are not there."""
    shared = ROOT.parent / "shared" / "speech_commands"
    if not (shared / "unpack").exists():
        pytest.skip("the real clips are not there: put them beside the repository as ../shared/speech_commands")
    import subprocess

    from filelock import FileLock

    folder = Path(os.environ.get("KWS_REAL_CLIPS", ROOT / "data" / "speech_commands"))
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "testing_list.txt").exists():
            subprocess.run([sys.executable, shared / "unpack", folder], check=True)
    return folder
