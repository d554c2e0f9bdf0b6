"""The commands as a user types them: results on stdout, one sentence on stderr, exit codes."""

import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sounds import write_task
from typer.testing import CliRunner

from kws.cli import app

TRAIN = ["train", "--arch", "fc", "--opt", "adam", "--epochs", "2", "--batch-size", "16", "--threads", "1"]
RUN_KEYS = {"run", "status", "arch", "opt", "seed", "epochs", "parameters", "validation_accuracy", "test_accuracy"}


def kws(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="kws")


def ok(*arguments: object) -> str:
    result = kws(*arguments)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def refused(*arguments: object, code: int = 1) -> str:
    """The one sentence of a command that must fail."""
    result = kws(*arguments)
    assert result.exit_code == code, result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line]
    assert lines[-1].startswith("kws: ")
    assert "Traceback" not in result.stderr
    return lines[-1]


@pytest.fixture
def task(tmp_path):
    return write_task(tmp_path / "task")


@pytest.fixture
def run(task):
    return json.loads(ok(*TRAIN, "--data", task, "--json"))


def test_train_prints_one_json_object_and_keeps_the_run(run):
    assert set(run) >= RUN_KEYS | {"seconds"}
    assert (run["status"], run["arch"], run["opt"], run["epochs"], run["seed"]) == ("finished", "fc", "adam", 2, 0)
    assert run["parameters"] == 567_171
    assert 0 <= run["test_accuracy"] <= 1
    shown = json.loads(ok("runs", "show", run["run"], "--json"))
    assert shown["test_accuracy"] == run["test_accuracy"]
    assert [e["epoch"] for e in shown["epochs"]] == [1, 2]
    assert shown["epochs"][-1]["validation_accuracy"] == run["validation_accuracy"]
    assert set(shown["epochs"][0]) >= {
        "epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds",
    }  # fmt: skip
    assert shown["epochs_planned"] == 2
    assert shown["recipe"]["learning_rate"] == 0.001
    assert shown["environment"]["command"].startswith("kws")


def test_train_says_the_id_the_accuracy_and_what_to_type_next(task):
    result = kws(*TRAIN, "--data", task)
    assert result.exit_code == 0
    assert result.stdout == ""
    run_id = json.loads(ok("runs", "list", "--json"))["runs"][0]["run"]
    assert re.search(rf"run {run_id} finished: test accuracy \d+\.\d\d % on 12 clips of task", result.stderr)
    assert f"kws plot {run_id}" in result.stderr
    assert re.search(r"epoch 1/2  train/val loss \d.* accuracy .* clips/s .* left", result.stderr)


def test_the_same_seed_gives_the_same_figures_and_another_seed_others(task, run):
    again = json.loads(ok(*TRAIN, "--data", task, "--json"))
    other = json.loads(ok(*TRAIN, "--data", task, "--json", "--seed", 1))
    epochs = [json.loads(ok("runs", "show", r["run"], "--json"))["epochs"] for r in (run, again, other)]
    losses = [[(e["train_loss"], e["validation_loss"], e["iteration_losses"]) for e in es] for es in epochs]
    assert losses[0] == losses[1] != losses[2]
    weights = sqlite3.connect(os.environ["KWS_DB"]).execute("SELECT sha256 FROM weights ORDER BY run_key").fetchall()
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("arch", ["fc", "cnn"])
@pytest.mark.parametrize("opt", ["sgd", "adam"])
def test_every_network_trains_with_every_optimizer(task, arch, opt):
    run = json.loads(ok("train", "--arch", arch, "--opt", opt, "--epochs", 1, "--data", task, "--json", "--threads", 1))
    assert (run["arch"], run["opt"], run["status"]) == (arch, opt, "finished")


def test_the_handouts_quick_check_can_be_run(task):
    run = json.loads(ok(*TRAIN, "--data", task, "--json", "--arch", "cnn", "--maps", "8,4"))
    assert run["parameters"] == 8 * 26 + 4 * (25 * 8 + 1) + 128 * (4 * 22 * 7 + 1) + 128 * 129 + 3 * 129


