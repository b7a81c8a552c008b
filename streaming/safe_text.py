"""Bytes from strangers as text that does nothing to a terminal."""

from __future__ import annotations

_BYTES_PER_LINE = 16


def safe_text(data: str | bytes) -> str:
    """One line: what does not print (control characters, escapes, marks of direction) is escaped.

    >>> safe_text(b"caf\\xc3\\xa9\\x1b[31m\\n")
    'café\\\\x1b[31m\\\\n'
    >>> safe_text(b"\\xff\\x00a")
    '\\\\xff\\\\x00a'
    """
    text = data.decode("utf-8", "surrogateescape") if isinstance(data, bytes) else data
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


def safe_block(data: bytes | None, most: int) -> list[str]:
    """Lines for a key or a value: text as it is, line by line; what is no UTF-8 as a hex dump.

    Args:
        data: the bytes, or None for a null.
        most: bytes to show.
    """
    if data is None:
        return ["null"]
    if not data:
        return ["empty"]
    shown = data[:most]
    try:
        # A cut may lie inside of a character.
        text = data.decode()[:most] if len(data) <= most else shown.decode("utf-8", "ignore")
        data.decode()
        lines = [safe_text(line) for line in text.split("\n")]
    except UnicodeDecodeError:
        lines = [_hex(shown, at) for at in range(0, len(shown), _BYTES_PER_LINE)]
    if len(shown) < len(data):
        lines.append(f"… {len(data) - len(shown)} more bytes")
    return lines


def _hex(data: bytes, at: int) -> str:
    row = data[at : at + _BYTES_PER_LINE]
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in row)
    return f"{at:08x}  {row.hex(' '):<{3 * _BYTES_PER_LINE - 1}}  {text}"


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
