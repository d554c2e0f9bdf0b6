"""Networks of the user's own by kws as a program: in tables, copied, resumed, swept by processes, searched."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from commands import kws, ok, ok_json, refused, sql
from own_files import NET, PLAIN, TRAIN, a_cache, a_net, a_run, a_task, nothing_is_trusted, sha256, times_run, write  # noqa: F401 - fixtures

from kws.registry.reader import RegistryReader


def test_the_same_source_elsewhere_is_the_same_cell_and_a_changed_comment_is_another(task):
    sources = {"a/first.py": PLAIN, "b/second.py": PLAIN.replace("\n", "\r\n"), "c/third.py": PLAIN + "# more\n"}
    runs = [ok_json(*TRAIN, write(path, source), "--seed", 0)["run"] for path, source in sources.items()]
    with RegistryReader(Path("experiments.db")) as registry:
        recipes = [registry.run(run).recipe for run in runs]
    assert [recipe.cell == recipes[0].cell for recipe in recipes] == [True, True, False]
    assert [recipe.digest == recipes[0].digest for recipe in recipes] == [True, True, False]
    assert [recipe.arch.partition("@")[0] for recipe in recipes] == ["first", "first", "third"]
    csv = ok("compare", "--format", "csv").splitlines()
    assert len(csv) == 1 + 2
    assert len(sql(Path("experiments.db"), "SELECT sha256 FROM sources")) == 2


def test_reading_showing_comparing_copying_and_checking_run_nothing(run):
    ok("runs", "export", run["run"], "mine.db")
    ok("runs", "import", "mine.db", "--db", "other.db")
    for command in (
        ["runs", "list", "--where", "width = 5 and mode = 'mean'"],
        ["runs", "show", run["run"]],
        ["runs", "show", run["run"], "--source"],
        ["runs", "diff", run["run"], run["run"]],
        ["compare"],
        ["compare", "--rows", "width"],
        ["plot", run["run"], "--out", "curve.png"],
        ["report", "report.html"],
        ["db", "query", "SELECT width, steps FROM runs"],
        ["db", "doctor"],
        ["eval", run["run"]],  # its answers are recorded
        ["test", run["run"]],  # it was tested
    ):
        assert run["run"] in ok(*command, "--db", "other.db") or command[0] != "runs" or "--source" in command
    assert times_run() == 0


def test_resume_asks_unless_the_file_is_named_on_the_same_command_line(net):
    made = ok_json(*TRAIN, net, "--set", "width=4")
    path = Path("experiments.db")
    sql(path, "UPDATE trainings SET status = 'interrupted', test_accuracy = NULL", "DELETE FROM weights")
    sql(path, "DELETE FROM evaluations", "DELETE FROM logits")
    for copy in ("flag.db", "file.db"):
        shutil.copy(path, copy)
    resume = ["train", "--resume", made["run"], "--epochs", "2", "--db"]
    assert sha256(Path(net).read_text()) in refused(*resume, path)
    assert times_run() == 1
    flag = ok_json(*resume, "flag.db", "--trust-code", "all")
    file = ok_json(*resume, "file.db", "--arch", net)
    assert times_run() == 3
    assert flag["validation_accuracy"] == file["validation_accuracy"]
    other = write("other.py", PLAIN)
    assert "is not what run" in refused(*resume, path, "--arch", other)
    assert "--trust-code is for a run that goes on" in refused(*TRAIN, net, "--trust-code", "all")


def test_the_example_of_the_documentation_trains(task):
    page = (Path(__file__).parent.parent.parent / "docs" / "extend.md").read_text()
    section = page.partition("## Your own network")[2]
    source = section.partition("```python\n")[2].partition("```")[0]
    write("net.py", source)
    command = next(line for line in section.splitlines() if line.startswith("kws train --arch net.py")).split()[1:]
    made = ok_json(*command, "--epochs", 1, "--threads", 1)
    assert made["status"] == "finished"
    assert ok("runs", "show", made["run"], "--source") == source


def test_a_test_that_is_made_up_for_asks_too(net):
    made = ok_json(*TRAIN, net, "--no-test")
    assert sha256(Path(net).read_text()) in refused("test", made["run"])
    assert times_run() == 1
    assert ok_json("test", made["run"], "--trust-code", "all")["tested_now"]


def test_a_sweep_by_processes_trains_every_value_of_the_files_option_and_goes_on_with_what_was_cut_off(net):
    sweep = ["sweep", "--arch", f"{net},fc", "--opt", "adam", "--set", "width=2,3", "--epochs", 1, "--jobs", 1]
    runs = ok_json(*sweep)["runs"]
    assert [(run["arch"].partition("@")[0], run["status"]) for run in runs] == [("Bands", "finished")] * 2 + [
        ("fc", "finished")
    ]
    path = Path("experiments.db")
    assert sql(path, "SELECT arch, width FROM runs WHERE width IS NOT NULL ORDER BY width") == [
        (runs[0]["arch"], 2),
        (runs[0]["arch"], 3),
    ]
    before = sql(path, "SELECT id, sha256 FROM trainings JOIN weights ON run_key = key ORDER BY id")
    cut = runs[0]["run"]
    of_it = f"run_key = (SELECT key FROM trainings WHERE id = '{cut}')"
    sql(
        path,
        f"UPDATE trainings SET status = 'interrupted', test_accuracy = NULL WHERE id = '{cut}'",
        *(f"DELETE FROM {table} WHERE {of_it}" for table in ("weights", "evaluations", "logits")),
    )
    again = ok_json(*sweep)["runs"]
    assert {run["run"] for run in again} == {run["run"] for run in runs}
    assert sql(path, "SELECT id, sha256 FROM trainings JOIN weights ON run_key = key ORDER BY id") == before
    Path(net).write_text(Path(net).read_text() + "# changed\n")
    assert sum(run["status"] == "planned" or run["run"] is None for run in ok_json(*sweep, "--dry-run")["runs"]) == 2


def test_a_search_draws_the_files_options_and_ends_with_a_command_that_trains_the_best(net):
    tune = ["tune", "--arch", net, "--set", "width=2:4", "--learning-rate", "0.01", "--trials", 2, "--epochs", 1]
    done = kws(*tune, "--batch-size", "16", "--jobs", 1, "--random", "--no-prune")
    assert done.exit_code == 0, done.stderr
    assert "kws sweep --arch net.py" in done.stderr.splitlines()[-1]
    assert "--set width=" in done.stderr.splitlines()[-1]
    assert {width for (width,) in sql(Path("experiments.db"), "SELECT width FROM runs")} <= {2, 3, 4}


def test_the_program_prints_the_source_byte_by_byte_whatever_the_encoding_and_trains_without_what_lies_beside(task):
    source = NET.format(about="n\u00e4her \U0001f40d")
    write("src/net.py", source)
    write("src/helpers.py", "raise SystemExit('it ran')\n")
    program = [sys.executable, "-m", "kws"]
    made = ok_json(*TRAIN, "src/net.py")
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path(__file__).parent.parent.parent), "PATH": ""}
    show = [*program, "runs", "show", made["run"], "--source", "--db", "experiments.db"]
    assert subprocess.run(show, capture_output=True, check=True, env=environment).stdout == source.encode()
    write("src/net.py", "import importlib\n\nimportlib.import_module('helpers')\n" + PLAIN)
    done = subprocess.run([*program, *TRAIN, "net.py"], capture_output=True, cwd="src", env=environment, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("kws: net.py, line 3: ImportError: `helpers` cannot be imported")
