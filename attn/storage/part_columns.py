"""Some columns of a part, one row group after another."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from attn.storage.location import Location

ROW_GROUP_ROWS = 256
SMALL_READ_BYTES = 1 << 18
"""Bytes of one read of small columns from a remote storage.

By default s3fs reads 50 MB ahead, the maps included."""


def opened(file: Any, **how: Any) -> pq.ParquetFile:
    """Parquet file whose page checksums are verified when pages are read."""
    return pq.ParquetFile(file, page_checksum_verification=True, **how)


def open_for_small(part: Location) -> Any:
    """Open a part to read small columns of it only."""
    return part.open() if part.is_local else part.open(block_size=SMALL_READ_BYTES)


def read_columns(part: Location, columns: list[str], *, small: bool = False) -> Iterator[pa.RecordBatch]:
    """Yield some columns of a part, one row group at a time, or less for unusually large row groups.

    Args:
        part: location of the part.
        columns: names of the columns.
        small: whether the columns take a small share of the part. They are then read in small pieces and without
            Arrow's threads, so several parts may be read at once.
    """
    with open_for_small(part) if small else part.open() as file, opened(file) as parquet:
        groups = parquet.metadata.num_row_groups
        rows = parquet.metadata.row_group(0).num_rows if groups else ROW_GROUP_ROWS
        yield from parquet.iter_batches(min(rows, ROW_GROUP_ROWS), columns=columns, use_threads=not small)
