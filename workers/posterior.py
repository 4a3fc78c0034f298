"""What outcomes tell about each query: the mean of its difficulty, and of workers' own trouble."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr

from conductor_gym.workers.calibration import skewed
from conductor_gym.workers.tetrachoric import Array

_NODES, _RAW = np.polynomial.hermite_e.hermegauss(41)
_LOG_WEIGHTS = np.log(_RAW / _RAW.sum())


class Posterior(NamedTuple):
    """Posterior means given every worker's first outcome.

    Attributes:
        difficulty: float64 [queries], of the first shared factor.
        trouble: float64 [queries, workers], of what is a worker's own.
    """

    difficulty: Array
    trouble: Array


def posterior(
    scores: Array,
    domain: npt.NDArray[np.int64],
    probits: Array,
    loadings: Array,
    skew: float = 0.0,
) -> Posterior:
    """Posterior means by Gauss-Hermite quadrature over the difficulty.

    Further factors count as each worker's own.

    Args:
        scores: float64 [queries, workers] in [0, 1].
        domain: int64 [queries].
        probits: float64 [workers, domains], borders between right and wrong.
        loadings: float64 [domains, workers, factors].
        skew: Of the difficulty.
    """
    difficulty = np.zeros(len(scores))
    trouble = np.zeros(scores.shape)
    for d in range(len(loadings)):
        here = np.flatnonzero(domain == d)
        first = loadings[d, :, 0]
        own = np.sqrt(1.0 - first**2)
        at = (probits[:, d] - np.outer(skewed(_NODES, skew), first)) / own  # [nodes, workers]
        right, wrong = log_ndtr(at), log_ndtr(-at)
        log_posterior = scores[here] @ right.T + (1.0 - scores[here]) @ wrong.T + _LOG_WEIGHTS
        log_posterior -= log_posterior.max(axis=1, keepdims=True)
        weight = np.exp(log_posterior)
        weight /= weight.sum(axis=1, keepdims=True)
        difficulty[here] = weight @ _NODES
        # Mean of a normal that is known to lie below (right) or above (wrong) its border.
        height = np.exp(-0.5 * at**2) / np.sqrt(2.0 * np.pi)
        below = -height / np.maximum(ndtr(at), 1e-12)
        above = height / np.maximum(ndtr(-at), 1e-12)
        trouble[here] = scores[here] * (weight @ below) + (1.0 - scores[here]) * (weight @ above)
    return Posterior(difficulty, trouble)
