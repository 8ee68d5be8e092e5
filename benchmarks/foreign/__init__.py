"""Networks that were trained elsewhere: their files, their architectures, and the names in both."""
