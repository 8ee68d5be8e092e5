"""Training, attacks, evaluation and export: what needs torch and happens before serving."""