def test_the_default_feature_maps_are_the_same_recipe_when_they_are_typed(task):
    ok(*TRAIN, "--data", task, "--arch", "cnn", "--maps", "32,16", "--json")
    assert json.loads(ok("runs", "show", "last", "--json"))["recipe"]["channels"] == [32, 16]


def test_compare_tells_the_registrys_figures_in_every_format(task, run):
    second = json.loads(ok(*TRAIN, "--data", task, "--json", "--seed", 1))
    mean = (run["test_accuracy"] + second["test_accuracy"]) / 2
    (table,) = json.loads(ok("compare", "--format", "json"))["tables"]
    (cell,) = table["cells"]
    assert (cell["arch"], cell["opt"], cell["n"], cell["best"]) == ("fc", "adam", 2, True)
    assert cell["mean"] == pytest.approx(mean)
    assert cell["runs"] == [run["run"], second["run"]]
    text = f"{100 * mean:.2f}"
    for form in ("table", "markdown", "latex", "csv"):
        printed = ok("compare", "--format", form)
        assert (text in printed) or form == "csv"
        assert "Fully-connected (567,171 params)" in printed.replace(r"\newline", "").replace("~", " ")
    assert ok("compare") == ok("compare")


def test_eval_gives_the_same_test_accuracy_again_and_keeps_other_splits(run):
    result = json.loads(ok("eval", run["run"], "--json"))
    assert result["accuracy"] == run["test_accuracy"]
    assert sum(map(sum, result["confusion_matrix"])) == result["clips"] == 12
    assert set(result["classes"]) == {"yes", "no", "other"}
    assert set(result["classes"]["yes"]) >= {"precision", "recall", "f1"}
    validation = json.loads(ok("eval", "last", "--split", "validation", "--json"))
    assert validation["accuracy"] == run["validation_accuracy"]
    kept = json.loads(ok("runs", "show", "last", "--json"))["evaluations"]
    assert {e["split"] for e in kept} == {"test", "validation"}


def test_eval_prints_a_confusion_matrix(run):
    printed = ok("eval", run["run"])
    assert "Confusion matrix" in printed
    assert "precision" in printed


