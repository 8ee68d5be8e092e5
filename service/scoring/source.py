"""List the pictures of a source: folders, patterns, pictures, tables, and objects of a bucket."""

import csv
import fnmatch
import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from oodguard.models.errors import RecipeError
from oodguard.models.names import text_of
from oodguard.service.s3_bucket import S3_SCHEME
from oodguard.service.scoring.name_list import NameListWriter
from oodguard.service.scoring.picture_source import PictureSource, Segment, abbreviated
from oodguard.service.scoring.places import Bucket, Files, Place
from oodguard.service.scoring.repeated_files import WILDCARDS, RepeatedFiles
from oodguard.sources.columns import choose_image_column
from oodguard.sources.endings import TABLE_ENDINGS, ending
from oodguard.sources.folders import walk
from oodguard.sources.listing import describe_skipped
from oodguard.sources.pictures import picture_endings
from oodguard.sources.special_file import is_special
from oodguard.sources.text_tables import stream_opened

TEXT_TABLES = frozenset(TABLE_ENDINGS - {".parquet", ".pq"}) | {".json"}

PARQUET_MAGIC = b"PAR1"


def list_pictures(
    arguments: Sequence[str], names: Path, *, image_column: str | None, max_bytes: int
) -> PictureSource:
    """List the pictures of a source, whose paths are written to the new file `names`.

    Args:
        arguments: Folders, patterns such as `photos/**/*.jpg`, pictures, tables (Parquet, CSV,
            JSON), or `s3://BUCKET/PREFIX`, also with a pattern.
        names: The new list of names, in the folder of the output, whose files are not read.
        image_column: The column of pictures in tables; by default chosen by type and name.
        max_bytes: The most bytes of a picture.

    Raises:
        RecipeError: A part of the source cannot be read, or there are no pictures.
    """
    with NameListWriter(names) as writer:
        files = RepeatedFiles(arguments, own=names.parent)
        lister = _Lister(writer, image_column, max_bytes, files)
        for argument in arguments:
            lister.add(argument)
    return lister.source(arguments, names)


