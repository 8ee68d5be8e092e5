"""The HTTP API: routes, schemas, problems, middleware and the access log."""