def test_eval_on_other_data_normalises_as_in_training(run, task, tmp_path):
    write_task(tmp_path / "other", {"train": 1, "validation": 1, "test": 4})
    result = kws("eval", run["run"], "--data", tmp_path / "other", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["clips"] == 12
    assert "this is other data than run" in result.stderr
    everything = json.loads(ok("eval", run["run"], "--data", tmp_path / "other", "--split", "all", "--json"))
    assert everything["clips"] == 3 + 3 + 12


def test_a_registry_copied_elsewhere_is_all_that_eval_compare_and_plot_need(run, task, tmp_path):
    copy = tmp_path / "copied here.db"
    copy.write_bytes(Path(os.environ["KWS_DB"]).read_bytes())
    Path(os.environ["KWS_DB"]).unlink()
    assert json.loads(ok("eval", "last", "--db", copy, "--json"))["accuracy"] == run["test_accuracy"]
    assert json.loads(ok("compare", "--db", copy, "--format", "json"))["tables"][0]["cells"][0]["n"] == 1
    assert ok("plot", "last", "--db", copy, "--out", "figure.svg").strip() == "figure.svg"
    assert not list(tmp_path.glob("*.db-*"))


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_plot_writes_by_the_files_ending_and_prints_the_path(run, ending):
    assert ok("plot", run["run"][:3], "--out", f"figure.{ending}") == f"figure.{ending}\n"
    assert Path(f"figure.{ending}").stat().st_size > 5_000


def test_plot_lays_several_runs_over_each_other(run, task):
    other = json.loads(ok(*TRAIN, "--data", task, "--json", "--opt", "sgd"))
    path = Path(ok("plot", run["run"], other["run"]).strip())
    assert path.name == f"curves-{run['run']}-{other['run']}.png"
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_runs_list_and_show_print_for_people_too(run):
    assert run["run"] in ok("runs", "list")
    shown = ok("runs", "show", "last")
    assert "567,171" in shown
    assert "validation loss" in shown


def test_summary_gives_the_reports_formulas_and_ratio():
    printed = ok("summary", "--arch", "cnn")
    for text in ("16 x (5 x 5 x 32 + 1)", "12,816", "346,067", "1.6389", "32 x 97 x 36", "11,010,560"):
        assert text in printed
    assert json.loads(ok("summary", "--arch", "fc", "--json"))["parameters"] == 567_171


def test_data_list_names_every_source_and_where_it_lies(tmp_path):
    sources = {s["source"]: s for s in json.loads(ok("data", "list", "--json"))["sources"]}
    assert set(sources) == {"synthetic", "speech-commands", "mini-speech-commands", "speech-commands-test"}
    assert all(str(tmp_path) in s["folder"] and not s["there"] for s in sources.values())
    assert "used without --data: synthetic" in ok("data", "list")


def test_data_check_counts_and_fails_on_what_training_would_refuse(task):
    report = json.loads(ok("data", "check", task, "--json"))
    assert report["counts"]["yes"] == {"train": 12, "validation": 4, "test": 4}
    (task / "yes" / "broken_nohash_0.wav").write_text("no audio")
    result = kws("data", "check", task)
    assert result.exit_code == 1
    assert "yes/broken_nohash_0" in result.stdout


def test_an_unreadable_clip_is_named_and_can_be_left_out(task):
    (task / "yes" / "broken_nohash_0.wav").write_text("no audio")
    sentence = refused(*TRAIN, "--data", task)
    assert "broken_nohash_0.wav" in sentence
    assert "--skip-unreadable" in sentence
    assert not Path(os.environ["KWS_DB"]).exists()
    result = kws(*TRAIN, "--data", task, "--skip-unreadable")
    assert result.exit_code == 0
    assert "left out 1 unreadable clips: yes/broken_nohash_0" in result.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--epochs", 0], "`epochs` (=0) must be at least 1"),
        (["--epochs", -3], "`epochs` (=-3) must be at least 1"),
        (["--batch-size", 0], "`batch_size` (=0) must be at least 1"),
        (["--learning-rate", 0], "`learning_rate` (=0.0) must be a number above 0"),
        (["--learning-rate", -1], "`learning_rate` (=-1.0) must be a number above 0"),
        (["--learning-rate", "nan"], "`learning_rate` (=nan) must be a number above 0"),
        (["--learning-rate", "1e999"], "`learning_rate` (=inf) must be a number above 0"),
        (["--weight-decay", -1], "`weight_decay` (=-1.0) must be a number of at least 0"),
        (["--momentum", 0.9], "`momentum` (=0.9) is not for adam"),
        (["--seed", -1], "`seed` (=-1) must be from 0"),
        (["--threads", 0], "`threads` (=0) must be at least 1"),
        (["--words", "yes,,no"], "`words` (='yes,,no') must be words with a comma between them"),
        (["--words", "yes,yes"], "names a word twice"),
        (["--words", "yes,other"], "may not hold 'other'"),
        (["--maps", "8,4"], "is not for fc"),
        (["--maps", "eight"], "must be numbers"),
        (["--threads", 2**70], "`threads` (=1180591620717411303424) must be at most 4,096"),
        (["--threads", 100_000], "`threads` (=100000) must be at most 4,096"),
        (["--data", ""], "--data is empty; name a folder or a source"),
        (["--data", " "], "--data is empty; name a folder or a source"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_in_one_sentence(options, sentence):
    assert sentence in refused("train", "--arch", "fc", "--opt", "adam", *options)
    assert not Path(os.environ["KWS_DB"]).exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sweep", "--threads", 100_000], "`threads` (=100000) must be at most 4,096"),
        (["sweep", "--seeds", ""], "`seeds` (='') must be values with a comma between them"),
        (["sweep", "--epochs", ""], "`epochs` (='') must be values with a comma between them"),
        (["sweep", "--maps", ""], "`channels` (='') must be numbers"),
        (["train", "--maps", ""], "`channels` (='') must be numbers"),
        (["tune", "--maps", ""], "`channels` (='') must be numbers"),
        (["tune", "--batch-size", ""], "`batch_size` (='') must be a range as in 16:256"),
        (["tune", "--learning-rate", ""], "`learning_rate` (='') must be a range as in 0.001:0.1"),
        (["sweep", "--maps", "2", "--dry-run"], "`channels` (=2) must be 2 numbers, as in --channels 32,16"),
        (["sweep", "--maps", f"{2**70},1", "--dry-run"], "must be below 2^31"),
        (["sweep", "--data", ""], "--data is empty"),
        (["sweep", "--address", "here:6379"], "--address here:6379 is for a Ray cluster; add --engine ray"),
        (["sweep", "--momentum", "0.9"], "`momentum` (=0.9) is not for adam"),
        (["sweep", "--learning-rate", "0.1,nan", "--dry-run"], "`learning_rate` (=nan) must be a number above 0"),
    ],
)
def test_options_that_cannot_be_are_refused_in_one_sentence(arguments, sentence):
    assert sentence in refused(*arguments, "--arch", "cnn", "--opt", "adam")
    assert not Path(os.environ["KWS_DB"]).exists()


