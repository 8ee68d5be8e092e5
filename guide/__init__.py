"""The documentation as a site: `python -m guide` builds it from Markdown (`make docs`)."""
