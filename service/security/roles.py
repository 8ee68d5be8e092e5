"""What a key may be for."""

from typing import Literal, TypeAlias

Role: TypeAlias = Literal["predict", "metrics", "admin"]