def test_empty_networks_and_optimizers_are_refused_not_taken_from_a_preset():
    for option in ("--arch", "--opt", "--seeds", "--epochs"):
        said = refused("sweep", "--preset", "table1", "--dry-run", option, "")
        assert f"`{option[2:]}` (='') must be " in said


@pytest.mark.parametrize("threads", [0, -1, 100_000, 2**40])
def test_threads_that_cannot_be_are_refused_by_bench(threads):
    assert f"`threads` (={threads}) must be at " in refused("bench", "--arch", "fc", "--threads", threads)


def test_an_address_in_the_environment_is_for_sweeps_by_ray_alone(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "here:6379")
    ok("sweep", "--arch", "cnn", "--opt", "adam", "--dry-run")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--arch", "rnn", "--opt", "adam"], "'rnn' is not one of 'fc', 'cnn'"),
        (["train", "--arch", "fc", "--opt", "lion"], "'lion' is not one of 'sgd', 'adam'"),
        (["train", "--opt", "adam"], "train needs --arch: "),
        (["train", "--arch", "fc", "--opt", "adam", "--epochs", "many"], "--epochs"),
        (["frobnicate"], "has no command 'frobnicate'"),
        (["compare", "--qqq"], "has no option --qqq"),
        (["compare", "--format", "word"], "--format"),
    ],
)
def test_a_mistake_in_the_command_line_ends_with_2_and_one_sentence(arguments, sentence):
    said = refused(*arguments, code=2)
    assert sentence in said
    assert "--help" in said


def test_an_unknown_run_is_refused(run):
    assert "there is no run 'zzzz'" in refused("eval", "zzzz")
    assert "there is no run 'zzzz'" in refused("plot", "zzzz")
    assert "there is no run 'zzzz'" in refused("runs", "show", "zzzz")


@pytest.mark.parametrize(
    "command",
    [
        *("compare", "runs list", "eval last", "plot last", "rerun last", "train --resume last", "runs delete last"),
        *("runs purge", "db info", "db doctor", "db backup copy.db", "runs export last copy.db"),
    ],
)
def test_without_a_registry_the_next_command_is_named(command):
    assert "there is no registry at" in refused(*command.split())
    assert "`kws train`" in refused(*command.split())
    assert not list(Path().glob("*.db"))


def test_a_registry_without_runs_says_so(run):
    connection = sqlite3.connect(os.environ["KWS_DB"])
    for table in ("weights", "evaluations", "epochs", "trainings"):
        connection.execute(f"DELETE FROM {table}")
    connection.commit()
    connection.close()
    result = kws("compare")
    assert result.exit_code == 0
    assert "no finished runs yet" in result.stderr
    assert json.loads(ok("compare", "--format", "json")) == {"schema": 2, "tables": []}
    assert "there is no run 'last'" in refused("eval", "last")


def test_a_database_that_is_not_one_is_refused(task, tmp_path):
    other = tmp_path / "notes.db"
    other.write_text("these are my notes, not a database at all")
    for command in (["compare"], ["runs", "list"], [*TRAIN, "--data", task]):
        assert "is not a SQLite database" in refused(*command, "--db", other)
    assert other.read_text().startswith("these are my notes")


def test_a_folder_for_the_registry_that_is_not_there_is_told_before_training(task, tmp_path):
    assert "the folder of" in refused(*TRAIN, "--data", task, "--db", tmp_path / "nowhere" / "x.db")


