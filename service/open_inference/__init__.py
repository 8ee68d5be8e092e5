"""Open inference."""
