"""OOD Guard: hardened image classifiers with calibrated out-of-distribution decisions."""
