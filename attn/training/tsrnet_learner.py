"""Training of a TSRNet on one worker: updates, validation on held-out videos, best weights."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from attn.errors import UsageError
from attn.eval.metrics import mean_average_precision, top_k_accuracy
from attn.models.tsrnet import Tsrnet
from attn.models.tsrnet_file import load_start, load_tsrnet, sha256_of
from attn.schema import FEATURES
from attn.stages.time_samples import uniform_samples
from attn.stages.tsrnet_scoring import TsrnetScore
from attn.storage.filesystem import storage_errors
from attn.training.bank import Bank, on_device, read_bank
from attn.training.cache_folder import cache_folder
from attn.training.diverged import check_weights
from attn.training.group import Group
from attn.training.loop import Progress
from attn.training.status import Row
from attn.training.storage import check_storage
from attn.training.trial_records import OBJECTIVE
from attn.training.tsrnet_job import TsrnetJob
from attn.training.tsrnet_training import Step, TsrnetTrainer, new_net
from attn.training.validated_learner import ValidatedLearner, check_loss
from attn.training.validated_rows import ACCURACY, MAP, figure_of
from attn.training.video_table import VideoTable

Banks = tuple[Bank, Bank, Bank | None]
"""Features of the untrimmed training videos, of the held-out ones, and of the trimmed ones."""


@contextmanager
def tsrnet_learner(
    job: TsrnetJob, group: Group, status: Progress, *, gpus: float = 1.0
) -> Iterator["TsrnetLearner | UsageError"]:
    """Map the features on this machine; yield the learner, or the error for the user.

    Args:
        job: training.
        group: this worker and its group.
        status: receiver of the progress.
        gpus: share of the GPU that this training may use.
    """
    status.update(skipped={}, note="reading features")
    with cache_folder(job.cache_folder, "attn-features-", job.own_key, group) as folder:
        banks, refusal = None, None

        def read(url: str, table: VideoTable) -> Bank:
            with storage_errors(url):
                return read_bank([job.open_store(url)], table, FEATURES, cache=folder)

        try:
            check_storage(job.run_url)
            trimmed = None if job.trimmed_url is None or job.trimmed is None else read(job.trimmed_url, job.trimmed)
            train = on_device(read(job.store_url, job.train), group.device, gpus, reserved=_batch_bytes(job))
            if trimmed is not None:
                # With a share of a GPU, the first bank is not yet seen in its free memory.
                taken = _batch_bytes(job) + (train.values.nbytes if gpus < 1 and train.values.is_cuda else 0)
                trimmed = on_device(trimmed, group.device, gpus, reserved=taken)
            banks = train, read(job.store_url, job.held_out), trimmed
        except UsageError as error:
            refusal = str(error)
        refusal = next((text for text in group.gather(refusal) if text), None)
        if banks is None or refusal is not None:
            yield UsageError(refusal)
        else:
            learner = TsrnetLearner(job, banks, group, status.note)
            try:
                yield learner
            finally:
                learner.trainer.close()


class TsrnetLearner(ValidatedLearner[TsrnetTrainer]):
    """A TSRNet in training on one worker, see `attn.training.loop.Learner`.

    Args:
        job: training.
        banks: features of the videos.
        group: this worker and its group.
        note: callback that receives the current activity.

    Attributes:
        trainer: trainer of the network.
        kept: weights of the best validation.
    """

    unit, lr_flags = "update", "--lr"

    def __init__(self, job: TsrnetJob, banks: Banks, group: Group, note: Callable[[str], None]):
        self.job, self.group, self.config, self._note = job, group, job.options, note
        untrimmed, self._held_out, trimmed = banks
        self.kept: dict[str, torch.Tensor] = {}
        self.trainer = TsrnetTrainer(initial_net(job).to(group.device), untrimmed, trimmed, job.options, group)

    @property
    def net(self) -> Tsrnet:
        """Network in training."""
        return self.trainer.net

    def is_over(self, rows: Sequence[Row]) -> bool:
        return bool(rows) and rows[-1]["update"] >= self.job.total

    def next_row(self, rows: Sequence[Row]) -> Row:
        started_s = time.monotonic()
        first = rows[-1]["update"] if rows else 0
        stop = min(first - first % self.config.look_every + self.config.look_every, self.job.total)
        steps = [self._update(number) for number in range(first, stop)]
        trained_s = time.monotonic() - started_s
        check_weights(self.net.named_parameters(), f"after update {stop}")
        validated = self._validated()
        figures = [figure for row in (*rows, validated) if (figure := figure_of(row)) is not None]
        return {
            "update": stop,
            **{name: sum(getattr(step, name) for step in steps) / len(steps) for name in Step._fields},
            **validated,
            **({OBJECTIVE: max(figures)} if figures else {}),
            "updates_per_s": len(steps) / trained_s,
            "seconds": time.monotonic() - started_s,
        }

    def _update(self, number: int) -> Step:
        step = self.trainer.update(number)
        check_loss(step.loss, number)
        self._note(f"update {number + 1} of {self.job.total}: loss {step.loss:.3f}")
        return step

    def _validated(self) -> dict[str, Any]:
        """Return the figure of the held-out videos, which the workers share."""
        table = self._held_out.table
        name = MAP if self.job.multi_label else ACCURACY
        if not table.video_ids:
            return {name: None}
        self.net.eval()
        own, first = table.share(self.group.rank, self.group.size)
        scorer = TsrnetScore(self.net, self.config.num_samples)
        rows = [
            first + start + uniform_samples(count, self.config.num_samples)
            for start, count in zip(own.first_row.tolist(), own.num_frames.tolist(), strict=True)
        ]
        found = [scorer.stream(self._held_out.select(torch.from_numpy(one)).cpu().numpy()).scores for one in rows]
        scores = np.concatenate([*filter(len, self.group.gather(np.array(found)))])
        if self.job.multi_label:
            return {name: mean_average_precision(scores, table.targets).value}
        return {name: top_k_accuracy(scores, table.targets.argmax(1))}


def _batch_bytes(job: TsrnetJob) -> int:
    """Estimate of the memory of an update on a device, in bytes: samples, and what autograd keeps of them."""
    config, tables = job.options, (job.train, job.trimmed)
    most = max(int(table.num_frames.max()) for table in tables if table is not None)
    samples = most if config.num_samples == "all" else config.num_samples
    return 4 * 2 * config.batch * samples * (2 * job.num_channels + 3 * config.attention_dim)


def initial_net(job: TsrnetJob) -> Tsrnet:
    """Create the network of a job with its initial weights.

    Raises:
        UsageError: the network of --init is missing or has changed since the training was planned.
    """
    net = new_net(job.options, num_classes=len(job.class_names), num_channels=job.num_channels)
    if job.init is None:
        return net
    if sha256_of(job.init) != job.init_sha256:
        raise UsageError(f"--init {job.init}: has changed since the training was planned. Start the training again.")
    load_start(net, load_tsrnet(job.init).net)
    return net
