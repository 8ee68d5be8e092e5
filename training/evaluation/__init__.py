"""Evaluate a run or a bundle, clean and under attack, and check that the attack works."""
