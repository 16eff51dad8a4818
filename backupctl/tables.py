"""Numbers for people."""

from collections.abc import Mapping
from typing import TextIO

from .errors import one_line


def show(rows: Mapping[str, Mapping[str, int]], to: TextIO, what: str = "source") -> None:
    """A table.

    :param rows: by source, the numbers by name; the same names in each.
    :param what: the rows are, if not sources.
    """
    # Imported only here: most of the time a command has nothing to show.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(what, no_wrap=True)
    for name in next(iter(rows.values()), {}):
        words = "".join(f" {c.lower()}" if c.isupper() else c for c in name)
        table.add_column(words, justify="right")
    for source, numbers in rows.items():
        table.add_row(Text(one_line(source)), *(f"{number:,}" for number in numbers.values()))
    # Where there is no terminal, whoever reads it has room.
    Console(file=to, width=None if to.isatty() else 200).print(table)
