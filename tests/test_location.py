"""Where a registry is: a file or a URL; and a URL's password, which nothing shows."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from commands import refused
from hypothesis import given, settings
from hypothesis import strategies as st

from kws.errors import RegistryError
from kws.registry.environment import Environment
from kws.registry.location import ServerUrl, in_full, locate, mask

FORM = "postgresql+psycopg://user@host:5432/database"


@pytest.mark.parametrize("text", ["experiments.db", "/a/b.db", "a:b.db", "a//b.db", "postgresql", ":memory:"])
def test_what_is_no_url_is_a_file(text):
    assert locate(text) == Path(text)


@pytest.mark.parametrize(
    ("text", "shown", "options"),
    [
        ("postgresql://h/d", "postgresql://h/d", {"host": "h", "dbname": "d"}),
        (
            "postgresql+psycopg://me:s%40cret@h:5433/d",
            "postgresql+psycopg://me@h:5433/d",
            {"user": "me", "password": "s@cret", "host": "h", "port": "5433", "dbname": "d"},
        ),
        (
            "postgres://me:a@b:c@h/d",
            "postgres://me@h/d",
            {"user": "me", "password": "a@b:c", "host": "h", "dbname": "d"},
        ),
        (
            "postgresql:///d?host=/var/run&password=s%2B+x&options=-csearch_path%3Dmine",
            "postgresql:///d?host=/var/run&options=-csearch_path%3Dmine",
            {"dbname": "d", "host": "/var/run", "password": "s++x"},
        ),
        (
            "postgresql://me@[::1]:5/d",
            "postgresql://me@[::1]:5/d",
            {"user": "me", "host": "::1", "port": "5", "dbname": "d"},
        ),
        ("postgresql://a:1,b/d", "postgresql://a:1,b/d", {"host": "a,b", "port": "1,", "dbname": "d"}),
    ],
)
def test_a_url_is_taken_apart_and_shown_without_its_password(text, shown, options):
    url = locate(text)
    assert isinstance(url, ServerUrl)
    assert (str(url), f"{url}", repr(url), url.options()) == (shown, shown, f"ServerUrl({shown!r})", options)
    assert (in_full(url), locate(in_full(url)), pickle.loads(pickle.dumps(url))) == (text, url, url)
    assert mask(f"--db={text} x") == f"--db={shown} x"


@pytest.mark.parametrize(
    "text",
    [
        *("mysql://me:s3cret@h/d", "sqlite:///s3cret.db", "postgresql+asyncpg://me:s3cret@h/d", "https://s3cret"),
        *("postgresql://me:s3/cret@h/d", "postgresql://me:s3cret@h:port/d", "postgresql://me:s3 cret@h/d"),
        *("postgresql://me@h:s3cret/d", "postgresql://me:s3cret@h/d/e", "postgresql://me:s3cret@[::1/d"),
    ],
)
def test_a_url_that_cannot_be_one_is_refused_without_being_repeated(text):
    with pytest.raises(RegistryError, match=r"--db") as told:
        locate(text)
    assert FORM in str(told.value)
    for words in (["runs", "list", "--db", text], ["db", "copy", text, "x.db"], ["runs", "import", text]):
        line = refused(*words, code=2)
        assert FORM in line
        assert "s3" not in line
        assert "cret" not in line
    assert "s3" not in mask(f"--db={text}") or not text.startswith("postgres")


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters=" "), min_size=4, max_size=12).map(lambda s: f"Q9{s}"))
def test_no_password_is_shown_however_it_is_written(password):
    from urllib.parse import quote

    for written in (quote(password, safe=""), quote(password), password):
        for text in (f"postgresql://me:{written}@h/d", f"postgresql://me@h/d?password={written}"):
            assert "Q9" not in mask(text)
            try:
                url = locate(text)
            except RegistryError as error:
                assert "Q9" not in str(error)
                continue
            if isinstance(url, ServerUrl):
                assert "Q9" not in f"{url}{url!r}"


def test_a_recorded_command_has_no_password():
    url = "postgresql://me:s3cret@h/d"
    command = Environment.here(["db", "copy", url, f"--db={url}", "--note", "50 % of it"]).command
    assert command == "kws db copy postgresql://me@h/d --db=postgresql://me@h/d --note '50 % of it'"


@pytest.mark.parametrize(
    ("options", "path", "left"),
    [
        ("-csearch_path%3Dmine", "mine", None),
        ("-c%20search_path%3Dmine,public", "mine,public", None),
        ("--search_path%3D%22Anna%22", '"Anna"', None),
        ("-csearch_path%3D%22a.b%22%20-cwork_mem%3D1MB", '"a.b"', "-cwork_mem=1MB"),
        ("-cwork_mem%3D1MB%20-csearch_path%3Dtwo%5C%20words", "two words", "-cwork_mem=1MB"),
        ("-cwork_mem%3D1MB", None, "-cwork_mem=1MB"),
    ],
)
def test_a_search_path_is_told_apart_from_other_options_for_poolers_refuse_it(options, path, left):
    url = locate(f"postgresql://h/d?options={options}")
    assert isinstance(url, ServerUrl)
    assert (url.search_path, url.options().get("options")) == (path, left)
