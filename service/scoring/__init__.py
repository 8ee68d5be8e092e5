"""Score many pictures without a server: a batch to columns, a source to Parquet shards."""
