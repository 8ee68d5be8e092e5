"""Who may ask: keys and their roles, limits on how often, and headers; put around the app."""
