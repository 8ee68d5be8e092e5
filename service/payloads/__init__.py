"""Request bodies to images: one file for each way in which they arrive."""
