"""The event store to Parquet, for analysis elsewhere: ``records``, ``events`` and ``followed.parquet`` in a folder.

The columns are those of ``schema``; times are timestamps in UTC, lists and stages JSON text. What people said or
typed goes along only when asked for: an erasure does not reach files that were copied out. Each file appears
under its name when it is complete. Needs pyarrow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Double, Engine, Integer, Table

from monitoring.errors import MissingPackageError
from monitoring.storage.queries import Window, pages
from monitoring.storage.rows import Row
from monitoring.storage.schema import EVENTS, FOLLOWED, RECORDS

_LEFT_OUT = "id"  # the database's own row number


def export(engine: Engine, folder: Path, window: Window, *, with_text: bool = False) -> dict[Path, int]:
    """Write the files into ``folder``, made if need be, in bounded memory; the rows of each.

    Raises ``MissingPackageError`` without pyarrow, ``StoreUnavailableError``, and ``OSError`` of the folder.
    """
    try:
        import pyarrow.parquet as pq  # an extra: only who exports needs it
    except ImportError as error:
        raise MissingPackageError(
            "Parquet needs the package pyarrow: pip install 'voicesearch[parquet]'"
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for table in (RECORDS, EVENTS, FOLLOWED):
        path = folder / f"{table.name}.parquet"
        unfinished = path.with_suffix(".parquet.part")
        schema = _schema(table, with_text)
        try:
            with pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
                written[path] = sum(_write(writer, schema, page) for page in pages(engine, table, window))
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    return written


def _write(writer: Any, schema: Any, page: list[Row]) -> int:
    import pyarrow as pa

    rows = [dict(_cells(row, schema.names)) for row in page]
    writer.write_table(pa.Table.from_pylist(rows, schema))
    return len(rows)


def _cells(row: Row, names: list[str]) -> Iterator[tuple[str, Any]]:
    for name in names:
        value = row["at_us" if name == "at" else name]
        yield name, json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _schema(table: Table, with_text: bool) -> Any:
    import pyarrow as pa

    types = {
        JSON: pa.string(),
        Double: pa.float64(),
        BigInteger: pa.int64(),
        Integer: pa.int32(),
        Boolean: pa.bool_(),
    }
    fields = []
    for column in table.columns:
        kind = next((arrow for sql, arrow in types.items() if isinstance(column.type, sql)), pa.string())
        if column.name == "at_us":
            fields.append(pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False))
        elif column.name != _LEFT_OUT and (with_text or column.name != "text"):
            fields.append(pa.field(column.name, kind, nullable=bool(column.nullable)))
    return pa.schema(fields)
