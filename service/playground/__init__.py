"""The playground: a page at GET / on which a person tries images, and the routes that it uses."""
