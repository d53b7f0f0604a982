"""The processes that write a store. They need no torch and should not load it.

Not Ray Data's `write_parquet` or a `Datasink`: these write blocks, but the frames of one video come from several actors
in any order, and a part must hold whole videos (docs/ray.md).
"""

from typing import Any

import pyarrow as pa
import ray

from attn.errors import UsageError
from attn.storage.ledger import Ledger
from attn.storage.manifest import StoreManifest
from attn.storage.writer import StoreWriter


class Writer(StoreWriter):
    """A writer in a process of its own, perhaps on another machine."""

    def __init__(self, url: str, schema: pa.Schema, *, part_bytes: int):
        super().__init__(url, schema, part_bytes=part_bytes)
        self._url = url

    def sees_store(self) -> bool:
        """A local folder of that name may be another one on this machine."""
        return Ledger.at(self._url).begun


def start_writers(count: int, url: str, manifest: StoreManifest, *, part_bytes: int) -> list[Any]:
    """Actors that share the videos of a store between them; spread over the nodes, outside the books on CPUs.

    Raises:
        UsageError: one of them does not see the store.
    """
    actor: Any = ray.remote(num_cpus=0, scheduling_strategy="SPREAD")(Writer)
    writers = [actor.remote(url, manifest.schema, part_bytes=part_bytes) for _ in range(count)]
    if not all(ray.get([writer.sees_store.remote() for writer in writers])):
        way_out = f"give {manifest.flag} on S3 or on a shared disk"
        raise UsageError(f"{url} is not seen by all machines of the cluster; {way_out}")
    return writers
