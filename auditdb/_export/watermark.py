"""A place in the log that loses nothing: which transactions were over, rather than a last id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._export import witness as witnesses
from auditdb._export.conditions import all_of
from auditdb.errors import SchemaBehind, WatermarkRefused, log_translated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString

    import psycopg

    from auditdb._export.witness import Witness

MOST_PENDING = 1000
"""With more transactions open than this, a watermark waits for the oldest of them."""

_TAKE = """
select pg_catalog.pg_is_in_recovery(), pg_catalog.pg_current_snapshot()::text,
  (select s.system_identifier from pg_catalog.pg_control_system() as s),
  (select pg_catalog.json_agg(pg_catalog.json_build_array(
     e.number, e.kind, e.is_open, e.log, e.server::text) order by e.number)
   from audit.era as e),
  (select pg_catalog.string_agg(distinct pg_catalog.quote_ident(s.subname), ', ')
   from pg_catalog.pg_subscription_rel as w
   join pg_catalog.pg_subscription as s on s.oid = w.srsubid
   where pg_catalog.pg_partition_root(w.srrelid) = 'audit.log'::pg_catalog.regclass)
"""
# No row that is seen has a transaction id that was not given out, unless another server gave it.
_FOREIGN = """
select exists (select from audit.log as l where l.era = %s
  and l.tx >= pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint
  and l.tx is distinct from pg_catalog.pg_current_xact_id_if_assigned()::text::bigint)
