"""Training, attacks, evaluation and export: everything that needs torch and happens before serving."""
