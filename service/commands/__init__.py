"""What the command line does and says."""
