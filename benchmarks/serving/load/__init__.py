"""Load that is lighter than the servers, with every answer counted by its status."""
