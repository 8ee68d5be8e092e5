"""Is the traffic still what the model was calibrated on? Answers that hold however long one asks.

docs/drift.md has the mathematics and what was measured.
"""
