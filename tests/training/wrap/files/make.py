"""Make the classifiers of scikit-learn in this folder.

    pip install skl2onnx==1.20.0 && python tests/training/wrap/files/make.py

They classify the 8x8 digits of `sklearn.datasets.load_digits`, scaled to 0 to 255, and were fitted
on the first 1,000. skl2onnx is needed only here.
"""

from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FITTED = 1000


def main() -> None:
    """Write both files."""
    images, labels = load_digits(return_X_y=True)
    images = np.rint(images / 16 * 255)
    models = {
        "digits_logistic.onnx": make_pipeline(StandardScaler(), LogisticRegression(C=0.01)),
        "digits_forest.onnx": RandomForestClassifier(4, max_depth=4, random_state=0),
    }
    for name, model in models.items():
        model.fit(images[:FITTED], labels[:FITTED])
        exported = to_onnx(model, images[:1].astype(np.float32))
        (Path(__file__).parent / name).write_bytes(exported.SerializeToString())


if __name__ == "__main__":
    main()
