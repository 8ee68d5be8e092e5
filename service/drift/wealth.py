"""What stakes become that were laid one after the other on several bets, in logarithms."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def compound(log_wealth: Floats, log_bets: Floats, log_deposits: Floats) -> Floats:
    """Return the wealth on each of K bets after each of n >= 1 steps, `(n, K)`.

    W_k = (W_(k-1) + deposit_k) * bet_k, of which the closed form is the sum over all starts of the
    deposit laid then times the bets won since.

    Args:
        log_wealth: Before the first step, `(K,)`; minus infinity is nothing.
        log_bets: Logarithms of what a stake is multiplied by, `(n, K)`.
        log_deposits: What is laid on every bet before each step, `(n,)`.
    """
    won = np.cumsum(log_bets, axis=0)
    laid = np.empty((len(log_bets) + 1, log_bets.shape[1]))
    laid[0] = log_wealth
    laid[1:] = log_deposits[:, None]
    laid[2:] -= won[:-1]
    return np.asarray(won + np.logaddexp.accumulate(laid, axis=0)[1:])


def log_sum(log_wealth: Floats) -> Floats:
    """Return the logarithms `(n,)` of the sums of rows `(n, K)`, none of which is all nothing."""
    # np.logaddexp.reduce says the same in three times the time.
    most = log_wealth.max(axis=1, keepdims=True)
    return np.asarray(most[:, 0] + np.log(np.exp(log_wealth - most).sum(axis=1)))
