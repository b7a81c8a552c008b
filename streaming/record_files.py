"""Records of a topic in a file, one JSON object a line, as ``kcat -C -J`` writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from session_rec.errors import DataError

_LINES = 4096  #: between two steps of the progress
_NAMES = {"timestamp": "ts", "name": "key", "text": "payload"}


class FiledRecord(msgspec.Struct, frozen=True, rename=_NAMES):
    """A line, with the names that kafka-python gives to a record.

    Attributes:
        topic, partition, offset: where it lay.
        timestamp: milliseconds since 1970-01-01 UTC.
        name, text: key and value as text; None for null.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    name: str | None = None
    text: str | None = None

    @property
    def key(self) -> bytes | None:
        """The key."""
        return None if self.name is None else self.name.encode()

    @property
    def value(self) -> bytes | None:
        """The value."""
        return None if self.text is None else self.text.encode()


class RecordFile:
    """The records in a file, those of a partition in offset order.

    Args:
        path: of the file.

    Attributes:
        records: its bytes: what :meth:`read` passes.

    Raises:
        DataError: it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():
            raise DataError(f"{path} is no file: write one with kcat -C -e -J -t TOPIC > {path}")
        self.records = path.stat().st_size

    def read(self, advance: Callable[[int], None] = lambda n: None) -> Iterator[FiledRecord]:
        """The records; tells how many bytes it passed.

        Raises:
            DataError: a line is no record, or comes before one that it stood behind.
        """
        decode = msgspec.json.Decoder(FiledRecord).decode
        last: dict[tuple[str, int], int] = {}
        passed = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    record = decode(line)
                except msgspec.DecodeError as e:
                    raise DataError(
                        f"{self._path}, line {number} is no record as kcat -J writes it: {e}"
                    ) from None
                source = record.topic, record.partition
                if record.offset <= last.get(source, -1):
                    raise DataError(
                        f"{self._path}, line {number}: offset {record.offset} of {record.topic}-"
                        f"{record.partition} comes after {last[source]}: sort the lines of each "
                        "partition by offset, each once"
                    )
                last[source] = record.offset
                passed += len(line)
                if number % _LINES == 0:
                    advance(passed)
                    passed = 0
                yield record
        advance(passed)
