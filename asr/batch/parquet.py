"""Parquet, through pyarrow (extra ``parquet``): a column of paths in, a table of transcripts out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from asr.batch.atomic import replacing
from asr.errors import MissingPackageError, OptionError

COLUMNS = ("audio", "path", "file", "filename")  # of paths, where none is named


def require() -> Any:
    """pyarrow, with its Parquet module. Raises MissingPackageError."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError(
            "Parquet needs the package pyarrow: pip install 'voicesearch[parquet]'"
        ) from error
    return pyarrow


def read_column(path: Path, column: str | None = None) -> Iterator[str]:
    """The paths in a column, by default the first of ``COLUMNS`` that is there.

    Raises OptionError for a file without such a column, or one whose values are no texts.
    """
    pyarrow = require()
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            chosen = column or next((name for name in COLUMNS if name in names), None)
            if chosen not in names:
                raise OptionError(
                    f"{path} has no column {column or ' or '.join(COLUMNS)!r} of paths; it has {', '.join(names)}"
                )
            for batch in file.iter_batches(columns=[chosen]):
                for value in batch.column(0).to_pylist():
                    if not isinstance(value, str):
                        raise OptionError(f"{path}: {value!r} in column {chosen!r} is no path")
                    yield value
    except pyarrow.ArrowInvalid as error:
        raise OptionError(f"{path} is no Parquet file: {error}") from error


def write(path: Path, shards: Iterable[bytes]) -> None:
    """The rows of JSON-lines ``shards`` as one table, a row group a shard. The same rows give the same bytes."""
    pyarrow = require()
    schema = _schema(pyarrow)
    with replacing(path) as stream, pyarrow.parquet.ParquetWriter(stream, schema) as writer:
        for shard in shards:
            rows = [_printable(json.loads(line)) for line in shard.splitlines()]
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    """Names of files that are no text have escapes in the place of their odd bytes: Parquet takes only text."""
    row["audio"] = row["audio"].encode(errors="backslashreplace").decode()
    if "error" in row:
        row["error"]["message"] = row["error"]["message"].encode(errors="backslashreplace").decode()
    return row


def _schema(pyarrow: Any) -> Any:
    text, number = pyarrow.string(), pyarrow.float64()
    word = [("word", text), ("start", number), ("end", number), ("confidence", number)]
    clip = (
        "duration_s level_dbfs gain_db snr_db clipped_ratio speech_ratio leading_silence_s trailing_silence_s"
    )
    return pyarrow.schema(
        [
            ("audio", text),
            ("text", text),
            ("null_reason", text),
            ("confidence", number),
            ("language", text),
            ("duration", number),
            ("words", pyarrow.list_(pyarrow.struct(word))),
            ("clip", pyarrow.struct([(name, number) for name in clip.split()])),
            ("model", text),
            ("error", pyarrow.struct([("type", text), ("message", text)])),
        ]
    )
