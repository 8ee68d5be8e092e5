"""The command line `oodguard-train`."""
