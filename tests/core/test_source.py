"""Sources as they are declared."""

import pytest

from lockstep.errors import DeclarationError
from lockstep.source import Source, bigquery


def test_a_table_is_named_by_three_parts() -> None:
    """Project, dataset and table, of which the last may be a pattern; projects of domains have a colon and a dot."""
    assert bigquery("acme-1.crm.sales_2026*") == Source("bigquery", "acme-1.crm.sales_2026*")
    assert bigquery("acme.com:shop.crm.t", where="a = 1").where == "a = 1"


@pytest.mark.parametrize("table", ["crm.customers", "acme.crm", "acme.crm.*.x", "acme.cr*m.x", "`acme.crm.x`", ""])
def test_other_names_are_refused(table: str) -> None:
    """What is no table's name is told with the form."""
    with pytest.raises(DeclarationError, match="a table is named by project, dataset and table"):
        bigquery(table)


def test_a_filter_that_passes_is_refused() -> None:
    """A filter that gives something else tomorrow is none; a blank one says nothing."""
    with pytest.raises(DeclarationError, match="CURRENT_DATE gives something else each time"):
        bigquery("acme.crm.t", where="day > CURRENT_DATE() - 7")
    with pytest.raises(DeclarationError, match="it says nothing"):
        bigquery("acme.crm.t", where=" ")
