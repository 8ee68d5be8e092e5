"""Training: the epochs of a run, its checkpoints, validation and rollback."""
