"""L-infinity attacks that maximize an objective of a network's outputs.

Epsilons, the radii of the balls, and step sizes are in [0, 1] pixel units.
"""