@pytest.mark.parametrize("words", ["yes,maybe", "zero,no"])
def test_a_folder_that_lacks_a_word_is_refused(task, words):
    sentence = refused(*TRAIN, "--data", task, "--words", words)
    assert re.search(r"has no recordings of '(maybe|zero)'; it has down, no, up, yes", sentence)


def test_a_data_folder_that_is_missing_or_empty_is_refused(tmp_path):
    assert "does not exist" in refused(*TRAIN, "--data", tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    assert "has no recordings" in refused(*TRAIN, "--data", tmp_path / "empty")


def test_a_class_without_clips_in_a_split_is_refused(tmp_path):
    write_task(tmp_path / "task", {"train": 4, "validation": 2, "test": 2})
    lines = (tmp_path / "task" / "testing_list.txt").read_text().splitlines()
    (tmp_path / "task" / "testing_list.txt").write_text("\n".join(x for x in lines if not x.startswith("no/")))
    assert "no clips of 'no' in its test split" in refused(*TRAIN, "--data", tmp_path / "task")


def test_a_loss_that_is_not_finite_leaves_a_failed_run(task):
    sentence = refused(*TRAIN, "--data", task, "--learning-rate", "1e30")
    assert "failed: the" in sentence
    (run,) = json.loads(ok("runs", "list", "--json"))["runs"]
    assert run["status"] == "failed"
    assert "loss became" in run["error"]
    assert json.loads(ok("compare", "--format", "json"))["tables"] == []
    assert "no weights" in refused("eval", "last")


def test_where_the_cache_cannot_be_written_it_is_told(task, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "file"))
    assert "KWS_CACHE" in refused(*TRAIN, "--data", task)


def test_a_plot_that_cannot_be_written_is_refused(run):
    assert "must end in .png, .svg or .pdf" in refused("plot", "last", "--out", "figure.bmp")
    assert "cannot be written" in refused("plot", "last", "--out", "nowhere/figure.png")


def test_names_and_notes_are_kept_and_shown_as_they_are(task):
    note = "[bold]50 %[/bold] | $x$ `y`"
    run = json.loads(ok(*TRAIN, "--data", task, "--name", "first [red]", "--note", note, "--json"))
    assert (run["name"], run["note"]) == ("first [red]", note)
    assert note in ok("runs", "show", "last")
    assert "first [red]" in ok("runs", "list")


def test_data_and_registry_can_come_from_the_environment(task, monkeypatch, tmp_path):
    monkeypatch.setenv("KWS_DATA", str(task))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "mine.db"))
    assert json.loads(ok(*TRAIN, "--json"))["data"] == "task"
    assert (tmp_path / "mine.db").exists()


def test_ctrl_c_keeps_what_was_measured_and_exits_with_130(task):
    command = [sys.executable, "-m", "kws", *TRAIN, "--epochs", "100000", "--data", str(task)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch"):
            break
    process.send_signal(2)
    said = process.stderr.read()
    assert process.wait(timeout=30) == 130
    assert "was interrupted" in said
    assert "Traceback" not in said
    (run,) = json.loads(ok("runs", "list", "--json"))["runs"]
    assert run["status"] == "interrupted"
    assert run["epochs"] >= 1


def test_in_a_terminal_there_is_a_live_bar(task):
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "kws", *TRAIN, "--data", str(task)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "140"}
    process = subprocess.Popen(command, stderr=follower, stdout=subprocess.PIPE, env=environment)
    os.close(follower)
    seen = b""
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    assert process.wait(timeout=30) == 0
    text = seen.decode()
    assert "\x1b[" in text
    assert "epoch 2/2" in text
    assert "clips/s" in text


def test_completion_offers_ids(run):
    from kws.registry.ids import beginning_with

    path = Path(os.environ["KWS_DB"])
    assert beginning_with(path, run["run"][:2]) == [run["run"]]
    assert beginning_with(path, "%") == []
    assert beginning_with(path.with_name("none.db"), "") == []
    assert not list(path.parent.glob("*.db-*"))


