"""The steps of a fuzz, drawn one after another from what those before them left."""

import contextlib
from collections.abc import Iterator, Sequence
from random import Random

from tests.support.ddl_fuzz import UNFOLLOWED, Run, Step
from tests.support.ddl_kinds import KINDS
from tests.support.ddl_model import Table, read_tables
from tests.support.ddl_steps import Scene, write


def steps(run: Run, seed: int, *, follows: str, restores: Sequence[str]) -> Iterator[Step]:
    """Yield random steps without an end, each drawn when those before it are done."""
    rng = Random(seed)
    s = Scene(rng, run.twins[0], run.owner)
    yield from opening(run, follows)
    while True:
        s.look()
        drawn = rng.random()
        is_open = run.saved is not None
        session = 0 if is_open else rng.randint(0, 1)
        with contextlib.suppress(LookupError, ValueError):
            if is_open and drawn < 0.12:
                yield Step(rng.choice(["commit", "rollback"]), 0, "")
            elif not is_open and drawn < 0.02:
                yield Step("begin", 0, "")
            elif drawn < 0.16:
                yield from ours(s, run, session, follows)
            elif restores and not is_open and drawn < 0.168:
                yield Step("restore", 0, rng.choice(restores))
            elif drawn < 0.50:
                kind = rng.choice(list(KINDS))
                yield Step(kind, session, KINDS[kind](s))
            else:
                yield Step("write", session, write(s))


def opening(run: Run, follows: str) -> Iterator[Step]:
    """Yield what each fuzz begins with."""
    if follows == "never":
        yield Step("audit unfollow", 0, UNFOLLOWED + "select audit.refresh()")
    for number, table in enumerate(read_tables(run.twins[0])):
        if not table.is_partition:
            yield Step("audit track", 0, tracking(table, f"i{number}"))


def tracking(table: Table, item_type: str) -> str:
    return f"select audit.track('{table.sql}', item_type => '{item_type}')"


def ours(s: Scene, run: Run, session: int, follows: str) -> Iterator[Step]:
    """Yield a step of the log's own."""
    drawn = s.rng.random()
    if drawn < 0.1:
        yield Step("audit refresh", session, "select audit.refresh()")
    elif drawn < 0.2:
        yield Step("audit untrack", session, f"select audit.untrack('{s.table().sql}')")
    elif drawn < 0.3 and follows == "sometimes":
        if run.state.is_followed:
            yield Step("audit unfollow", session, UNFOLLOWED + "select audit.refresh()")
        else:
            sql = "select audit.follow_ddl(); select audit.refresh()"
            yield Step("audit follow", session, sql)
    else:
        names = {t.sql for t in read_tables(run.sessions[0]) if t.oid in run.state.tracked}
        free = [t for t in s.tables if not t.is_partition and t.sql not in names]
        yield Step("audit track", session, tracking(s.rng.choice(free), s.fresh("i")))
