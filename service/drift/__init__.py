"""Detect drift: test online whether traffic is still like the calibration images.

The false-alarm probability holds at every time simultaneously; docs/drift.md has the mathematics
and the measurements.
"""