class _Lister:
    def __init__(
        self,
        names: NameListWriter,
        image_column: str | None,
        max_bytes: int,
        repeated: RepeatedFiles,
    ) -> None:
        self._names = names
        self._repeated = repeated
        self._column = image_column
        self._max_bytes = max_bytes
        self._files = Files(max_bytes)
        self._segments: list[Segment] = []
        self._skipped: Counter[str] = Counter()
        self._digest = hashlib.sha256(repr(image_column).encode())

    def add(self, argument: str) -> None:
        if argument.startswith(S3_SCHEME):
            self._add_bucket(argument)
        elif WILDCARDS & set(argument) and not os.path.lexists(argument):
            found = sorted(glob.iglob(argument, recursive=True))  # noqa: PTH207 - as below
            if not found:
                raise RecipeError(f"{text_of(argument)}: found no files, expected at least 1")
            for each in found:
                if not os.path.isdir(each):  # noqa: PTH112 - many names
                    self._add_file(each)
        elif not os.path.lexists(argument):
            raise RecipeError(
                f"{text_of(argument)}: cannot read the data: the path does not exist, expected a"
                " folder, a table, a picture, a pattern or s3://BUCKET/PREFIX"
            )
        elif os.path.isdir(argument):  # noqa: PTH112 - as above
            self._add_folder(argument)
        else:
            self._add_file(argument, given=True)

    def source(self, arguments: Sequence[str], names: Path) -> PictureSource:
        source = PictureSource(
            arguments=tuple(text_of(each) for each in arguments),
            segments=tuple(self._segments),
            names=names,
            sha256=self._digest.hexdigest(),
            skipped=dict(self._skipped),
            repeated=self._repeated.count,
        )
        if not source.rows:
            skipped = f"; {describe_skipped(self._skipped)}" if self._skipped else ""
            raise RecipeError(
                f"{abbreviated(source.arguments)}: found no images, expected at least 1{skipped}"
            )
        return source

    def _add_folder(self, folder: str) -> None:
        """Add the pictures of a folder; its tables if it has no pictures."""
        tables: list[str] = []
        pictures = False
        try:
            for name in walk(Path(folder)):
                path = os.path.join(folder, name)  # noqa: PTH118 - many names
                if ending(name) in TABLE_ENDINGS:
                    tables += [] if self._repeated.is_own(path) else [path]
                else:
                    pictures = self._add_file(path) or pictures
            if pictures:
                self._skipped.update(ending(path) for path in tables)
            else:
                for path in tables:
                    self._add_file(path)
        except OSError as error:
            path = text_of(error.filename or folder)
            raise RecipeError(f"{path}: cannot read the data: {error.strerror}") from error

    def _add_file(self, path: str, *, given: bool = False) -> bool:
        """Add a table or a picture that is new; skip a file of another ending, unless it was given.

        Returns:
            Whether the file was not skipped.
        """
        if self._repeated.is_own(path):
            return False
        kind = ending(path)
        is_text_table = _is_text_table(kind, given=given)
        is_table = is_text_table or kind in TABLE_ENDINGS or (given and self._is_parquet(path))
        if not (is_table or given or kind in picture_endings()):
            self._skipped[kind or "without an ending"] += 1
            return False
        if not self._repeated.is_new(path):
            return True
        if is_table and is_special(Path(path)):
            raise RecipeError(f"{text_of(path)}: the path is a pipe or a device, expected a file")
        self._stamp_file(path)
        if is_text_table:
            self._add_text_table(path, None, self._files)
        elif is_table:
            self._add_parquet(path, None, self._files)
        else:
            self._add_name(path, bucket=None)
        return True

    def _is_parquet(self, path: str) -> bool:
        if is_special(Path(path)):
            return False
        with self._files.open(path) as file:
            return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC

    def _add_text_table(self, name: str, bucket: str | None, place: Place) -> None:
        location = _location(name, bucket)
        column: str | None = None
        first, rows = self._names.rows, 0
        try:
            with place.open(name) as opened:
                for row in stream_opened(opened, location):
                    if column is None and row:  # a row that is not valid is empty
                        schema = pa.schema([(text_of(each), pa.string()) for each in row])
                        column = choose_image_column(schema, self._column, location=location)
                    value = None if column is None else row.get(column)
                    is_path = isinstance(value, str) and value
                    self._names.add(place.resolve(name, str(value)) if is_path else None)
                    rows += 1
            if rows and column is None:
                choose_image_column(pa.schema([]), self._column, location=location)
        except (OSError, csv.Error) as error:
            reason = getattr(error, "strerror", None) or error
            raise RecipeError(f"{location}: cannot read the data: {reason}") from error
        segment = Segment(rows=rows, bucket=bucket, table=text_of(name), first=first)
        self._segments.append(segment)

    def _add_parquet(self, name: str, bucket: str | None, place: Place) -> None:
        location = _location(name, bucket)
        if text_of(name) != name:  # workers receive it as JSON
            raise RecipeError(
                f"{location}: the name is not UTF-8, expected UTF-8: rename the table"
            )
        try:
            with place.open(name) as opened, pq.ParquetFile(opened) as file:
                column = choose_image_column(file.schema_arrow, self._column, location=location)
                rows = file.metadata.num_rows
        except (OSError, ValueError, pa.ArrowException) as error:
            raise RecipeError(f"{location}: cannot read the data: {error}") from error
        self._segments.append(Segment(rows=rows, bucket=bucket, table=name, column=column))

    def _add_bucket(self, url: str) -> None:
        """Add the objects below a URL; its tables if they match a pattern, or without pictures."""
        root, pattern = _divide(url)
        tables: list[tuple[str, int, str]] = []
        pictures = 0
        for name, size, version in Bucket(root, self._max_bytes).list():
            if any(part.startswith(".") for part in name.split("/")):
                continue
            if pattern and not _matches(name, pattern):
                continue
            kind = ending(name)
            if kind in TABLE_ENDINGS or _is_text_table(kind, given=name == pattern):
                tables.append((name, size, version))
            elif kind in picture_endings() or name == pattern:
                pictures += 1
                if self._repeated.is_new(f"{root}/{name}"):
                    self._add_name(name, bucket=root)
                    self._stamp(f"{root}/{name}", size, version)
            else:
                self._skipped[kind or "without an ending"] += 1
        if pictures and not pattern:
            self._skipped.update(ending(name) for name, _, _ in tables)
            return
        # From the bucket itself: a table may name objects that are not below the URL.
        bucket_url = "/".join(root.split("/")[:3])
        bucket = Bucket(bucket_url, self._max_bytes)
        for name, size, version in tables:
            if not self._repeated.is_new(f"{root}/{name}"):
                continue
            self._stamp(f"{root}/{name}", size, version)
            key = f"{root}/{name}".removeprefix(f"{bucket_url}/")
            if ending(name) in TEXT_TABLES:
                self._add_text_table(key, bucket_url, bucket)
            else:
                self._add_parquet(key, bucket_url, bucket)

    def _add_name(self, name: str, bucket: str | None) -> None:
        self._names.add(name)
        last = self._segments[-1] if self._segments else None
        if last and last.table is None and last.bucket == bucket:
            self._segments[-1] = last.model_copy(update={"rows": last.rows + 1})
        else:
            segment = Segment(rows=1, bucket=bucket, first=self._names.rows - 1)
            self._segments.append(segment)

    def _stamp_file(self, path: str) -> None:
        try:
            status = os.stat(path)  # noqa: PTH116 - as above
            self._stamp(path, status.st_size, str(status.st_mtime_ns))
        except OSError:  # reading it states the reason
            self._stamp(path, -1, "")

    def _stamp(self, name: str, size: int, version: str) -> None:
        self._digest.update(f"{text_of(name)}\0{size}\0{version}\n".encode())


