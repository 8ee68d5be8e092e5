"""Load generators that use little CPU time and count every response by its status."""
