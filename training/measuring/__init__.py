"""What `evaluate` does: a guard's scores pushed through every budget, and what became of them."""
