"""Request bodies to pixels: body, formats, image headers and decoding."""
