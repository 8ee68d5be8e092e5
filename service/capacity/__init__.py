"""CPUs and replicas for a rate of verdicts, from measured costs and a queueing model."""
