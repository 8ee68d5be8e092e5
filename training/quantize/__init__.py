"""INT8 bundles: quantize the graph of a float32 bundle, calibrate it again, compare the two."""
