"""The learning rate over a run."""

import math


def rate(step: int, *, steps: int, peak: float, warm_up: float, final: float = 0.0) -> float:
    """Rate at `step` of `steps`: linear from near zero over the `warm_up` share, cosine to `final`.

    After Smith and Topin 2018, arXiv:1708.07120 (one cycle), without its momentum cycle.
    """
    rising = warm_up * steps
    if step < rising:
        return peak * (step + 1) / (rising + 1)
    progress = (step - rising) / max(steps - rising, 1)
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2
