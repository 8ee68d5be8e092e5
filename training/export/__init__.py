"""Export a finished and evaluated run as a bundle."""
