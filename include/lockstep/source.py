"""Where the rows of a dataset come from, as a declaration says it.

Rules:
- A source is a plain value; making one opens nothing.
- The same source at the same state gives the same rows: a filter that asks for the time, for chance or for whoever
  reads is refused.
"""

import re
from dataclasses import dataclass
from typing import Final

from lockstep.errors import DeclarationError

BIGQUERY: Final = "bigquery"
_TABLE: Final = re.compile(r"[a-z][a-z0-9.:-]*[a-z0-9]\.\w+\.[\w*?-]+")
_FLEETING: Final = re.compile(r"\b(CURRENT_\w+|RAND|GENERATE_UUID|SESSION_USER)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Source:
    """Rows of files, or of a table of BigQuery.

    Attributes:
        format: "csv", "parquet" or "bigquery".
        pattern: a path or URI that may hold `*`, `?` and `[…]`; or a table, `project.dataset.table`, whose last part
            may hold `*` and `?`. A relative path starts at the folder or URI in the variable LOCKSTEP_DATA, by default
            the working folder.
        where: of a table, which rows, in BigQuery's SQL; None for all.
    """

    format: str
    pattern: str
    where: str | None = None


def csv(pattern: str) -> Source:
    """Rows from comma-separated files with a header line, UTF-8 (a byte-order mark and gzip are allowed)."""
    return Source("csv", pattern)


def parquet(pattern: str) -> Source:
    """Rows from Parquet files."""
    return Source("parquet", pattern)


def bigquery(table: str, *, where: str | None = None) -> Source:
    """Rows of a table of BigQuery, `project.dataset.table`, or of all whose names match, as `project.dataset.sales_*`.

    The declared columns are read, and no others. `where` is evaluated there, as `"country = 'NL' AND tenure > 0"`.

    Raises:
        DeclarationError: the table's name is not of that form, or the filter hangs on the time, on chance or on who
            reads.
    """
    if not _TABLE.fullmatch(table):
        raise DeclarationError(
            f'bigquery("{table}"): a table is named by project, dataset and table, as'
            ' bigquery("acme-prod.crm.customers"); its last part may hold * and ?.'
        )
    if where is not None and not where.strip():
        raise DeclarationError(f'bigquery("{table}", where={where!r}): it says nothing; leave where= out for all rows.')
    if where is not None and (fleeting := _FLEETING.search(where)):
        raise DeclarationError(
            f'bigquery("{table}", where="{where}"): {fleeting[0]} gives something else each time, so that a snapshot'
            " could not be taken again, and nobody could tell whether anything is new. Say a value, or leave rows out"
            " in clean."
        )
    return Source(BIGQUERY, table, where)
