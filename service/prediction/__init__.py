"""One prediction request from admission to response: limits, deadline, decoding, prediction."""
