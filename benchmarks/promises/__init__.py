"""Check every promise of a policy over many draws of real calibration images."""
