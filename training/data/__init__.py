"""Images of a run: data sets, augmentation and outliers."""
