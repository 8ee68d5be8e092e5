"""The run configuration: recipes and evaluation suites, as validated frozen data."""
