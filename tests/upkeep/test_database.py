"""Which database a URL names, and that its password is shown nowhere."""

import pytest

from auditdb._upkeep import database
from auditdb.errors import DatabaseUnreachable, InvalidUrl


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg", "POSTGRESQL"])
def test_every_usual_scheme_means_the_same(scheme: str) -> None:
    assert database.parameters(f"{scheme}://ana:p%40ss@db.example:5433/app?sslmode=require") == {
        "user": "ana",
        "password": "p@ss",
        "host": "db.example",
        "port": "5433",
        "dbname": "app",
        "sslmode": "require",
    }


def test_the_option_comes_before_the_variable_before_libpqs_own() -> None:
    ours, theirs = {"AUDITDB_URL": "postgresql:///ours"}, {"PGDATABASE": "theirs"}
    assert database.resolve("postgresql:///given", ours | theirs) == "postgresql:///given"
    assert database.resolve(None, ours | theirs) == "postgresql:///ours"
    assert database.resolve(None, theirs) == ""
    with pytest.raises(InvalidUrl, match="AUDITDB_URL"):
        database.resolve(None, {})


@pytest.mark.parametrize(
    "url",
    [
        "host=db password=s3cret",
        "mysql://ana:s3cret@db/app",
        "postgresql://ana:s3cret@more@db/app",
        "postgresql://ana:s3cret/more@db/app",
        "postgresql://ana:s3cret%zz@db/app",
        "postgresql://ana:1/s3cret@db/app",
        "postgresql://db/app?password=s3cret&nosuch=1",
    ],
)
def test_a_url_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidUrl) as refused:
        database.resolve(url)
    assert "s3cret" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "redacted"),
    [
        ("postgresql://ana:s3cret@db:5433/app", "postgresql://ana:***@db:5433/app"),
        ("postgresql://:s3cret@db/app", "postgresql://:***@db/app"),
        ("postgresql://ana@db/app", "postgresql://ana@db/app"),
        ("postgresql:///app", "postgresql:///app"),
        ("postgres://db/app?password=s3cret&port=1", "postgres://db/app?password=***&port=1"),
        ("postgres://db/app?sslpassword=s3cret", "postgres://db/app?sslpassword=***"),
    ],
)
def test_a_redacted_url_keeps_all_but_the_passwords(url: str, redacted: str) -> None:
    assert database.redact(url) == redacted


def test_a_database_is_described_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database.describe("postgresql://ana:s3cret@db:5433/app") == 'database "app" on db:5433'
    assert database.describe("postgresql://ana:s3cret@") == (
        "the default database on the default server"
    )
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.setenv("PGDATABASE", "app")
    assert database.describe("") == 'database "app" on db'


def test_a_server_that_is_not_there_is_named_but_not_the_password() -> None:
    with pytest.raises(DatabaseUnreachable) as unreachable:
        database.connect("postgresql://ana:s3cret@127.0.0.1:1/app")
    assert 'database "app" on 127.0.0.1:1' in unreachable.value.message
    assert "s3cret" not in str(unreachable.value)


def test_a_connection_speaks_utf8_and_gives_its_name(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with database.connect(empty_database) as session:
        shown = session.execute(
            "select current_setting('client_encoding'), current_setting('application_name')"
        )
        assert shown.fetchone() == ("UTF8", "auditdb")
