"""Processes that write a store. They do not need torch and should not load it.

Ray Data's `write_parquet` and `Datasink` are not used: they write blocks, but the frames of one video come from several
actors in any order, and a part must contain whole videos (docs/ray.md).
"""

from typing import Any

import pyarrow as pa
import ray

from attn.errors import UsageError
from attn.storage.ledger import Ledger
from attn.storage.manifest import StoreManifest
from attn.storage.writer import StoreWriter


class Writer(StoreWriter):
    """Writer actor, possibly on another machine."""

    def __init__(self, url: str, schema: pa.Schema, *, part_bytes: int):
        super().__init__(url, schema, part_bytes=part_bytes)
        self._url = url

    def sees_store(self) -> bool:
        """Return whether the store exists on this machine: a local path may be another folder on each machine."""
        return Ledger.at(self._url).begun


def start_writers(count: int, url: str, manifest: StoreManifest, *, part_bytes: int) -> list[Any]:
    """Start writer actors that divide the videos of a store; they are spread over the nodes and reserve no CPUs.

    Raises:
        UsageError: a writer cannot access the store.
    """
    actor: Any = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(Writer)
    writers = [actor.remote(url, manifest.schema, part_bytes=part_bytes) for _ in range(count)]
    if not all(ray.get([writer.sees_store.remote() for writer in writers])):
        way_out = f"Give {manifest.flag} on S3 or on a shared disk"
        raise UsageError(f"{url}: not accessible from all machines of the cluster. {way_out}.")
    return writers
