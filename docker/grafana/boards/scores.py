"""Panels of the scores, the served bundles and the shadow model."""

from docker.grafana.boards.kinds import series, table
from docker.grafana.boards.panels import About, Panel
from docker.grafana.boards.queries import BY_MODEL, MODEL, VERSION, Query, or_none, quantile, rate

BY_SCORE = f"{BY_MODEL}, score"
LEGEND = f"{{{{score}}}} of {VERSION}"


def quantiles() -> Panel:
    """Quantiles of the scores, with the threshold."""
    about = About(
        title="Scores, against the threshold",
        text="A higher score is more out-of-distribution; an image above the threshold is "
        "rejected. Quantiles are interpolated between buckets, which are quantiles of the "
        "calibration scores.",
        runbooks=("OODGuardScoreShift", "OODGuardRejectionRate"),
    )
    return series(
        about,
        *[
            Query(quantile(q, "oodguard_score", MODEL, BY_SCORE), f"p{q * 100:.0f} {LEGEND}")
            for q in (0.5, 0.95)
        ],
        Query(
            f"max by ({BY_SCORE}) (oodguard_threshold{{{MODEL}}})",
            f"limit: threshold {LEGEND}",
        ),
        low=None,
    )


def buckets() -> Panel:
    """Cumulative distribution of the scores."""
    about = About(
        title="Share of scores at or below each calibration quantile",
        text="On in-distribution traffic the lines are at .01, .05, .1, .25, .5, .75, .9, .95, "
        ".99 and .999. One more line, at the threshold, is the accepted share. All lines "
        "lower: scores have risen.",
        unit="percentunit",
        runbooks=("OODGuardScoreShift",),
    )
    below = rate("oodguard_score_bucket", MODEL, f"{BY_SCORE}, le")
    total = rate("oodguard_score_count", MODEL, BY_SCORE)
    share = f"{below} / ignoring (le) group_left () {total}"
    return series(about, Query(share, f"≤ {{{{le}}}} {LEGEND}"))


def shift() -> Panel:
    """Change of the score distribution."""
    about = About(
        title="Change of the scores since an hour and a week ago",
        text="The largest difference between the distribution of the last hour and the earlier "
        "one: 0 is equal, 1 is disjoint. The alert uses the week.",
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
                # 0 until that long has passed.
                f" or max by ({BY_SCORE}) (0 * oodguard:score:cdf1h{{{MODEL}}})",
                f"since {ago} ago: {LEGEND}",
            )
            for ago in ("1h", "1w")
        ],
    )


def bundles() -> Panel:
    """Served bundles."""
    about = About(
        title="Served bundles",
        text="Each with the sha256 in its responses, and its execution provider.",
        runbooks=("OODGuardModelChanged", "OODGuardProviderChanged"),
    )
    served = f"max by ({BY_MODEL}, sha256, provider) (oodguard_bundle_info{{{MODEL}}})"
    return table(about, served, hidden=["Value"])


def agreement() -> Panel:
    """Agreement of a shadow model."""
    about = About(
        title="Share of images with another decision by the shadow model",
        text="Of the images that a shadow model predicted, the share whose decision differs "
        "from that of the served model.",
        unit="percentunit",
        runbooks=("OODGuardModelChanged",),
    )
    shadowed = "oodguard_shadow_images_total"
    different = rate(shadowed, f'{MODEL},agreement="different"', BY_MODEL)
    share = f"{different} / {rate(shadowed, MODEL, BY_MODEL)}"
    return series(about, Query(or_none(share, "model"), VERSION))
