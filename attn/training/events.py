"""TensorBoard event file of a run, local or on S3."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from attn.storage.location import Location


class EventFile:
    """Event file in a folder; on remote storage, it is uploaded again whenever it grows.

    Args:
        url: URL of the folder.
    """

    def __init__(self, url: str):
        self._folder = Location.at(url)
        self._scratch = None if self._folder.is_local else tempfile.TemporaryDirectory(prefix="attn-events-")
        with self._folder.errors():
            self._writer = SummaryWriter(self._scratch.name if self._scratch else self._folder.path)

    def add(self, row: Mapping[str, Any], *, step: int) -> None:
        """Write the numbers of a row; other values are left out."""
        for name, value in row.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, step)
        self._writer.flush()
        self._upload()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
        self._upload()
        if self._scratch is not None:
            self._scratch.cleanup()

    def _upload(self) -> None:
        if self._scratch is None:
            return
        for file in Path(self._scratch.name).iterdir():
            with self._folder.errors():
                self._folder.fs.put_file(str(file), (self._folder / file.name).path)
