"""Generate the reference tables in docs/ from the code: `python -m guide.references`."""
