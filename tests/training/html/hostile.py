"""A name that would run if it were not escaped."""

HOSTILE = '<script>alert("no")</script>'
