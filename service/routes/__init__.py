"""The HTTP routes, one router a file; `service.app` hands each what it needs."""