def test_a_reader_that_stops_early_ends_the_command_quietly(run):
    command = f"{sys.executable} -m kws runs show last --json | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.stdout == "{\n"
    assert done.stderr == ""


def test_the_page_of_help_is_what_the_parser_would_say():
    from kws.__main__ import HELP

    assert ok("--help") == HELP.read_text(), "`make readme` brings it up to date"
    done = subprocess.run([sys.executable, "-m", "kws", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout == HELP.read_text()


@pytest.mark.parametrize("command", ["runs", "db", "data", "sweep"])
def test_only_the_program_itself_offers_to_install_completion(command):
    assert "--install-completion" in ok("--help")
    assert "completion" not in ok(command, "--help")


def test_bf16_is_probed_recorded_and_has_a_table_of_its_own(task, run, monkeypatch):
    from kws.training import profile

    timed = profile.clips_per_second  # with fewer clips, for bfloat16 takes seconds where the processor has none
    monkeypatch.setattr(profile, "clips_per_second", lambda recipe, clips, repeats: timed(recipe, clips=8, repeats=2))
    result = kws(*TRAIN, "--data", task, "--precision", "bf16", "--json")
    assert result.exit_code == 0
    assert re.search(r"bf16 trains \d+\.\d\d times as fast as fp32 on this processor", result.stderr)
    other = json.loads(result.stdout)
    assert json.loads(ok("runs", "show", other["run"], "--json"))["recipe"]["precision"] == "bf16"
    tables = json.loads(ok("compare", "--format", "json"))["tables"]
    assert {table["precision"]: table["cells"][0]["runs"] for table in tables} == {
        "fp32": [run["run"]],
        "bf16": [other["run"]],
    }
    assert json.loads(ok("eval", other["run"], "--json"))["accuracy"] == other["test_accuracy"]


def test_a_gpu_that_is_not_there_is_refused(task):
    import torch

    if torch.cuda.is_available():
        ok(*TRAIN, "--data", task, "--device", "cuda")
    else:
        assert "`device` (=cuda) needs a GPU" in refused(*TRAIN, "--data", task, "--device", "cuda")


def test_bench_tells_speed_share_and_precision(monkeypatch):
    from kws.training import profile

    made = []
    measure = profile.measure
    monkeypatch.setattr(profile, "_PEAK_SECONDS", 0.01)
    monkeypatch.setattr(profile, "measure", lambda recipe, clips: made.append(measure(recipe, clips=64)) or made[-1])
    record = json.loads(ok("bench", "--arch", "fc", "--threads", 1, "--json"))
    assert [speed["precision"] for speed in record["speeds"]] == ["fp32", "bf16"]
    for each in record["speeds"]:
        assert each["clips_per_second"] > 0
        assert 0 < each["share"] == pytest.approx(each["gflops"] / each["peak_gflops"])
        assert each["share"] <= 1
    monkeypatch.setattr(profile, "measure", lambda recipe, clips: made[recipe.precision == "bf16"])
    fastest = max(made, key=lambda each: each.clips_per_second)
    assert f"fastest here: --precision {fastest.precision}" in ok("bench", "--arch", "fc", "--threads", 1)


def test_a_share_above_the_peak_is_never_printed(monkeypatch):
    """Training that is faster than any product of matrices says that the peak is not known."""
    from kws.training import profile

    monkeypatch.setattr(profile, "peak_gflops", lambda precision, device: 1e-3 if precision == "bf16" else 1e9)
    measure = profile.measure
    monkeypatch.setattr(profile, "measure", lambda recipe, clips: measure(recipe, clips=16, repeats=2))
    said = ok("bench", "--arch", "fc", "--threads", 1)
    assert max(int(share) for share in re.findall(r"(\d+) %", said)) <= 100
    line = next(line for line in said.splitlines() if line.split()[:1] == ["bf16"])
    assert "at least " in line and "not known" in line
    assert "bf16: training was faster than every product of matrices that was tried" in said
    told = {
        each["precision"]: each for each in json.loads(ok("bench", "--arch", "fc", "--threads", 1, "--json"))["speeds"]
    }
    assert (told["bf16"]["share"], told["bf16"]["peak_is_lower_bound"]) == (1, True)
    assert told["fp32"]["share"] < 1e-3 and not told["fp32"]["peak_is_lower_bound"]


def test_the_version_is_printed():
    assert re.fullmatch(r"kws \d+\.\d+\.\d+\n", ok("--version"))
