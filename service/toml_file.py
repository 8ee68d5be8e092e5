"""Parse TOML in linear time and memory.

`tomllib` stores every prefix of a dotted key: one key with 32,000 parts takes 4 GB.
"""

import re
import tomllib
from typing import Any

# The files of the service have keys with at most three parts.
MAX_KEY_PARTS = 8

# A string or a comment ends at the end of its line or of the text if it is not closed, so that each
# character is read once. The closing quotes of a multi-line string may follow two more quotes.
_STRING_OR_COMMENT = re.compile(
    r'"""(?s:\\.?|[^\\])*?(?:"{3,5}|\Z)'
    r"|'''(?s:.)*?(?:'{3,5}|\Z)"
    r'|"(?:\\.|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|\#[^\n]*+"
)

_LONG_KEY = re.compile(
    rf"(?<![\w-])[\w-]++[ \t]*+(?:\.[ \t]*+[\w-]++[ \t]*+){{{MAX_KEY_PARTS}}}", re.ASCII
)


def parse_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: The text is not TOML, a key has more than 8 parts, or values are nested too
            deep.
    """
    # Quoted parts of keys count as well, comments do not.
    found = _LONG_KEY.search(_STRING_OR_COMMENT.sub(_placeholder, text))
    if found is not None:
        raise ValueError(
            f"the dotted key {found[0][:60]}... has more than {MAX_KEY_PARTS} parts, expected at"
            " most 3"
        )
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("arrays or tables are nested too deep") from error


def _placeholder(match: re.Match[str]) -> str:
    return "" if match[0].startswith("#") else "_"
