"""Learner of a CNN on one worker, with its images prepared on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from attn.errors import UsageError
from attn.models.checkpoint import Cnn
from attn.training.cache_folder import cache_folder
from attn.training.cnn_job import TrainJob
from attn.training.cnn_learner import CnnLearner
from attn.training.cnn_pictures import ready, without_copies
from attn.training.group import Group
from attn.training.status import StatusWriter


@contextmanager
def cnn_learner(job: TrainJob, group: Group, status: StatusWriter, *, cnn: Cnn) -> Iterator[CnnLearner | UsageError]:
    """Prepare the images on this machine; yield the learner, or the error for the user.

    Args:
        job: training.
        group: this worker and its group.
        status: receiver of the progress.
        cnn: initial network; modified in place.
    """
    with cache_folder(job.cache_folder, "attn-images-", job.own_key, group) as folder:
        caches, refusal = ready(job, folder, group, status)
        if refusal is None:
            cache, *mixed = caches
            learner = CnnLearner(job, cnn, without_copies(job, cache, group, status), group, status.note, *mixed)
            status.update(skipped=learner.all_skipped)
            yield learner.refusal or learner
        else:
            yield UsageError(refusal)
