"""L-infinity attacks in [0, 1] pixel space that maximize an objective of a network's outputs."""
