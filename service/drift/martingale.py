"""Evidence against a hypothesis from bets that gain nothing on average while it is true.

Two ways to add up the same bets, over all times at which a change may have come:

- a martingale that starts from 1, whose money goes into play little by little:
  P(it ever reaches 1 / delta) <= delta, Ville 1939. One alarm, for ever.
- the Shiryaev-Roberts statistic R_n = (1 + R_(n-1)) * bet_n, which gets a fresh 1 at every step:
  from zero to `run_length` it takes, on average, at least `run_length` steps. It starts over
  after an alarm. Shiryaev 1963, Roberts 1966; Shin, Ramdas & Rinaldo 2022, arXiv:2203.03532.
"""

import math
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, kw_only=True, slots=True)
class AlarmLimits:
    """When evidence is an alarm.

    `delta` is the chance of a false alarm, ever, of the martingale; `run_length` the average number
    of scores from one false alarm of Shiryaev-Roberts to the next, at least.

    Raises:
        ValueError: `delta` is not above 0 and below 1, or `run_length` not above 1 and finite.
    """

    delta: float = 0.01
    run_length: float = 1e9

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError(f"delta is {self.delta}; wanted a chance above 0 and below 1")
        if not 1 < self.run_length < math.inf:
            raise ValueError(f"run_length is {self.run_length}; wanted scores, more than 1")

    @property
    def log_martingale(self) -> float:
        """What the logarithm of the martingale must reach."""
        return -math.log(self.delta)

    @property
    def log_shiryaev_roberts(self) -> float:
        """What the logarithm of Shiryaev-Roberts must reach."""
        return math.log(self.run_length)


@dataclass(frozen=True, kw_only=True, slots=True)
class DriftEvidence:
    """What has been won after `steps` bets; see `log_martingale` and `log_shiryaev_roberts`.

    `log_playing` `(K,)` is the part of the martingale that is in play, by bet, and `log_peak` the
    most that the martingale has been. `log_restarting` `(K,)` is Shiryaev-Roberts by bet, and
    `alarms` how often it has reached its limit.
    """

    steps: int
    log_playing: Floats
    log_peak: float
    log_restarting: Floats
    alarms: int

    @property
    def log_martingale(self) -> float:
        """The logarithm of the martingale."""
        return float(np.logaddexp(_log_asleep(self.steps), np.logaddexp.reduce(self.log_playing)))

    @property
    def log_shiryaev_roberts(self) -> float:
        """The logarithm of the Shiryaev-Roberts statistic, minus infinity at its start."""
        return float(np.logaddexp.reduce(self.log_restarting))


def no_evidence(bets: int) -> DriftEvidence:
    """Return the state before the first of steps on `bets` bets each."""
    nothing = np.full(bets, -np.inf)
    return DriftEvidence(
        steps=0, log_playing=nothing, log_peak=0.0, log_restarting=nothing, alarms=0
    )


def advance(evidence: DriftEvidence, log_bets: Floats, limits: AlarmLimits) -> DriftEvidence:
    """Return the evidence after n >= 1 further steps, the same as one by one.

    What is left of the steps is computed anew after each alarm: give few at a time.

    Args:
        evidence: What there was.
        log_bets: Logarithms of what each bet multiplies a stake by, `(n, K)`. Each bet is 1 or
            less on average, given all before it, while the hypothesis is true.
        limits: When Shiryaev-Roberts starts over.
    """
    n, bets = log_bets.shape
    steps = evidence.steps + np.arange(1, n + 1)
    playing = compound(evidence.log_playing, log_bets, _log_woken(steps) - math.log(bets))
    log_martingale = np.logaddexp(_log_asleep(steps), log_sum(playing))
    restarting, alarms = _restarting(evidence.log_restarting, log_bets, limits)
    return replace(
        evidence,
        steps=evidence.steps + n,
        log_playing=playing[-1],
        log_peak=max(evidence.log_peak, float(log_martingale.max())),
        log_restarting=restarting,
        alarms=evidence.alarms + alarms,
    )


def _restarting(log_wealth: Floats, log_bets: Floats, limits: AlarmLimits) -> tuple[Floats, int]:
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


def _log_asleep(steps: int | NDArray[np.int64]) -> Floats:
    """Return the logarithm of what is not yet in play after n steps: 1 / (1 + log(1 + n)).

    It falls so slowly that a change after a million scores finds a fifteenth of the money unspent.
    """
    return np.asarray(-np.log1p(np.log1p(steps)))


def _log_woken(steps: NDArray[np.int64]) -> Floats:
    """Return the logarithms of what goes into play before the n-th step, for n >= 1."""
    # asleep(n-1) - asleep(n), without the cancellation.
    logarithm_grows_by = np.log1p(1 / steps)
    return np.asarray(np.log(logarithm_grows_by) + _log_asleep(steps - 1) + _log_asleep(steps))
