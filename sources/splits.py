"""Recognize names of folders and files that hold parts of a data set rather than classes."""

import re

SPLITS = frozenset(
    {
        *("dev", "eval", "evaluation", "holdout", "test", "testing"),
        *("train", "training", "val", "valid", "validation"),
    }
)
"""Names of sub-folders that hold parts of a data set rather than classes."""

TRAINING = "train"

_NAMES = {"training": TRAINING, "testing": "test", "valid": "val", "validation": "val"}
_WORD = re.compile(r"([a-z]+?)(?:data|images|imgs|set)?(?![a-z])")


def split_of(name: str) -> str | None:
    """Return the split that a name such as `train2017`, `test_set` or `seg_val` names.

    None if it contains no word of `SPLITS`. Words of one meaning, such as `val` and `validation`,
    are one split.
    """
    words = (match.group(1) for match in _WORD.finditer(name.lower()))
    found = next((word for word in words if word in SPLITS), None)
    return None if found is None else _NAMES.get(found, found)
