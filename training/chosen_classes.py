"""Which classes of a source stay, by `leave_out` and `only`."""

from collections.abc import Iterable, Sequence

from models.errors import RecipeError
from training.sources import ClassKey, Source


def kept_classes(source: Source, classes: Sequence[str]) -> list[int]:
    """Return the indices of the classes that stay, ascending.

    Raises:
        RecipeError: a class that the data do not have.
    """
    every = range(len(classes))
    if source.only:
        chosen = _indices(source, "only", source.only, classes)
        return [index for index in every if index in chosen]
    dropped = _indices(source, "leave_out", source.leave_out, classes)
    return [index for index in every if index not in dropped]


def _indices(
    source: Source, option: str, keys: Iterable[ClassKey], classes: Sequence[str]
) -> set[int]:
    by_key: dict[ClassKey, int] = {name: index for index, name in enumerate(classes)}
    by_key |= {index: index for index in range(len(classes))}
    strange = [key for key in keys if key not in by_key]
    if strange:
        raise RecipeError(
            f"{source.name}: {option}: came {strange}, wanted names or indices of its classes,"
            f" {list(classes)}"
        )
    return {by_key[key] for key in keys}
