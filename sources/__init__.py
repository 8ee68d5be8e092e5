"""Sources of images: list and decode folders, tables and hub data sets, without torch."""
