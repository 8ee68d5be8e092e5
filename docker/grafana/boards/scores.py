"""Panels: the scores themselves, and the versions of a model side by side."""

from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import BY_MODEL, MODEL, WHOSE, Query, at_rest, quantile, rate
from docker.grafana.boards.series import series
from docker.grafana.boards.tables import table

BY_SCORE = f"{BY_MODEL}, score"
NAMED = f"{{{{score}}}} of {WHOSE}"


def quantiles() -> Panel:
    """Where scores lie, against the threshold."""
    about = About(
        title="Scores, against the threshold",
        text="Higher is more out-of-distribution; above the threshold is rejected. Quantiles are "
        "interpolated between buckets, which lie at the calibration's.",
        runbooks=("OODGuardScoreShift", "OODGuardRejectionRate"),
    )
    return series(
        about,
        *[
            Query(quantile(q, "oodguard_score", MODEL, BY_SCORE), f"p{q * 100:.0f} {NAMED}")
            for q in (0.5, 0.95)
        ],
        Query(f"max by ({BY_SCORE}) (oodguard_threshold{{{MODEL}}})", f"limit: threshold {NAMED}"),
        low=None,
    )


def buckets() -> Panel:
    """How many scores lie below each quantile of the calibration."""
    about = About(
        title="Share of scores at or below each of the calibration's quantiles",
        text="On input as calibrated the lines lie at .01, .05, .1, .25, .5, .75, .9, .95, "
        ".99 and .999; one more, at the threshold, is the share that is accepted. All lines "
        "lower: scores have risen.",
        unit="percentunit",
        runbooks=("OODGuardScoreShift",),
    )
    below = rate("oodguard_score_bucket", MODEL, f"{BY_SCORE}, le")
    all_of_them = rate("oodguard_score_count", MODEL, BY_SCORE)
    share = f"{below} / ignoring (le) group_left () {all_of_them}"
    return series(about, Query(share, f"≤ {{{{le}}}} {NAMED}"))


def shift() -> Panel:
    """How far the distribution has moved."""
    about = About(
        title="How far scores have moved since an hour and since a week ago",
        text="The largest difference between the distribution over the last hour and the one then: "
        "0 is none, 1 is all. The alert looks at the week.",
        unit="percentunit",
        runbooks=("OODGuardScoreShift",),
        warn=0.2,
    )
    return series(
        about,
        *[
            Query(
                f"max by ({BY_SCORE}) (abs(oodguard:score:cdf1h{{{MODEL}}}"
                f" - oodguard:score:cdf1h{{{MODEL}}} offset {ago}))"
                # There is nothing to differ from before that long has passed.
                f" or max by ({BY_SCORE}) (0 * oodguard:score:cdf1h{{{MODEL}}})",
                f"since {ago} ago: {NAMED}",
            )
            for ago in ("1h", "1w")
        ],
    )


def bundles() -> Panel:
    """What is served."""
    about = About(
        title="Bundles that are served",
        text="Each with the sha256 that its answers carry, and where it runs.",
        runbooks=("OODGuardModelChanged", "OODGuardProviderChanged"),
    )
    served = f"max by ({BY_MODEL}, sha256, provider) (oodguard_bundle_info{{{MODEL}}})"
    return table(about, served, hidden=["Value"])


def agreement() -> Panel:
    """What a shadow model would have decided."""
    about = About(
        title="Share of images that a shadow model decides otherwise",
        text="Of the images that a model judged in another one's shadow, those that it would have "
        "rejected while the other accepted, or the reverse.",
        unit="percentunit",
        runbooks=("OODGuardModelChanged",),
    )
    shadowed = "oodguard_shadow_images_total"
    different = rate(shadowed, f'{MODEL},agreement="different"', BY_MODEL)
    share = f"{different} / {rate(shadowed, MODEL, BY_MODEL)}"
    return series(about, Query(at_rest(share, "model"), WHOSE))
