"""What is set for the process and its threads: memory, processors, priorities."""
