"""Lists and numbers as other libraries hold them: arrays, series and columns, without an import of these."""

from collections.abc import Iterable
from typing import Any


def values(column: Any) -> Any:
    """Return the values of a list, an array, a series or a column as a list; others as they are.

    Known are all iterables, among them NumPy's arrays, the series of pandas and polars, the columns of
    ``datasets`` and pyarrow's arrays.

    Raises:
        TypeError: it is a whole table; the message says how to choose a column.
    """
    if is_table(column):
        raise TypeError(
            f"got a table of type {type(column).__name__}, with the columns "
            f'{", ".join(map(str, _columns(column)))[:200]}; choose one, for example table["text"]'
        )
    if isinstance(column, str | bytes | dict | list):
        return column
    for convert in ("to_pylist", "tolist", "to_list"):
        if callable(getattr(column, convert, None)):
            return getattr(column, convert)()
    return list(column) if isinstance(column, Iterable) else column


def scalar(value: Any) -> Any:
    """Return the Python number of an array's element, such as ``numpy.float32(0.5)``; others as they are."""
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        return value.item()
    return value


def _columns(table: Any) -> list[Any]:
    named = getattr(table, "column_names", None)
    return list(named if named is not None else table.columns)


def is_table(value: Any) -> bool:
    """Whether a value is a data frame, a data set or a table: it has named columns."""
    return any(
        not callable(getattr(value, name, None)) and getattr(value, name, None) is not None
        for name in ("column_names", "columns")
    )
