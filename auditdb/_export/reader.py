"""Reads the rows of a file of an export, one at a time, whatever its form."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditdb._export.formats.base import ExportedRow, Form


class Malformed(Exception):
    """A file is not of its format."""


def rows(path: Path, form: Form) -> Iterator[ExportedRow]:
    """Yield the rows of a file; raises Malformed where it is not one of `form`."""
    number = 0
    try:
        for row in form.format.read(path, form):
            number += 1
            yield row
    except (ValueError, csv.Error, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Malformed(f"after row {number}: {str(error)[:500]}") from error
    except Exception as error:
        if not form.is_broken(error):
            raise
        raise Malformed(
            f"after row {number}: what is compressed is broken ({str(error)[:500]})"
        ) from error
