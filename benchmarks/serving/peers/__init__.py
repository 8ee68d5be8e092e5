"""Other servers of the same graph, each an app of its own in an environment of its own."""
