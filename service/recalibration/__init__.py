"""Replace the calibration of a bundle: the same graph, new held-out images, a new version."""
