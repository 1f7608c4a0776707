"""Reads the rows of a file of an export, one at a time, whatever its form."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.formats.base import ExportedRow, Form


T = TypeVar("T")


class Malformed(Exception):
    """A file is not of its format."""


def rows(path: Path, form: Form) -> Iterator[ExportedRow]:
    """Yield the rows of a file; raises Malformed where it is not one of `form`."""
    return _guarded(form.format.read(path, form), form)


def lines(path: Path, form: Form) -> Iterator[str]:
    """Yield the lines of the rows of a file that rows() has read; raises Malformed."""
    return _guarded(form.format.lines(path, form), form)


def _guarded(found: Iterator[T], form: Form) -> Iterator[T]:
    number = 0
    try:
        for one in found:
            number += 1
            yield one
    except (ValueError, csv.Error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"after row {number}: {str(error)[:500]}") from error
    except Exception as error:
        if not form.is_broken(error):
            raise
        raise Malformed(
            f"after row {number}: what is compressed is broken ({str(error)[:500]})"
        ) from error
