"""SVM baseline: linear SVMs on the pooled features of single frames, trained on labelled videos."""

import dataclasses
import logging
import warnings
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from attn.schema import FEATURES
from attn.stages.finite import check_finite
from attn.storage.store import AttentionStore

log = logging.getLogger(__name__)

MOST_ITERATIONS = 2000


@dataclasses.dataclass(frozen=True)
class LinearSvm:
    """Linear SVMs, one hyperplane per class.

    Attributes:
        weights: normal vectors.
        bias: offsets; -∞ for classes without training videos, which are therefore never predicted.
    """

    weights: Float[np.ndarray, "cls chan"]
    bias: Float[np.ndarray, "cls"]

    def __call__(self, features: Float[np.ndarray, "frame chan"]) -> Float[np.ndarray, "frame cls"]:
        """Compute signed distances from the hyperplanes, in units of the margin."""
        return features.astype(np.float64) @ self.weights.T + self.bias


def fit_svm(
    features: Float[np.ndarray, "frame chan"], labels: Int[np.ndarray, "frame"], *, num_classes: int, c: float = 1.0
) -> LinearSvm:
    """Fit one-vs-rest linear SVMs (liblinear, squared hinge, L2 penalty) to frames, labelled with their video's class.

    liblinear copies the features twice, in float64 and in its own lists: about 64 KB for a frame with 2048 features.

    Args:
        features: features of the frames, used without scaling.
        labels: class ids, of at least two classes.
        num_classes: number of classes.
        c: C, weight of the errors relative to the penalty.

    Source: Li et al. 2017, section 4.3 (C = 1). Differs: the paper does not specify the solver, the loss or any
    scaling.
    """
    from sklearn.exceptions import ConvergenceWarning  # imported here because the import takes seconds
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=c, dual="auto", max_iter=MOST_ITERATIONS, random_state=0)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ConvergenceWarning)
        svm.fit(features, labels)
    if any(issubclass(one.category, ConvergenceWarning) for one in warned):
        log.warning(
            "SVMs (C = %g): liblinear has not converged after %d iterations, so scores are approximate. Try a smaller "
            "--svm-c, such as %g.",
            *(c, MOST_ITERATIONS, c / 10),
        )
    normals, offsets = svm.coef_, svm.intercept_
    if len(svm.classes_) == 2:  # liblinear returns only the hyperplane of the second class
        normals, offsets = np.concatenate([-normals, normals]), np.concatenate([-offsets, offsets])
    weights, bias = np.zeros((num_classes, features.shape[1])), np.full(num_classes, -np.inf)
    weights[svm.classes_], bias[svm.classes_] = normals, offsets
    return LinearSvm(weights, bias)


def fit_svm_on_store(
    store: AttentionStore, labels: Mapping[str, int], *, num_classes: int, c: float = 1.0
) -> LinearSvm:
    """Fit SVMs to all frames of selected videos of a store.

    Args:
        store: store with pooled features.
        labels: video ID → class id, for videos in the store.
        num_classes: number of classes.
        c: as in `fit_svm`.

    Raises:
        UsageError: the store has no features, or a feature is NaN or infinite.
    """
    found, frame_labels = [], []
    for rows in store.videos([FEATURES]):
        if rows.video_id in labels:
            features = rows.tensors[FEATURES]
            check_finite(store.url, rows.video_id, rows.frame, FEATURES, features)
            found.append(features.astype(np.float32))
            frame_labels.append(np.full(len(rows.frame), labels[rows.video_id]))
    return fit_svm(np.concatenate(found), np.concatenate(frame_labels), num_classes=num_classes, c=c)
