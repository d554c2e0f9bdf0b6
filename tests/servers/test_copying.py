"""A whole registry from a file to a server and back: the same rows, the same bytes, and the proof of it."""

from __future__ import annotations

import pytest
from commands import dump, kws, ok, ok_json, refused, sql
from ledger import cut_off, make_card, make_evaluation, make_recipe, make_registry, start, train

from kws.registry.copying import digest
from kws.registry.location import locate
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.registry.store import Registry


@pytest.fixture
def full(tmp_path):
    """A file with all that there can be: every status, deleted runs, tags, notes, sessions, answers on other clips."""
    path = tmp_path / "full.db"
    elsewhere = make_card("other clips", clips=12)
    with Registry(path, create=True) as registry:
        gone = train(registry, make_recipe(seed=9, epochs=2))
        registry.delete(gone)
        made = [
            train(registry, make_recipe(seed=seed, epochs=2, softmax=seed == 1, maps=(8, 4), words=("æ",)))
            for seed in range(3)
        ]
        registry.tag(made[0], ["paper", "æ ø", "x"])
        registry.annotate(made[1], "a note\nof two lines 🎤")
        registry.keep_evaluation(made[1], make_evaluation(elsewhere, "all", wrong=5), elsewhere)
        registry.end(start(registry), FAILED, "no reason")
        cut_off(registry, checkpoint=bytes(range(256)) * 400)
        registry.delete(made[2])
        start(registry, make_recipe("fc", "sgd"), make_card("more"))
    return path


def digest_of(place):
    with RegistryReader(place) as registry, registry.reading() as connection:
        return digest(connection)


def test_from_a_file_to_a_server_and_back_it_is_the_same_to_the_last_byte(full, url, tmp_path):
    before = dump(full)
    there = ok_json("db", "copy", full, url)
    assert (there["same"], len(there["copied"]), there["already_there"]) == (True, 7, [])
    assert there["rows"]["from"] == there["rows"]["to"] == {name: len(rows) for name, rows in before.items()}
    assert there["digests"]["from"] == there["digests"]["to"]
    back = ok("db", "copy", url, tmp_path / "back.db")
    assert back.startswith("copied 7 runs\nboth hold the same 7 runs and ")
    assert back.splitlines()[1].endswith(f" rows: {digest_of(full).whole}")
    assert dump(tmp_path / "back.db") == before == dump(full)
    assert {table: sorted(map(repr, map(plain, rows))) for table, rows in dump(url).items()} == {
        table: sorted(map(repr, map(plain, rows))) for table, rows in before.items()
    }
    for command in ("compare", "runs list", "runs list --deleted", "runs show last"):
        assert ok(*command.split(), "--db", url) == ok(*command.split(), "--db", full)


def plain(row: tuple) -> tuple:
    return tuple(int(value) if isinstance(value, bool) else value for value in row)


def test_between_two_servers_and_two_files_too(full, url, server, tmp_path):
    second = locate(server.url(server.new_schema()))
    ok("db", "copy", full, url)
    ok("db", "copy", url, second)
    ok("db", "copy", full, tmp_path / "second.db")
    assert digest_of(second) == digest_of(full) == digest_of(tmp_path / "second.db")


def test_what_is_there_is_not_copied_again_and_what_is_missing_is(full, url):
    ok("db", "copy", full, url)
    before = dump(url)
    assert ok("db", "copy", full, url).startswith("copied 0 runs, 7 were already there\nboth hold the same 7 runs")
    assert dump(url) == before
    with Registry(full) as registry:
        new = train(registry, make_recipe(seed=77))
    again = ok_json("db", "copy", full, url)
    assert (again["copied"], len(again["already_there"]), again["same"]) == ([new], 7, True)


DIFFERENCES = {
    "trainings": "UPDATE trainings SET note = '' WHERE note IS NULL AND id IN (SELECT id FROM runs WHERE seed = 0)",
    "epochs": "UPDATE epochs SET train_loss = train_loss * 1.0000000000000002 WHERE epoch = 2",
    "weights": "UPDATE weights SET safetensors = x'00'",
    "checkpoints": "DELETE FROM checkpoints",
    "logits": "DELETE FROM logits WHERE split = 'all'",
    "tags": "UPDATE tags SET tag = 'y' WHERE tag = 'x'",
    "sessions": "UPDATE sessions SET boot = NULL",
    "evaluations": "UPDATE evaluations SET loss = -loss",
    "splits": "UPDATE splits SET clips = clips + 1 WHERE split = 'test'",
    "data": "UPDATE data SET source = source || ' '",
}


@pytest.mark.parametrize("table", DIFFERENCES)
@pytest.mark.parametrize("side", ["file", "server"])
def test_one_value_that_differs_is_found_and_its_table_named(full, url, table, side):
    ok("db", "copy", full, url)
    sql(full if side == "file" else url, DIFFERENCES[table])
    result = kws("db", "copy", full, url)
    assert result.exit_code == 1
    assert f"do not hold the same: {table} differ; copy into a new registry" in result.stderr.splitlines()[-1]
    assert result.stdout == ""


def test_other_runs_are_not_mixed_in(full, url):
    other = make_registry(url, [make_recipe()])[0]
    before = dump(url)
    told = refused("db", "copy", full, url).splitlines()[-1]
    assert f"has 1 run that {full} has not, such as {other}" in told
    assert dump(url) == before


def test_a_copy_that_fails_leaves_nothing(full, url):
    sql(full, "UPDATE trainings SET note = 'nul' || char(0) WHERE key = 5")
    told = kws("db", "copy", full, url).stderr.splitlines()[-1]
    assert "a text with a NUL character cannot be kept in" in told
    assert sql(url, "SELECT count(*) FROM runs") == [(0,)]


def test_the_doctor_copies_a_servers_registry_into_this_folder_before_it_mends(full, url, tmp_path):
    ok("db", "copy", full, url)
    sql(url, "UPDATE trainings SET epochs_done = 9 WHERE key = 2", "UPDATE sessions SET process_started = 'earlier'")
    before = digest_of(url)
    result = kws("db", "doctor", "--fix", "--db", url)
    assert "postgres.before-fix.db" in result.stderr
    assert digest_of(tmp_path / "postgres.before-fix.db") == before
    assert ok("db", "doctor", "--db", url) == f"{url} is in order\n"
