"""Sample rejected images: fraction, retention, asynchronous writes to a folder or S3."""
