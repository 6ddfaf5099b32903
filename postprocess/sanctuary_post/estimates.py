"""Small statistics: each says what it counts. More belongs to statsmodels."""

import math

import numpy as np

from sanctuary_post.run import reached

SEED = 1
RESAMPLES = 1000  # of up to 20 000 values; of more, fewer, down to 200, for the interval is then far smaller than anything of interest
FEWEST = 5  # values for an interval


def bootstrap_median(values, weights, seed=SEED):
    """The 95 % percentile interval of a weighted median, patients drawn with replacement; NaN for few values."""
    if len(values) < FEWEST:
        return math.nan, math.nan
    order = np.argsort(values, kind="stable")
    values, weights = np.asarray(values)[order], np.asarray(weights, dtype=float)[order]
    random, count = np.random.default_rng(seed), len(values)
    found = np.empty(min(RESAMPLES, max(200, 20_000 * RESAMPLES // count)))
    for i in range(len(found)):
        drawn = np.bincount(random.integers(count, size=count), minlength=count)
        found[i] = reached(values, np.cumsum(drawn * weights), 0.5)
    return tuple(float(one) for one in np.nanquantile(found, [0.025, 0.975]))


def sign_test(differences):
    """Two-sided p of as many signs, exact; values that are equal to 0 say nothing. Each patient counts once. 1 without any."""
    above, below = int((differences > 0).sum()), int((differences < 0).sum())
    count, few = above + below, min(above, below)
    i = np.arange(1, few + 1)
    logs = np.concatenate([[0.0], np.cumsum(np.log((count - i + 1) / i))]) - count * math.log(2)
    return min(1.0, 2 * float(np.exp(logs).sum()))


def ranks(values):
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


def rank_correlation(x, y):
    """Spearman's, of rows where both are there, with how many these are; NaN where one of them is constant. Each patient counts once."""
    both = np.isfinite(x) & np.isfinite(y)
    x, y = ranks(x[both]), ranks(y[both])
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, len(x)
    return float(np.corrcoef(x, y)[0, 1]), len(x)


def correlation_interval(rho, count):
    """The 95 % interval of a rank correlation (Fisher's z with the variance of Bonett & Wright 2000, Psychometrika 65:23)."""
    if not math.isfinite(rho) or count < FEWEST or abs(rho) >= 1:
        return math.nan, math.nan
    half = 1.959964 * math.sqrt((1 + rho * rho / 2) / (count - 3))
    return math.tanh(math.atanh(rho) - half), math.tanh(math.atanh(rho) + half)
