"""Tell whether text can be handed to DuckDB as it is, and write a copy without the lines that cannot.

One fault (a byte that is no UTF-8, a line of 16 MB, two kinds of line ends) makes DuckDB's CSV reader refuse or misread a whole
file. A faulty file is copied as UTF-8 with LF; lines that do not fit are taken out and told, so every line is accounted for.
A physical line ends at LF, CRLF or a lone CR.
"""

import codecs
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from jobs.errors import ConfigError, InputDataError

MAX_KEPT_BYTES = 1_000_000
_SEPARATOR = b"\x1f"  # where the loader's own reader would split a line
# Removed lines are held in memory; a file that is wrong throughout must end with a message before the memory does.
_MAX_REMOVED_BYTES = 512_000_000
_LINE_OVERHEAD_BYTES = 100

_PIECE_LENGTH = 1 << 14  # of text that is written at once where a fault is near

_CR, _LF = ord("\r"), ord("\n")
_BLANK_BYTES = b" \t\r"
_BLANK_LINE = re.compile(rb"\n[ \t\r]*\n")
_BLANK_START = re.compile(rb"[ \t\r]*")
# Bytes that no character came from are carried through the text as these code points, which no valid text holds.
_MARK = 0xDC00
_MARKED = re.compile("[\udc00-\udcff\0]")
_MARKING = "personalake.mark"
_BOMS = (  # the longer first: UTF-32's begins like UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BOM_BYTES = 4


@dataclass(frozen=True, slots=True)
class RemovedLine:
    r"""A physical line that the copy lacks.

    Attributes:
        line_number: its number in the original, from 1.
        reason_code: `bad_encoding`, `too_large`, or empty for a blank line (no record and no fault).
        text: what can be shown of it, at most `MAX_KEPT_BYTES`: bytes that are no character, and NUL, as `\xNN`.
    """

    line_number: int
    reason_code: str
    text: str


def choose_encoding(encoding: str, head: bytes) -> str:
    """Give the codec of a text that begins with `head`: its byte order mark's, else the declared one.

    Raises:
        ConfigError: there is no such encoding.
    """
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name
    try:
        name = codecs.lookup(encoding).name
        b"text".decode(name, "replace")  # codecs such as base64 are none of text
    except (LookupError, UnicodeError) as err:
        raise ConfigError(
            f"encoding: {encoding} is not one; write utf-8, latin-1, cp1252 or utf-16, say"
        ) from err
    return "utf-8" if name in {"ascii", "utf-8-sig"} else name


class CleanText:
    """Looks at a UTF-8 text chunk by chunk; `take` and `finish` tell whether DuckDB can read it as it is."""

    def __init__(self, *, drop_blank_lines: bool, max_line_bytes: int) -> None:
        self._drop_blank_lines = drop_blank_lines
        self._max_line_bytes = max_line_bytes
        self._is_first = True
        self._head = b""  # what may be the begin of a byte order mark
        self._partial = b""  # the begin of a character that the next chunk ends
        self._open_bytes = 0  # of the line that the next chunk goes on with
        self._is_open_blank = True
        self._ends_with_cr = False
        self._has_lf = False
        self._has_crlf = False

    def take(self, chunk: bytes) -> bool:
        """Look at the next bytes; False once there is a fault (the rest need not be shown)."""
        if self._is_first:
            self._head += chunk
            if codecs.BOM_UTF8.startswith(self._head):
                return True
            self._is_first = False
            chunk = self._head.removeprefix(codecs.BOM_UTF8)
        if not chunk:
            return True
        return (
            b"\0" not in chunk
            and _SEPARATOR not in chunk
            and self._is_utf8(chunk)
            and self._has_one_line_end(chunk)
            and self._has_no_blank_line(chunk)
            and self._has_short_lines(chunk)
        )

    def finish(self) -> bool:
        """True when the end is whole, too."""
        if self._is_first:
            return self._head in (b"", codecs.BOM_UTF8)
        is_last_blank = self._drop_blank_lines and self._is_open_blank and self._open_bytes > 0
        return not self._partial and not self._ends_with_cr and not is_last_blank

    def _is_utf8(self, chunk: bytes) -> bool:
        if not self._partial and chunk.isascii():
            return True
        begin = 0
        if self._partial:
            begin = _count_bytes(self._partial[0]) - len(self._partial)
            self._partial += chunk[:begin]
            if begin > len(chunk):
                return True
            if not _is_utf8(self._partial):
                return False
        end = len(chunk) - _count_partial(chunk)
        self._partial = chunk[max(begin, end) :]
        return _is_utf8(memoryview(chunk)[begin:end])

    def _has_one_line_end(self, chunk: bytes) -> bool:
        """True while all lines end with LF, or all with CRLF."""
        if b"\r" not in chunk and not self._ends_with_cr:
            self._has_lf = self._has_lf or b"\n" in chunk
            return not (self._has_lf and self._has_crlf)
        codes = np.frombuffer(chunk, np.uint8)
        is_cr, is_lf = codes == _CR, codes == _LF
        is_paired = np.array_equal(is_cr[:-1], is_lf[1:]) and bool(is_lf[0]) == self._ends_with_cr
        self._ends_with_cr = bool(is_cr[-1])
        self._has_crlf = True
        return is_paired and not self._has_lf

    def _has_no_blank_line(self, chunk: bytes) -> bool:
        if not self._drop_blank_lines:
            return True
        if self._is_open_blank:
            begin = _BLANK_START.match(chunk)
            end = begin.end() if begin else 0
            if end == len(chunk):
                return True
            if chunk[end] == _LF:
                return False
        if _BLANK_LINE.search(chunk):
            return False
        last = chunk.rfind(b"\n")
        self._is_open_blank = last >= 0 and not chunk[last + 1 :].strip(_BLANK_BYTES)
        return True

    def _has_short_lines(self, chunk: bytes) -> bool:
        first = chunk.find(b"\n")
        if first < 0:
            self._open_bytes += len(chunk)
            return self._open_bytes <= self._max_line_bytes
        if self._open_bytes + first > self._max_line_bytes:
            return False
        last = chunk.rfind(b"\n")
        self._open_bytes = len(chunk) - last - 1
        if last - first > self._max_line_bytes:
            longest = max(map(len, chunk[first + 1 : last].split(b"\n")))
            return longest <= self._max_line_bytes >= self._open_bytes
        return self._open_bytes <= self._max_line_bytes


def _count_bytes(first: int) -> int:
    """How many bytes a UTF-8 character has that begins so."""
    return 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def _count_partial(data: bytes) -> int:
    """How many of the last bytes begin a UTF-8 character that they do not end."""
    for count in range(1, min(3, len(data)) + 1):
        byte = data[-count]
        if byte >= 0xC0:
            return count if count < _count_bytes(byte) else 0
        if byte < 0x80:
            return 0
    return 0


def _is_utf8(data: bytes | memoryview) -> bool:
    # Arrow checks what is not ASCII twice to seven times as fast as Python decodes it.
    import pyarrow as pa

    offsets = pa.py_buffer(struct.pack("=ii", 0, len(data)))
    try:
        pa.StringArray.from_buffers(1, offsets, pa.py_buffer(data)).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _mark(err: UnicodeError) -> tuple[str, int]:
    if not isinstance(err, UnicodeDecodeError):
        raise err
    bad = err.object[err.start : err.end]
    # Where a unit is a byte, a line end that a fault swallowed stays one, or two lines would become one.
    kept = set() if err.encoding.startswith(("utf-16", "utf-32", "utf16", "utf32")) else {_CR, _LF}
    return "".join(chr(byte if byte in kept else _MARK + byte) for byte in bad), err.end


codecs.register_error(_MARKING, _mark)


def _show(text: str) -> str:
    """What can be kept of a line that is removed."""
    shown = _MARKED.sub(lambda mark: f"\\x{ord(mark[0]) & 0xFF:02x}", text[:MAX_KEPT_BYTES])
    return shown.encode("utf-8", "replace")[:MAX_KEPT_BYTES].decode("utf-8", "ignore")


class CleanCopy:
    """Writes a text as UTF-8 with LF, without the lines that do not fit; `removed` tells these."""

    def __init__(
        self,
        target: BinaryIO,
        *,
        name: str,
        encoding: str,
        drop_blank_lines: bool,
        max_line_bytes: int,
    ) -> None:
        self.removed: list[RemovedLine] = []
        self._target = target
        self._name = name
        self._encoding = encoding
        self._drop_blank_lines = drop_blank_lines
        self._max_line_bytes = max_line_bytes
        self._line_number = 0  # of the last line that is done with
        self._open: list[str] = []  # pieces of the line that the next text goes on with
        self._open_length = 0
        self._removed_bytes = 0

    def write(self, chunks: Iterable[bytes]) -> None:
        """Copy all of a text.

        Raises:
            InputDataError: more lines are removed than the memory should hold.
        """
        for text in self._decode(chunks):
            body, line_end, rest = text.rpartition("\n")
            if line_end:
                self._open.append(body)
                self._write_lines("".join(self._open))
                self._open, self._open_length = [], 0
            self._grow(rest)
        if self._open_length:
            self._write_lines("".join(self._open))

    def _decode(self, chunks: Iterable[bytes]) -> Iterator[str]:
        """The text with LF as its only line end, piece by piece."""
        # Python's own handler marks alike and faster, but only bytes above 127, of which UTF-8's faults consist.
        errors = "surrogateescape" if self._encoding == "utf-8" else _MARKING
        decoder = codecs.getincrementaldecoder(self._encoding)(errors)
        is_first = True
        held = ""
        for chunk in chunks:
            text = held + decoder.decode(chunk)
            if not text:
                continue
            if is_first:
                text = text.removeprefix("\ufeff")
                is_first = False
            held = "\r" if text.endswith("\r") else ""  # half of a CRLF, perhaps
            yield _with_lf(text.removesuffix("\r"))
        yield _with_lf(held + decoder.decode(b"", final=True))

    def _grow(self, piece: str) -> None:
        """Go on with the open line; of one that is too large, only what will be shown is kept."""
        limit = max(self._max_line_bytes, MAX_KEPT_BYTES) + 1
        piece = piece[: limit - self._open_length]
        if piece:
            self._open.append(piece)
            self._open_length += len(piece)

    def _write_lines(self, text: str) -> None:
        """Write whole lines, divided by LF: all at once, else piece by piece, else line by line."""
        if self._write_fitting(text):
            return
        begin = 0
        while begin <= len(text):
            end = text.find("\n", begin + _PIECE_LENGTH)
            end = len(text) if end < 0 else end
            piece = text[begin:end]
            begin = end + 1
            if self._write_fitting(piece):
                continue
            for line in piece.split("\n"):
                if not self._write_fitting(line):
                    self._remove(line)

    def _write_fitting(self, text: str) -> bool:
        """Write lines that all fit; False, with nothing written, when one does not."""
        if "\0" in text or _SEPARATOR.decode() in text:
            return False
        try:
            data = f"\n{text}\n".encode()
        except UnicodeEncodeError:  # a mark
            return False
        if self._drop_blank_lines and _BLANK_LINE.search(data):
            return False
        if len(data) - 2 > self._max_line_bytes:
            longest = max(map(len, data.split(b"\n")))
            if longest > self._max_line_bytes:
                return False
        self._target.write(data[1:])
        self._line_number += text.count("\n") + 1
        return True

    def _remove(self, line: str) -> None:
        self._line_number += 1
        if len(line.encode("utf-8", "replace")) > self._max_line_bytes:
            removed = RemovedLine(self._line_number, "too_large", _show(line))
        elif not line.strip(" \t"):
            removed = RemovedLine(self._line_number, "", "")
        else:
            removed = RemovedLine(self._line_number, "bad_encoding", _show(line))
        self._removed_bytes += len(removed.text) + _LINE_OVERHEAD_BYTES
        if self._removed_bytes > _MAX_REMOVED_BYTES:
            raise InputDataError(
                f"reading {self._name}: {len(self.removed) + 1} of the first {self._line_number} lines are blank, too long or "
                f"not valid {self._encoding}; check the file, and the encoding that its source declares"
            )
        self.removed.append(removed)


def _with_lf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
