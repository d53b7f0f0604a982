"""The SVM baseline: linear SVMs on the pooled features of single frames, trained on labelled videos."""

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
    """One hyperplane per class.

    Attributes:
        weights: normals.
        bias: offsets; -∞ for a class without training videos, which therefore never wins.
    """

    weights: Float[np.ndarray, "cls chan"]
    bias: Float[np.ndarray, "cls"]

    def __call__(self, features: Float[np.ndarray, "frame chan"]) -> Float[np.ndarray, "frame cls"]:
        """Signed distances from the planes, in units of the margin."""
        return features.astype(np.float64) @ self.weights.T + self.bias


def fit_svm(
    features: Float[np.ndarray, "frame chan"], labels: Int[np.ndarray, "frame"], *, num_classes: int, c: float = 1.0
) -> LinearSvm:
    """One-vs-rest linear SVMs (liblinear, squared hinge, L2 penalty) on frames, each with the label of its video.

    liblinear copies the features twice, in float64 and in lists of its own: some 64 KB for a frame of 2048 numbers.

    Args:
        features: as they are; they are not scaled.
        labels: class ids, of two classes at least.
        num_classes: n.
        c: C, weight of the errors against the penalty.

    Source: Li et al. 2017, section 4.3 (C = 1). Differs: the paper does not name the solver, the loss or any scaling.
    """
    from sklearn.exceptions import ConvergenceWarning  # here, since it takes seconds to load
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=c, dual="auto", max_iter=MOST_ITERATIONS, random_state=0)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ConvergenceWarning)
        svm.fit(features, labels)
    if any(issubclass(one.category, ConvergenceWarning) for one in warned):
        log.warning(
            "SVMs (C = %g): not solved to liblinear's tolerance after %d iterations. Give a smaller --svm-c, such as "
            "%g, or take their scores as approximate.",
            *(c, MOST_ITERATIONS, c / 10),
        )
    normals, offsets = svm.coef_, svm.intercept_
    if len(svm.classes_) == 2:  # liblinear gives the plane of the second class alone
        normals, offsets = np.concatenate([-normals, normals]), np.concatenate([-offsets, offsets])
    weights, bias = np.zeros((num_classes, features.shape[1])), np.full(num_classes, -np.inf)
    weights[svm.classes_], bias[svm.classes_] = normals, offsets
    return LinearSvm(weights, bias)


def fit_svm_on_store(store: AttentionStore, labels: Mapping[str, int], *, c: float = 1.0) -> LinearSvm:
    """SVMs on all frames of some videos of a store.

    Args:
        store: with pooled features.
        labels: video id → class id; the store has all of them.
        c: as in `fit_svm`.

    Raises:
        UsageError: the store holds no features, or some that are NaN or infinite.
    """
    found, frame_labels = [], []
    for rows in store.videos([FEATURES]):
        if rows.video_id in labels:
            features = rows.tensors[FEATURES]
            check_finite(store.url, rows.video_id, rows.frame, FEATURES, features)
            found.append(features.astype(np.float32))
            frame_labels.append(np.full(len(rows.frame), labels[rows.video_id]))
    num_classes = len(store.manifest.class_names)
    return fit_svm(np.concatenate(found), np.concatenate(frame_labels), num_classes=num_classes, c=c)
