"""The way of one request, whatever protocol it speaks."""
