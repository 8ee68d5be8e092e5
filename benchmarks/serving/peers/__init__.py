"""Other servers of the same graph, each with its own app and environment."""
