"""Run folder next to a model file: settings, checkpoints, metrics and report of the training.

For `cnn.safetensors` it is `cnn.train/`. `run.json` is written first, `metrics.jsonl` and TensorBoard events after each
epoch, `report.json` last. Until then, a folder named after the run's fingerprint holds the checkpoints. `frames/` may
be a frame store, which is kept after the run.
"""

import contextlib
import dataclasses
import hashlib
import json
import posixpath
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any, TypeVar

from attn.errors import UsageError
from attn.storage.filesystem import join
from attn.storage.listing import names_in, remove_tree
from attn.storage.location import Location
from attn.storage.run_lock import occupied
from attn.storage.writable import check_results_folder, check_writable

SUFFIX = ".safetensors"
RUN, REPORT, METRICS, STATES = "run.json", "report.json", "metrics.jsonl", "states"
FRAMES, SETTLED = "frames", "videos.json"
EVENTS = "events.out.tfevents"
REMOVALS = 5
"""Attempts to remove a folder in which a lost worker that is still running, or Ray, may be writing."""
Job = TypeVar("Job", bound=Any)


@dataclasses.dataclass(frozen=True)
class TrainRun:
    """Training run with its folder.

    Attributes:
        out: URL of the model file.
        decisive: everything that determines the trained weights, in JSON types. The number of workers is not included,
            so a training that lost a machine can resume with fewer.
    """

    out: str
    decisive: dict[str, Any]

    @property
    def url(self) -> str:
        """URL of the run folder."""
        out = Location.at(self.out)
        return out.at_path(out.path.removesuffix(SUFFIX) + ".train").url

    @cached_property
    def name(self) -> str:
        """Fingerprint of `decisive`; also Ray's name of the run."""
        return hashlib.sha256(json.dumps(self.decisive, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def states(self) -> str:
        """URL of the checkpoint folder."""
        return join(self.url, self.name, STATES)

    def report(self) -> dict[str, Any] | None:
        """Return the report of this training; None if the training is not finished.

        Raises:
            UsageError: --out is not a checkpoint name, belongs to another training, or is an unknown file.
        """
        if not self.out.endswith(SUFFIX):
            raise UsageError(f"{self.out}: not a checkpoint name. Give --out a name that ends in {SUFFIX}.")
        begun = self.read(RUN)
        if begun is None:
            if Location.at(self.out).exists():
                raise UsageError(f"{self.out}: exists already. Remove it, or choose another --out.")
            return None
        if difference := _difference(self.decisive, begun.get("decisive", {})):
            raise UsageError(
                f"{self.url}: holds a training with other options ({difference}). "
                f"Remove it and {self.out}, or choose another --out."
            )
        return self.read(REPORT) if Location.at(self.out).exists() else None

    def check_folder(self) -> None:
        """Check the folder of `out` before a training whose flag --out is that folder.

        Raises:
            UsageError: the folder has the name of a file, in which `evaluate` would look for a model, or is a store.
        """
        folder = posixpath.dirname(self.out)
        if self.read(RUN) is not None:
            return
        if folder.endswith(SUFFIX):
            raise UsageError(f"{folder}: the name of a file, but --out is a folder here. Leave out {SUFFIX}.")
        check_results_folder(folder)

    def begun_before_recipes(self) -> dict[str, Any] | None:
        """Return `decisive` of the training in this folder if it started before recipes existed; otherwise None."""
        decisive = (self.read(RUN) or {}).get("decisive")
        return None if decisive is None or "recipe" in decisive else decisive

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Lock the folder against other runs of the same training, see `attn.storage.run_lock`."""
        return occupied(Location.at(self.url))

    def begin(self, made_by: dict[str, Any]) -> bool:
        """Write `run.json`, so that the same command resumes and another one is rejected; False if it exists already.

        Raises:
            UsageError: the folder is not writable.
        """
        check_writable(self.url)
        if self.read(RUN) is not None:
            return False
        self.write(RUN, json.dumps({"decisive": self.decisive, "made_by": made_by}, indent=1, ensure_ascii=False))
        return True

    def finish(self, report: dict[str, Any]) -> None:
        """Write the report and remove the checkpoints."""
        self.write(REPORT, json.dumps(report, indent=1, ensure_ascii=False))
        self.drop_states()

    def drop_states(self) -> None:
        """Remove all checkpoints."""
        self._remove(join(self.url, self.name))

    def forget(self) -> None:
        """Remove the files of a run that ended before its first checkpoint, except frames.

        Only for the process that started the run. Files that were in the folder before are kept.
        """
        trained = [row for row in self.metrics() if row.get("epoch") or row.get("update")]  # row 0 is the start
        if trained or names_in(Location.at(self.states)):
            return
        names = names_in(Location.at(self.url))
        own = [name for name in names if name in (METRICS, SETTLED, self.name) or name.startswith(EVENTS)]
        for name in [*own, RUN]:
            self._remove(join(self.url, name))
        if set(names) <= {*own, RUN}:
            self._remove(self.url)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the rows of `metrics.jsonl`; empty if it is damaged, because a resumed training writes it again."""
        file = Location.at(self.url) / METRICS
        if not file.exists():
            return []
        with file.errors():
            data = file.read_bytes()
        try:
            return [dict(json.loads(line)) for line in data.splitlines()]
        except (ValueError, TypeError):
            return []

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Replace all rows, so that a repeated epoch appears only once."""
        self.write(METRICS, "".join(json.dumps(row) + "\n" for row in rows))

    def write(self, name: str, text: str) -> None:
        """Write a small file of the folder atomically."""
        (Location.at(self.url) / name).write_atomic(text.encode())

    def read(self, name: str) -> dict[str, Any] | None:
        """Read a JSON file of the folder; None if it does not exist.

        Raises:
            UsageError: the file is damaged.
        """
        file = Location.at(self.url) / name
        if not file.exists():
            return None
        try:
            return dict(json.loads(file.read_text()))
        except ValueError as error:
            raise UsageError(f"{file}: damaged ({error}). Remove {self.url}, or choose another --out.") from error

    def _remove(self, url: str) -> None:
        place = Location.at(url)
        with place.errors():
            for _ in range(REMOVALS):
                if not place.exists():
                    return
                with contextlib.suppress(FileNotFoundError):  # another process removed a part of it in the meantime
                    remove_tree(place)


def varied(run: TrainRun, job: Job, options: Any, kind: type) -> tuple[TrainRun, Job]:
    """Return another training on the same data, for a search.

    Args:
        run: run of the planned training.
        job: job of the planned training, a dataclass with `options`, `own_key` and `run_url`.
        options: options of the job with another `out` and other fields of `kind`, except those that decide the data.
        kind: dataclass of the settings that may differ.
    """
    own = {field.name: getattr(options, field.name) for field in dataclasses.fields(kind)}
    other = TrainRun(join(options.out, Location.at(run.out).name), {**run.decisive, **own})
    changed: Any = {"options": options, "own_key": other.name, "run_url": other.url}
    return other, dataclasses.replace(job, **changed)


def chosen(
    options: Any, names: Collection[str], *, later: Collection[str], unnamed: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the values of option fields, for `decisive`.

    Fields that were added later are included only if they differ from their default, so that a run started before
    the field existed can resume.

    Args:
        options: options, a dataclass.
        names: fields that affect the trained weights.
        later: fields among them that were added later.
        unnamed: further fields with their defaults at that time, see `attn.training.recipe.unnamed_before`.
    """
    defaults = {field.name: field.default for field in dataclasses.fields(options) if field.name in later}
    defaults |= unnamed or {}
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def digest(value: Any) -> str:
    """Hash of a large value in JSON types, which takes its place in `decisive`."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]


def _difference(here: dict[str, Any], there: dict[str, Any]) -> str:
    """Return the differences in one line: `lr: 0.01 here, 0.001 there`."""
    here = json.loads(json.dumps(here))
    return "; ".join(
        f"{key}: {_short(here.get(key))} here, {_short(there.get(key))} there"
        for key in sorted(here.keys() | there.keys())
        if here.get(key) != there.get(key)
    )


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:30]}…"
