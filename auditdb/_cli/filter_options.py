"""The options by which commands that read the log are told which events are wanted."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from auditdb._cli.arguments import check_range, parse_item, parse_pair, parse_time
from auditdb._query.filters import Filter, filtered
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Callable

Wanted = Annotated[Filter, "given by the options of wanted_by()"]
"""The parameter of a command that with_filters() puts those options in the place of."""


def wanted_by(
    account: Annotated[str | None, typer.Option(metavar="ID", help="Only this account.")] = None,
    item: Annotated[
        str | None,
        typer.Option(metavar="TYPE:ID", help="Only this item, such as license:42, and its parts."),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCHEMA.TABLE",
            help="Only rows of this table, as it is called now; may be given several times.",
        ),
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(metavar="ACTION", help="Only this action; may be given several times."),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(metavar="TYPE[:ID]", help="Only this actor, such as platform_user:42."),
    ] = None,
    on_behalf_of: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE[:ID]", help="Only what was done for this one, such as customer:7."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="From this time on: ISO 8601, in UTC, or so long ago as 7d, 12h."
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Before this time, given as for --since.")
    ] = None,
) -> Filter:
    """Return the filter for the values of these options; raises BadParameter."""
    first, end = parse_time(since, "--since"), parse_time(until, "--until")
    check_range(first, end)
    try:
        return filtered(
            account_id=account,
            item=parse_item(item),
            table=table or None,
            action=action or None,
            actor=None if actor is None else parse_pair(actor, "--actor"),
            on_behalf_of=None
            if on_behalf_of is None
            else parse_pair(on_behalf_of, "--on-behalf-of"),
            since=first,
            until=end,
        )
    except InvalidQuestion as error:
        raise typer.BadParameter(error.message) from error


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of wanted_by() in place of its parameter `wanted`."""
    options = inspect.signature(wanted_by, eval_str=True).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        values = {name: given.pop(name) for name in options}
        command(wanted=wanted_by(**values), **given)

    parameters = list(inspect.signature(command, eval_str=True).parameters.values())
    place = next(n for n, parameter in enumerate(parameters) if parameter.name == "wanted")
    parameters[place : place + 1] = options.values()
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    # What typer asks for beside the signature.
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