"""
_BEGIN_ERA = "Run once, as the owner of the log: select audit.begin_era();"


@dataclass(frozen=True, slots=True)
class Era:
    """A time in which transaction ids count: from an install, a restore or an import on."""

    number: int
    kind: str
    """installed, restored, replicated, imported, undone or undo."""


@dataclass(frozen=True, slots=True)
class Watermark:
    """A place in a log: the rows before it are fixed for ever."""

    next_tx: int
    """Rows of this transaction and of all later ones are after the watermark."""
    pending: tuple[int, ...]
    """Earlier transactions that were not over: their rows are after the watermark too."""
    era: int
    log: str
    """The identity of the log."""
    witness: Witness | None = None
    """A row of the log that was written after it: where that row is, so is all before."""

    def as_json(self) -> dict[str, Any]:
        """Return what from_json() reads."""
        found = {
            "next_tx": self.next_tx,
            "pending": list(self.pending),
            "era": self.era,
            "log": self.log,
        }
        return found if self.witness is None else found | {"witness": self.witness.as_json()}


@dataclass(frozen=True, slots=True)
class Mark:
    """A watermark just taken, and the eras of its log."""

    watermark: Watermark
    eras: tuple[Era, ...]
    is_standby: bool
    reached: int
    """Every transaction before this one has begun, and is known to the server."""


def from_json(found: Any) -> Watermark:
    """Return the watermark that as_json() wrote; raises WatermarkRefused for anything else."""
    try:
        next_tx, pending = found["next_tx"], tuple(found["pending"])
        era, log = found["era"], found["log"]
        seen = found.get("witness")
        witness = None if seen is None else witnesses.from_json(seen)
    except (KeyError, TypeError, ValueError):
        raise WatermarkRefused("This is no watermark of auditdb.") from None
    numbers = (next_tx, era, *pending)
    if not (all(type(n) is int and n >= 0 for n in numbers) and isinstance(log, str)):
        raise WatermarkRefused("This is no watermark of auditdb.")
    return Watermark(next_tx, pending, era, log, witness)


def take(connection: psycopg.Connection[Any], *, on_standby: bool = False) -> Mark:
    """Return the watermark of this moment.

    On a standby it is taken only with `on_standby`, and then lies before the oldest transaction
    that the standby knows to be open: rows come later, but none is lost. Raises WatermarkRefused on
    a standby otherwise, after a restore that was not followed by audit.begin_era(), while a
    subscription writes to the log, and while an import is not complete.
    """
    with log_translated():
        row = connection.execute(_TAKE).fetchone()
    if row is None or not row[3]:
        raise SchemaBehind("The log has no era: the table audit.era is empty.", hint=_BEGIN_ERA)
    is_standby, snapshot, server, found, subscriptions = row
    if is_standby and not on_standby:
        raise WatermarkRefused(
            "This server is a standby: it does not know which transactions are still open.",
            hint="Export from the primary, or add --primary URL for the safe way on a standby.",
        )
    _, _, is_open, log, known = found[-1]
    if int(known) != server:
        raise WatermarkRefused(
            "The log was restored from another server, whose transaction ids do not count here.",
            hint=_BEGIN_ERA,
        )
    if subscriptions is not None:
        raise WatermarkRefused(
            f"Rows of another server come into this log by replication ({subscriptions}): their "
            "transaction ids do not count here, so which of them are new is not known.",
            hint="Export or follow where they are written: there are all of them. To do so here, "
            "as the owner of the log: select audit.begin_era(); drop the subscription, and begin "
            "with another state file.",
        )
    if is_open:
        raise WatermarkRefused(
            "An import into this log is not complete.",
            hint="Wait for it, or if it was broken off, run the same `auditdb import` again.",
        )
    eras = tuple(Era(number, kind) for number, kind, *_ in found)
    xmin, xmax, open_ones = snapshot.split(":")
    pending = tuple(int(tx) for tx in open_ones.split(",") if tx)
    reached = int(xmin if is_standby else xmax)
    # A standby's snapshot does not list what is open: only before the oldest is all over.
    if is_standby or len(pending) > MOST_PENDING:
        xmax, pending = xmin, ()
    return Mark(Watermark(int(xmax), pending, eras[-1].number, log), eras, is_standby, reached)


def check_own(connection: psycopg.Connection[Any], mark: Mark) -> None:
    """Raise WatermarkRefused where rows of the newest era are of another server, as they say.

    Replication brought them, and is over: a server that it still goes on at has no watermark.
    """
    if connection.execute(_FOREIGN, [mark.watermark.era]).fetchone() != (False,):
        raise WatermarkRefused(
            "The log has rows of another server, as after replication: their transaction ids do "
            "not count here, so which of them are new is not known.",
            hint=f"{_BEGIN_ERA} Then begin with another state file.",
        )


def check_order(after: Watermark, mark: Mark) -> None:
    """Raise WatermarkRefused where the rows between `after` and `mark` cannot be known."""
    upto = mark.watermark
    if after.log != upto.log:
        raise WatermarkRefused(
            "This place is in another log.", hint="Give each log a state file of its own."
        )
    if after.era > upto.era:
        raise WatermarkRefused(_WENT_BACK, hint=_FROM_THE_BEGINNING)
    since = {era.kind for era in mark.eras if era.number > after.era}
    if "imported" in since:
        raise WatermarkRefused(
            "Rows of another log were imported since: which of them are new is not known.",
            hint=_FROM_THE_BEGINNING,
        )
    if "replicated" in since:
        raise WatermarkRefused(
            "Rows of another server came by replication since: which of them are new is not known.",
            hint=_FROM_THE_BEGINNING,
        )
    if after.era == upto.era and after.next_tx > mark.reached and not mark.is_standby:
        raise WatermarkRefused(_WENT_BACK, hint=_FROM_THE_BEGINNING)


def check_witness(connection: psycopg.Connection[Any], after: Watermark) -> None:
    """Raise WatermarkRefused where the row that `after` names is not in the log.

    A server that was set back counts transactions again from there, and may be past the place by
    now: rows would be taken for ones that were there before. `connection` sees the whole log.
    """
    if after.witness is None:
        return
    # Another export may have written a row of the same id since: it must be this very row.
    if after.witness not in witnesses.of(connection, after.witness.id, after.next_tx):
        raise WatermarkRefused(_WENT_BACK, hint=_FROM_THE_BEGINNING)


_WENT_BACK = "The server was set back to a time before this place."
_FROM_THE_BEGINNING = (
    "Begin anew with another state file; rows that were there before have the same "
    "(occurred_at, id, tx, account_id)."
)


def check_unchanged(upto: Watermark, mark: Mark) -> None:
    """Raise WatermarkRefused where the rows before `upto` may no longer be the same."""
    now = mark.watermark
    if now.log != upto.log:
        raise WatermarkRefused("This export was begun from another log.", hint=_AGAIN)
    if now.era != upto.era:
        raise WatermarkRefused(
            "The log was restored, or rows were imported into it, since the export began.",
            hint=_AGAIN,
        )
    if mark.reached < upto.next_tx:
        raise WatermarkRefused(
            "The server is not as far as the one that the export was begun from.",
            hint="On a standby, wait until it has caught up, and run the same command again.",
        )


_AGAIN = "Export into a new directory."


def not_after(later: Watermark, earlier: Watermark) -> bool:
    """Return whether `later` is no progress, as on a standby, or where very much is pending."""
    return later.era == earlier.era and later.next_tx < earlier.next_tx


def before(upto: Watermark, eras: Sequence[Era]) -> sql.Composable:
    """Return the condition that a row of the log as l lies before a watermark."""
    over = _over(upto)
    if len(eras) == 1:
        return over
    # What was written in another era, or imported, is past whatever its transaction id.
    return sql.SQL("(l.era <> {} or ({}))").format(upto.era, over)


def between(after: Watermark | None, upto: Watermark, eras: Sequence[Era]) -> sql.Composable:
    """Return the condition that a row of the log as l lies between two watermarks.

    The eras are those of the log at `upto`; check_order() tells whether `after` fits them.
    """
    if after is None:
        return before(upto, eras)
    began = _began(after)
    if after.era == upto.era:
        return all_of([_in_era("=", upto.era), began, _over(upto)])
    if after.witness is not None:
        # Written on the new server before anybody said so: with ids that go on, and transaction
        # ids that begin anywhere.
        began = sql.SQL("(({}) or l.id > {})").format(began, after.witness.id)
    return sql.SQL("(({}) or ({}) or ({}))").format(
        all_of([_in_era("=", after.era), began]),
        all_of([_in_era(">", after.era), _in_era("<", upto.era)]),
        all_of([_in_era("=", upto.era), _over(upto)]),
    )


def _in_era(sign: LiteralString, number: int) -> sql.Composable:
    return sql.SQL("l.era " + sign + " {}").format(number)


def _over(upto: Watermark) -> sql.Composable:
    found: list[sql.Composable] = [sql.SQL("l.tx < {}").format(upto.next_tx)]
    if upto.pending:
        found.append(sql.SQL("l.tx <> all({}::bigint[])").format(list(upto.pending)))
    return all_of(found)


def _began(after: Watermark) -> sql.Composable:
    if not after.pending:
        return sql.SQL("l.tx >= {}").format(after.next_tx)
    # The first says nothing that the second does not, but the index on tx answers it.
    return sql.SQL("l.tx >= {} and (l.tx >= {} or l.tx = any({}::bigint[]))").format(
        min(after.pending), after.next_tx, list(after.pending)
    )
