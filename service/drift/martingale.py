"""Evidence against a hypothesis, from bets that gain nothing on average while it is true.

Two statistics combine the same bets over all possible times of a change:

- A martingale that starts at 1 and stakes its wealth gradually. P(it ever reaches 1 / delta) is at
  most delta (Ville 1939). It supports one alarm.
- The Shiryaev-Roberts statistic R_n = (1 + R_(n-1)) * bet_n, with a new stake of 1 at every step.
  From 0 it takes at least `run_length` steps on average to reach `run_length`. It restarts from 0
  after each alarm. Shiryaev 1963; Roberts 1966; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmLimits:
    """The limits at which evidence becomes an alarm.

    Attributes:
        delta: Probability that the martingale ever raises a false alarm, at most; in (0, 1).
        run_length: Average number of scores between false alarms of Shiryaev-Roberts, at least;
            finite and above 1.
    """

    delta: float = 0.01
    run_length: float = 1e9

    @property
    def log_martingale(self) -> float:
        """The limit of the martingale's logarithm."""
        return -math.log(self.delta)

    @property
    def log_shiryaev_roberts(self) -> float:
        """The limit of the logarithm of Shiryaev-Roberts."""
        return math.log(self.run_length)


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftEvidence:
    """The state of both statistics after a number of steps on K bets.

    Attributes:
        steps: Number of steps.
        log_staked: Logarithm of the martingale's staked wealth by bet, `(K,)`.
        log_peak: Logarithm of the martingale's maximum.
        log_restarting: Logarithm of Shiryaev-Roberts by bet, `(K,)`.
        alarms: How often Shiryaev-Roberts has reached its limit.
    """

    steps: int
    log_staked: Floats
    log_peak: float
    log_restarting: Floats
    alarms: int

    @property
    def log_martingale(self) -> float:
        """The logarithm of the martingale: its reserve plus its staked wealth."""
        return float(np.logaddexp(_log_reserve(self.steps), np.logaddexp.reduce(self.log_staked)))

    @property
    def log_shiryaev_roberts(self) -> float:
        """The logarithm of Shiryaev-Roberts; minus infinity at its start."""
        return float(np.logaddexp.reduce(self.log_restarting))


def initial_evidence(bets: int) -> DriftEvidence:
    """Return the evidence before the first step on `bets` bets."""
    nothing = np.full(bets, -np.inf)
    return DriftEvidence(
        steps=0, log_staked=nothing, log_peak=0.0, log_restarting=nothing, alarms=0
    )


def advance(evidence: DriftEvidence, log_bets: Floats, limits: AlarmLimits) -> DriftEvidence:
    """Return the evidence after n >= 1 further steps; the split into calls does not matter.

    The remaining steps are recomputed after each alarm, so pass few steps per call.

    Args:
        evidence: The evidence so far.
        log_bets: Logarithms of the factors by which each bet multiplies its stake, `(n, K)`. Given
            everything before it, each factor is at most 1 on average while the hypothesis is true.
        limits: The limits at which Shiryaev-Roberts restarts.
    """
    n, bets = log_bets.shape
    steps = evidence.steps + np.arange(1, n + 1)
    staked = compound(evidence.log_staked, log_bets, _log_released(steps) - math.log(bets))
    log_martingale = np.logaddexp(_log_reserve(steps), log_sum(staked))
    restarting, alarms = _advance_restarting(evidence.log_restarting, log_bets, limits)
    return replace(
        evidence,
        steps=evidence.steps + n,
        log_staked=staked[-1],
        log_peak=max(evidence.log_peak, float(log_martingale.max())),
        log_restarting=restarting,
        alarms=evidence.alarms + alarms,
    )


def compound(log_wealth: Floats, log_bets: Floats, log_deposits: Floats) -> Floats:
    """Return the logarithm of the wealth on each of K bets after each of n >= 1 steps, `(n, K)`.

    W_k = (W_(k-1) + deposit_k) * bet_k. In closed form it is the sum over all deposits of the
    deposit times the product of the bets since then.

    Args:
        log_wealth: Before the first step, `(K,)`; minus infinity is no wealth.
        log_bets: Logarithms of the factors by which a stake is multiplied, `(n, K)`.
        log_deposits: Logarithms of the amounts added to every bet before each step, `(n,)`.
    """
    gains = np.cumsum(log_bets, axis=0)
    deposits = np.empty((len(log_bets) + 1, log_bets.shape[1]))
    deposits[0] = log_wealth
    deposits[1:] = log_deposits[:, None]
    deposits[2:] -= gains[:-1]
    return np.asarray(gains + np.logaddexp.accumulate(deposits, axis=0)[1:])


def log_sum(log_wealth: Floats) -> Floats:
    """Return the logarithms `(n,)` of the row sums of `(n, K)`; each row has a finite entry."""
    # np.logaddexp.reduce gives the same result in three times the time.
    largest = log_wealth.max(axis=1, keepdims=True)
    return np.asarray(largest[:, 0] + np.log(np.exp(log_wealth - largest).sum(axis=1)))


def _advance_restarting(
    log_wealth: Floats, log_bets: Floats, limits: AlarmLimits
) -> tuple[Floats, int]:
    alarms = 0
    while len(log_bets):
        deposits = np.full(len(log_bets), -math.log(log_bets.shape[1]))
        path = compound(log_wealth, log_bets, deposits)
        reached = np.flatnonzero(log_sum(path) >= limits.log_shiryaev_roberts)
        if not len(reached):
            return path[-1], alarms
        alarms += 1
        log_wealth = np.full_like(log_wealth, -np.inf)
        log_bets = log_bets[reached[0] + 1 :]
    return log_wealth, alarms


def _log_reserve(steps: int | NDArray[np.int64]) -> Floats:
    """Return the logarithm of the reserve that is not staked after n steps: 1 / (1 + log(1 + n)).

    It decreases so slowly that 1/15 is left after a million scores, for a change that comes late.
    """
    return np.asarray(-np.log1p(np.log1p(steps)))


def _log_released(steps: NDArray[np.int64]) -> Floats:
    """Return the logarithm of the wealth that is staked before the n-th step, for n >= 1."""
    # reserve(n - 1) - reserve(n), without cancellation.
    log_growth = np.log1p(1 / steps)
    return np.asarray(np.log(log_growth) + _log_reserve(steps - 1) + _log_reserve(steps))
