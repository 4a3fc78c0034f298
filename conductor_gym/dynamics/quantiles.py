"""The committed quantile table of the normal distribution, and log-normal tables made from it.

`normal_quantiles.txt` holds Phi^-1(j / 1024) for j = 0..1024, rounded to 9 decimals. The two ends,
infinite in theory, are set to the value that gives the interpolated distribution variance 1.
Draws read tables instead of calling `log` and `cos`, which differ between machines in the last bit.
"""

from decimal import Decimal
from functools import cache
from pathlib import Path
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

SIZE = 1025
_FILE = Path(__file__).with_name("normal_quantiles.txt")


@cache
def normal_quantiles() -> npt.NDArray[np.float64]:
    """The committed table, float64 [1025]."""
    return np.loadtxt(_FILE, np.float64)


def make_normal_quantiles() -> npt.NDArray[np.float64]:
    """Compute the table that is committed; a test compares the two."""
    z = NormalDist().inv_cdf
    table = np.array([0.0, *(z(j / (SIZE - 1)) for j in range(1, SIZE - 1)), 0.0])
    # Second moment of the piecewise linear quantile function: mean of (a² + ab + b²) / 3.
    inner = table[1:-1]
    moment = np.sum(inner[:-1] ** 2 + inner[:-1] * inner[1:] + inner[1:] ** 2) / 3
    last = inner[-1]
    rest = (SIZE - 1 - moment) / 2 * 3 - last**2
    end = (-last + np.sqrt(last**2 + 4 * rest)) / 2
    table[0], table[-1] = -end, end
    return np.array([round(x, 9) for x in table.tolist()])


@cache
def lognormal_factors(sigma: float) -> npt.NDArray[np.float64]:
    """Quantiles of a log-normal factor with mean 1.

    Exponentials are taken in decimal arithmetic: the same digits on every machine.

    Args:
        sigma: Standard deviation of the logarithm.

    Returns:
        float64 [1025], rounded to 9 decimals, with an interpolated mean of 1 within 1e-8.
    """
    exact = [(Decimal(str(z)) * Decimal(str(sigma))).exp() for z in normal_quantiles().tolist()]
    mean = (sum(exact) - (exact[0] + exact[-1]) / 2) / (SIZE - 1)
    return np.array([float(round(x / mean, 9)) for x in exact])


def interpolated_mean(table: npt.NDArray[np.float64]) -> float:
    """Mean of the distribution whose quantile function interpolates `table`."""
    return float(np.mean((table[:-1] + table[1:]) / 2))
