"""One kind of measurement a file; `table` lists the rows they make."""
