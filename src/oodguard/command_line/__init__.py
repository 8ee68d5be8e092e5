"""Shared parts of `oodguard` and `oodguard-train`: errors, exit codes, output, progress."""
