"""Sample predicted images: fraction, retention, asynchronous writes to a folder or S3."""