def _divide(url: str) -> tuple[str, str]:
    """Divide a URL into the URL of a prefix and the pattern, or the object, below it."""
    parts = url.rstrip("/").split("/")
    at = next((at for at, part in enumerate(parts) if WILDCARDS & set(part)), len(parts))
    if at == len(parts) and len(parts) > 3 and ending(parts[-1]) in _known_endings():
        at -= 1
    if at < 3 or not parts[2]:
        raise RecipeError(f"{text_of(url)}: expected s3://BUCKET or s3://BUCKET/PREFIX")
    return "/".join(parts[:at]), "/".join(parts[at:])


def _matches(name: str, pattern: str) -> bool:
    """Return whether an object matches a pattern, or has this name or prefix, such as `a[1]`."""
    is_below = name == pattern or name.startswith(f"{pattern}/")
    return is_below or fnmatch.fnmatchcase(name, pattern)


def _known_endings() -> frozenset[str]:
    return TABLE_ENDINGS | TEXT_TABLES | picture_endings()


def _is_text_table(kind: str, *, given: bool) -> bool:
    """Return whether a file of an ending is a CSV or JSON table; `.json` only if it was given."""
    return kind in TEXT_TABLES and (given or kind in TABLE_ENDINGS)


def _location(name: str, bucket: str | None) -> str:
    return text_of(name if bucket is None else f"{bucket}/{name}")


def describe(source: PictureSource) -> Iterator[str]:
    """Yield a line about the source, and one each about repeated and about skipped files."""
    yield f"{abbreviated(source.arguments)}: {source.rows:,} images"
    if source.repeated:
        yield f"files that several sources contain, each scored once: {source.repeated:,}"
    if source.skipped:
        yield describe_skipped(source.skipped)
    if TABLE_ENDINGS & set(source.skipped):
        kinds = " ".join(
            f"'FOLDER/**/*{each}'" for each in sorted(TABLE_ENDINGS & set(source.skipped))
        )
        yield f"tables next to pictures are not read: name them as sources, such as {kinds}"
