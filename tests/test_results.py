"""A table of measurements whose code has changed since says so, as git's history tells."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from benchmarks import groups, marks  # noqa: E402 - the repository's root is not where tests are looked for
from benchmarks.marks import TABLES, NoHistoryError, Table, UnknownCommitError  # noqa: E402


@pytest.mark.parametrize("table", TABLES, ids=[table.page for table in TABLES])
def test_a_table_that_its_code_has_outgrown_is_marked_and_no_other(table):
    try:
        outgrown = marks.is_outgrown(table)
    except NoHistoryError as why:
        pytest.skip(str(why))
    said = marks.line_of(table.commit()) in (ROOT / table.page).read_text()
    assert said == outgrown, f"`python -m benchmarks.marks` marks {table.page}, and `make readme` the README"


def test_every_results_file_has_its_table_and_what_it_measures_is_there():
    files = {
        str(file.relative_to(ROOT))
        for folder in ("benchmarks", "tests/stress")
        for file in (ROOT / folder / "results").glob("*.json")
        if "quick" not in file.name
    }
    assert files == {table.results for table in TABLES}
    for table in TABLES:
        assert (ROOT / table.page).is_file()
        assert len(table.commit()) == 40
        missing = [path for path in table.measures if not path.startswith(":") and not (ROOT / path).exists()]
        assert missing == []


def test_a_table_of_the_benchmarks_is_measured_by_its_groups_modules():
    by_name = {Path(table.page).stem: table for table in TABLES if table.page.startswith("benchmarks")}
    assert by_name.keys() == groups.TABLES.keys() | {"few_clips"}  # which needs real clips, and is a module of its own
    for name, of in groups.TABLES.items():
        modules = {groups.GROUPS[group].__module__.replace(".", "/") + ".py" for group in of}
        assert modules <= set(by_name[name].measures)


TABLE = Table(page="page.md", results="results.json", measures=("code", "harness.py", ":(exclude)code/results"))


class Repository:
    """A repository with a table of its first commit."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch", "main")
        self.write("code/a.py", "a = 1")
        self.first = self.commit()
        self.write("results.json", json.dumps({"machine": {"commit": self.first}}))
        self.write("page.md", "# Table\n\n- Commit\n")
        self.commit()

    def git(self, *arguments: str) -> str:
        about = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(self.folder), *about, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "m")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path / "repository")


def test_a_commit_elsewhere_does_not_outgrow_a_table(repository):
    for name in ("README.md", "code/results/new.json", "other/a.py"):
        repository.write(name, "new")
        repository.commit()
    assert not marks.is_outgrown(TABLE, repository.folder)


@pytest.mark.parametrize("name", ["code/a.py", "code/b/new.py", "harness.py"])
def test_a_later_commit_to_what_is_measured_outgrows_it(repository, name):
    repository.write(name, "new = 2")
    assert not marks.is_outgrown(TABLE, repository.folder), "it is not committed"
    repository.commit()
    repository.write("README.md", "and another one")
    repository.commit()
    assert marks.is_outgrown(TABLE, repository.folder)


def test_so_does_a_merge_of_a_branch_that_began_before(repository):
    repository.git("checkout", "--quiet", "-b", "other", repository.first)
    repository.write("code/a.py", "a = 2")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    assert not marks.is_outgrown(TABLE, repository.folder)
    repository.git("merge", "--quiet", "--no-edit", "other")
    assert marks.is_outgrown(TABLE, repository.folder)


def test_without_all_of_the_history_nothing_is_told(repository, tmp_path, monkeypatch):
    clone = tmp_path / "shallow"
    command = ["git", "clone", "--quiet", "--depth", "1", f"file://{repository.folder}", str(clone)]
    subprocess.run(command, check=True)
    with pytest.raises(NoHistoryError, match="this is a shallow clone"):
        marks.is_outgrown(TABLE, clone)
    (tmp_path / "tarball").mkdir()
    with pytest.raises(NoHistoryError, match="git knows no history here"):
        marks.is_outgrown(TABLE, tmp_path / "tarball")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoHistoryError, match="git cannot be run"):
        marks.is_outgrown(TABLE, repository.folder)


def test_a_commit_that_is_not_there_is_no_reason_to_skip(repository):
    repository.write("results.json", json.dumps({"machine": {"commit": "0" * 40}}))
    with pytest.raises(
        UnknownCommitError, match=r"results.json names commit 000000000000, which is not in the history"
    ):
        marks.is_outgrown(TABLE, repository.folder)


def test_another_repository_in_the_environment_does_not_count(repository, tmp_path, monkeypatch):
    other = Repository(tmp_path / "other")
    repository.write("code/a.py", "a = 2")
    repository.commit()
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    assert marks.is_outgrown(TABLE, repository.folder)


def test_a_mark_stands_under_the_title_once_and_goes_again():
    page = "# Table\n\n- Commit: 1\n\n| a |\n| --- |\n"
    marked = marks.mark(page, "1" * 40)
    assert marked.split("\n\n")[:3] == ["# Table", marks.line_of("1" * 40), "- Commit: 1"]
    assert marks.mark(marked, "1" * 40) == marked
    assert marks.mark(marked, "2" * 40).count("Measured at commit") == 1
    assert marks.mark(marked, None) == page == marks.mark(page, None)
    assert marked.split("\n", 2)[2].startswith("**Measured at commit 111111111111; "), "the README shows it, too"


def test_marks_are_written_and_said(repository, monkeypatch, capsys):
    monkeypatch.setattr(marks, "ROOT", repository.folder)
    monkeypatch.setattr(marks, "TABLES", (TABLE,))
    monkeypatch.setattr(Table, "commit", lambda *_: repository.first)
    monkeypatch.setattr(marks, "is_outgrown", lambda _: True)
    marks.main()
    assert capsys.readouterr().out == "page.md\n"
    assert marks.line_of(repository.first) in (repository.folder / "page.md").read_text()
    marks.main()
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(marks, "is_outgrown", lambda _: (_ for _ in ()).throw(NoHistoryError("a tarball")))
    with pytest.raises(SystemExit, match="nothing can be marked: a tarball"):
        marks.main()
