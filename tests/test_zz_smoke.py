from tests.exports import *
import pytest


@pytest.mark.parametrize(("form", "compress"), FORMS)
def test_smoke(database, tmp_path, form, compress):
    fill(database, 3000, "30 minutes")
    r = export(
        database,
        tmp_path / "a",
        "--format",
        form,
        "--compress",
        compress,
        "--since",
        "2025-01-01",
        "--until",
        "2026-11-01",
    )
    print(r.stderr)
    print((tmp_path / "a/manifest.json").read_text()[:3000])
    v = auditdb("verify", str(tmp_path / "a"))
    print(v)
    assert v.returncode == 0
    assert len(keys(tmp_path / "a")) == 3000
    export(
        database,
        tmp_path / "b",
        "--format",
        form,
        "--compress",
        compress,
        "--since",
        "2025-01-01",
        "--until",
        "2026-11-01",
    )
    assert data(tmp_path / "a") == data(tmp_path / "b")
    export(
        database,
        tmp_path / "c",
        "--format",
        form,
        "--compress",
        compress,
        "--since",
        "2025-01-01",
        "--until",
        "2026-11-01",
        "--per-partition",
    )
    print(data(tmp_path / "c").keys())
    assert keys(tmp_path / "a") == keys(tmp_path / "c")
    with psycopg.connect(database) as c:
        print(c.execute("select action,changes from audit.log order by id desc limit 1").fetchone())
