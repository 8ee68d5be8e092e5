"""What speaks HTTP around the application, and how it begins and ends."""
