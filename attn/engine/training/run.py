"""The folder beside a checkpoint: which training it belongs to, how far it is, what came of it.

For `cnn.safetensors` it is `cnn.train/`: `run.json` written first, `metrics.jsonl` and TensorBoard's events as the
epochs go by, `report.json` written last; a folder named by the run's fingerprint holds states to go on from meanwhile.
`frames/` may be a frame store, which outlives the run.
"""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from attn.errors import UsageError
from attn.storage.filesystem import join, open_filesystem, read_bytes, read_text, storage_errors, url_of, write_atomic
from attn.storage.listing import names_in, remove_tree
from attn.storage.run_lock import occupied
from attn.storage.writable import check_writable

SUFFIX = ".safetensors"
RUN, REPORT, METRICS, STATES = "run.json", "report.json", "metrics.jsonl", "states"
FRAMES, SETTLED = "frames", "videos.json"
EVENTS = "events.out.tfevents"
REMOVALS = 5
"""Tries to remove a folder in which a lost worker, not dead yet, or Ray may still be at work."""


@dataclasses.dataclass(frozen=True)
class TrainRun:
    """A training and where it is kept.

    Attributes:
        out: URL of the checkpoint.
        decisive: everything that decides what is learnt, in JSON types. The number of workers is not among it: a
            training that lost a machine may go on with fewer.
    """

    out: str
    decisive: dict[str, Any]

    @property
    def url(self) -> str:
        """The folder."""
        fs, path = open_filesystem(self.out)
        return url_of(fs, path.removesuffix(SUFFIX) + ".train")

    @cached_property
    def name(self) -> str:
        """Fingerprint of what is decisive; Ray's name of the run."""
        return hashlib.sha256(json.dumps(self.decisive, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def states(self) -> str:
        """URL of the states."""
        return join(self.url, self.name, STATES)

    def report(self) -> dict[str, Any] | None:
        """What came of this very training, if it is finished.

        Raises:
            UsageError: --out belongs to another training, or to no one knows what.
        """
        if not self.out.endswith(SUFFIX):
            raise UsageError(f"{self.out}: a checkpoint is one {SUFFIX} file; name --out so")
        begun = self.read(RUN)
        if begun is None:
            if self._exists(self.out):
                raise UsageError(f"{self.out} exists; remove it, or choose another --out")
            return None
        if difference := _difference(self.decisive, begun.get("decisive", {})):
            raise UsageError(
                f"{self.url} holds a training with other options ({difference}); "
                f"remove it and {self.out}, or choose another --out"
            )
        return self.read(REPORT) if self._exists(self.out) else None

    def begun_before_recipes(self) -> dict[str, Any] | None:
        """Record of what decided the training in this folder if it began before recipes; None otherwise."""
        decisive = (self.read(RUN) or {}).get("decisive")
        return None if decisive is None or "recipe" in decisive else decisive

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keeps the same training, given twice, from going on twice, see `attn.storage.run_lock`."""
        fs, path = open_filesystem(self.url)
        return occupied(fs, path, self.url)

    def begin(self, made_by: dict[str, Any]) -> bool:
        """Writes `run.json`: from now on the same command resumes and another one is refused. False: it was there.

        Raises:
            UsageError: nothing can be written there.
        """
        check_writable(self.url)
        if self.read(RUN) is not None:
            return False
        self.write(RUN, json.dumps({"decisive": self.decisive, "made_by": made_by}, indent=1, ensure_ascii=False))
        return True

    def finish(self, report: dict[str, Any]) -> None:
        """Writes the report; what only a resumed training needs is removed."""
        self.write(REPORT, json.dumps(report, indent=1, ensure_ascii=False))
        self.drop_states()

    def drop_states(self) -> None:
        """Removes all states: the training begins again."""
        self._remove(join(self.url, self.name))

    def forget(self) -> None:
        """Removes what a training that was refused before it learnt anything has written, but not frames.

        For whoever began it: of another process nothing may be taken away. Nor may what was in the folder before.
        """
        if self.metrics() or names_in(*open_filesystem(self.states)):
            return
        names = names_in(*open_filesystem(self.url))
        mine = [name for name in names if name in (METRICS, SETTLED, self.name) or name.startswith(EVENTS)]
        for name in [*mine, RUN]:
            self._remove(join(self.url, name))
        if set(names) <= {*mine, RUN}:
            self._remove(self.url)

    def metrics(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl`, one per epoch; none where it is damaged: a resumed training writes them anew."""
        url = join(self.url, METRICS)
        if not self._exists(url):
            return []
        fs, path = open_filesystem(url)
        with storage_errors(url):
            data = read_bytes(fs, path)
        try:
            return [dict(json.loads(line)) for line in data.splitlines()]
        except (ValueError, TypeError):
            return []

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """All rows anew: an epoch that was done twice stands there once."""
        self.write(METRICS, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, name: str, text: str) -> None:
        """A small file of the folder, whole or not at all."""
        fs, path = open_filesystem(join(self.url, name))
        write_atomic(fs, path, text.encode())

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder, if it is there.

        Raises:
            UsageError: it is damaged.
        """
        url = join(self.url, name)
        if not self._exists(url):
            return None
        try:
            return dict(json.loads(read_text(*open_filesystem(url))))
        except ValueError as error:
            raise UsageError(f"{url} is damaged ({error}); remove {self.url}, or choose another --out") from error

    def _exists(self, url: str) -> bool:
        fs, path = open_filesystem(url)
        with storage_errors(url):
            return fs.exists(path)

    def _remove(self, url: str) -> None:
        fs, path = open_filesystem(url)
        with storage_errors(url):
            for _ in range(REMOVALS):
                if not fs.exists(path):
                    return
                with contextlib.suppress(FileNotFoundError):  # another program removed a part of it meanwhile
                    remove_tree(fs, path)


def chosen(
    options: Any, names: Collection[str], *, later: Collection[str], unnamed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What the fields of some options say, for `decisive`.

    Fields that came later than the first trainings are named only where they are not as usual: a training begun before
    there was a choice goes on.

    Args:
        options: a dataclass.
        names: of its fields that decide what is learnt.
        later: those of them that came later.
        unnamed: further ones and the values they had unsaid, see `attn.stages.recipe.unnamed_before`.
    """
    usual = {field.name: field.default for field in dataclasses.fields(options) if field.name in later}
    usual |= unnamed or {}
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if name not in usual or value != usual[name]}


def _difference(here: dict[str, Any], there: dict[str, Any]) -> str:
    """What differs, in one line: `lr: 0.01 here, 0.001 there`."""
    here = json.loads(json.dumps(here))
    return "; ".join(
        f"{key}: {_short(here.get(key))} here, {_short(there.get(key))} there"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:30]}…"
