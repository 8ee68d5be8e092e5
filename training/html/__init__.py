"""The report as one self-contained page: hand-made SVG, no script, nothing fetched."""
