"""A registry whose rows hold what kws never writes: whatever reads them ends in one sentence, or leaves them out.

SQLite lets any column hold anything, and a file may come from anywhere.
"""

from __future__ import annotations

import shutil

import pytest
from commands import kws, ok, sql
from ledger import make_card, make_recipe, train, with_manifests

from kws.registry.store import Registry

pytestmark = pytest.mark.sqlite_file
DAMAGE = {
    "durations that are no bytes": "UPDATE manifests SET seconds = 'text'",
    "durations that are cut off": "UPDATE manifests SET seconds = substr(seconds, 1, length(seconds) - 3)",
    "digests that are too few": "UPDATE manifests SET digests = x'00'",
    "a mean that is bytes": "UPDATE data SET mean = x'00ff'",
    "counts that are no JSON": "UPDATE data SET unused = '{}{}'",
    "counts that are too deep": "UPDATE data SET unused = {deep}",
    "band means that are none": "UPDATE data SET band_means = '{}'",
    "classes of another kind": "UPDATE data SET classes = '3'",
    "a split without a name": "UPDATE splits SET split = x'78' WHERE split = 'test'",
    "labels that are text": "UPDATE splits SET labels = 'abc'",
    "a recipe that is a number": "UPDATE trainings SET recipe_json = '5'",
    "a recipe that is a list": "UPDATE trainings SET recipe_json = '[]'",
    "a recipe that is too deep": "UPDATE trainings SET recipe_json = {deep}",
    "a recipe that is bytes": "UPDATE trainings SET recipe_json = x'ff'",
    "parameters that are text": "UPDATE trainings SET parameters = 'many'",
    "a time that is none": "UPDATE trainings SET started_at = 'soon'",
    "milliseconds that are bytes": "UPDATE epochs SET milliseconds = x'00'",
    "milliseconds that are text": "UPDATE trainings SET milliseconds = 'long'",
    "processor seconds that are text": "UPDATE epochs SET processor_seconds = 'long'",
    "an accuracy that is bytes": "UPDATE epochs SET validation_accuracy = x'00'",
    "losses that are text": "UPDATE epochs SET iteration_losses = 'abc'",
    "answers that are text": "UPDATE evaluations SET predictions = 'abc'",
    "answers that are cut off": "UPDATE evaluations SET predictions = substr(predictions, 1, 3)",
    "a heartbeat that is none": "UPDATE sessions SET heartbeat_at = 'late'",
    "an environment that is a number": "UPDATE sessions SET environment = '7'",
    "a time that has no end": "UPDATE trainings SET milliseconds = 9e999",
    "milliseconds that have no end": "UPDATE epochs SET milliseconds = 9e999",
    "processor seconds that have no end": "UPDATE epochs SET processor_seconds = 9e999",
    "a split's fingerprint that is bytes": "UPDATE splits SET fingerprint = x'ff'",
    "a fingerprint that is a number": "UPDATE splits SET fingerprint = 5",
    "weights that are text": "UPDATE weights SET safetensors = 'abc'",
    "weights that are a large number": "UPDATE weights SET safetensors = 1000000000000000",
    "weights that are less than nothing": "UPDATE weights SET safetensors = -1",
    "weights at no place": "UPDATE weights SET url = x'ff'",
    "weights without a digest": "UPDATE weights SET sha256 = x'ff'",
    "tags that are bytes": "INSERT INTO tags VALUES (1, x'ff')",
}
COMMANDS = [
    ["compare"],
    ["compare", "--leaderboard"],
    ["compare", "--metric", "epochs-to-reach"],
    ["runs", "list"],
    ["runs", "show", "last"],
    ["runs", "export", "RUN", "copy.db"],
    ["runs", "export", "RUN", "named.db", "--names"],
    ["eval", "RUN"],
    ["plot", "RUN", "--out", "run.png"],
    ["plot", "RUN", "--kind", "time", "--out", "time.png"],
    ["db", "info"],
    ["report", "page.html"],
]
DOCTOR = ["db", "doctor"]  # which ends with 1 where it finds anything, as in a registry whose runs lack epochs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A registry with two runs, and the id of the first."""
    path = tmp_path_factory.mktemp("damaged") / "whole.db"
    card = with_manifests(make_card(clips=12))
    with Registry(path, create=True) as registry:
        made = [train(registry, make_recipe(seed=seed), card, wrong=seed) for seed in range(2)]
    return path, made[0]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_each_command_succeeds_where_nothing_is_damaged(whole, tmp_path, command):
    path, run = whole
    ok(*(run if word == "RUN" else word for word in command), "--db", shutil.copyfile(path, tmp_path / "whole.db"))


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_each_command_ends_in_one_sentence_or_leaves_it_out(whole, tmp_path, damage):
    path, run = whole
    for number, command in enumerate([*COMMANDS, DOCTOR]):
        db = tmp_path / f"{number}.db"
        shutil.copyfile(path, db)
        sql(db, damage.replace("{deep}", "'" + 100_000 * "[" + "'"))
        words = [run if word == "RUN" else word for word in command]
        result = kws(*words, "--db", db)
        told = (command, result.stderr)
        assert result.exit_code in (0, 1), told
        assert "Traceback" not in result.stderr, told
        if result.exit_code == 1 and command != DOCTOR:
            assert result.stderr.splitlines()[-1].startswith("kws: "), told
