"""The database that is meant: opened, or refused with a reason that tells no secret."""

from pathlib import Path

import pytest

from pipelines.io.database import (
    open_database,
)
from schemas.errors import SettingsError
from schemas.home import Home


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "is not a database URL"),
        ("postgresql://nobody:secret@127.0.0.1:1/none", "cannot open the database"),
    ],
)
def test_a_bad_database_url_is_told_without_its_password(
    url: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs are read by many."""
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(SettingsError, match=reason) as error:
        open_database(Home(tmp_path))

    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        "foo://u:topsecret@h/x",
        "postgres//u:topsecret@h",
        "postgresql://u:top/secret@127.0.0.1:1/x",
        "postgresql://u:a@topsecret@127.0.0.1:1/x",
        "mysql://u:topsecret@h/x",
        "sqlite+none://u:topsecret@h/x",
        "postgresql://u@127.0.0.1:1/x?password=topsecret",
        "oracle://u:topsecret@h/x",
    ],
)
def test_a_password_is_told_by_no_mistake(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the URL, its password is right somewhere."""
    monkeypatch.setenv("DATABASE_URL", url)

    with pytest.raises(SettingsError) as error:
        open_database(Home(tmp_path))

    assert "secret" not in str(error.value) + Home(tmp_path).shown_database_url


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "pinsphere.db").write_bytes(b"no database" * 1000)

    with pytest.raises(SettingsError, match=r"pinsphere\.db: file is not a database"):
        open_database(Home(tmp_path))


def test_who_only_looks_makes_no_database(tmp_path: Path) -> None:
    """A mistyped home must not look like an empty one."""
    with pytest.raises(SettingsError, match="no database at"):
        open_database(Home(tmp_path / "typo"), must_exist=True)
    assert list(tmp_path.iterdir()) == []

    open_database(Home(tmp_path)).dispose()
    with pytest.raises(SettingsError, match="has no tables of ours"):
        open_database(Home(tmp_path), must_exist=True)
