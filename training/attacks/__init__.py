"""Attacks: L-infinity in [0, 1] pixel space, on whatever a network's logits are scored by."""
