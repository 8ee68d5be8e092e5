"""Numbers as the page writes them."""

from training import table


def percent(share: float) -> str:
    """Write a share as in the Markdown table, unable to break before the percent sign."""
    return table.percent(share).replace(" ", "\N{NO-BREAK SPACE}")
