"""OpenTelemetry spans, where the standard variables ask for them; nothing is imported else."""
