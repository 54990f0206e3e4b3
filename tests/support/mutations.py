"""Seeded damage to bytes, tables and texts, and what a command may answer to it."""

import os
import zlib
from collections.abc import Callable, Sequence
from random import Random

from click.testing import CliRunner, Result

from balancer.cli import main

FACTOR = int(os.environ.get("BALANCER_FUZZ", "1"))
"""Multiple of the number of cases of a quick check; `make fuzz` sets it."""

FORESEEN = {0, 2, 3, 4, 5}
"""Exit codes of a command whose input is to blame, not the command itself."""

_TELLING = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x01", b"\x00" * 4, b"\xff" * 4)
CELLS = (
    *("", " ", "\x00", "\x1b[31m", "\u202e", "\ud7ff", "\ufeff", "NaN", "inf", "-1", "1e309"),
    *("9" * 40, "a" * 5000, "=cmd|' /C calc'!A0", "../../x.png", "/etc/passwd", "C:\\x", "a/b"),
    *(".", "'", '"', '"""', ",", ";", "\t", "\r", "\n", "a\nb", "COVID|Normal", "None", "null"),
    *("[]", "{}", "true", "2020-13-45", "\u0130", "e\u0301", "\U0001f600", "train", "%s", "{0}"),
    *("$HOME", "~", "0x10"),
)
"""Contents of a cell, or values of a setting, that programs stumble over."""

Damage = Callable[[bytes, Random], bytes]


def ask(*words: str) -> Result:
    """Run a command; fail unless its exit code is one of those that are foreseen."""
    done = CliRunner().invoke(main, list(words))
    said = f"balancer {words!r}: {done.exit_code}\n{done.stderr}"
    assert done.exit_code in FORESEEN, said
    assert "Traceback" not in done.output, said
    assert "Unforeseen" not in done.output, said
    # Of a refusal the last line is the one sentence, that of click for wrong usage too.
    assert done.exit_code == 0 or done.stderr.splitlines()[-1].startswith("Error: "), said
    return done


def damaged(content: bytes, random: Random) -> bytes:
    """Return bytes with one to four of the damages that disks, networks and enemies do."""
    data = bytearray(content)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data) + 1)
        length = random.choice((1, 2, 4, 16, 200))
        match random.randrange(6):
            case 0 if place < len(data):
                data[place] ^= 1 << random.randrange(8)
            case 1:
                value = random.choice(_TELLING)
                data[place : place + len(value)] = value
            case 2:
                del data[place : place + length]
            case 3:
                data[place:place] = random.randbytes(length)
            case 4:
                data[place:place] = data[place : place + length] * random.choice((1, 3, 50))
            case _ if random.random() < 0.3:
                del data[place:]
    return bytes(data)


def damaged_start(content: bytes, random: Random) -> bytes:
    """Return bytes with damage where the headers are."""
    length = min(len(content), 400)
    return damaged(content[:length], random) + content[length:]


def with_png_checksums(content: bytes) -> bytes:
    """Return a PNG whose chunks fit their checksums, so that more than these are tested."""
    data, place = bytearray(content), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(data)


def damaged_table(rows: Sequence[Sequence[str]], random: Random) -> bytes:
    """Return a table of comma-separated values with cells, columns, rows or bytes damaged.

    Args:
        rows: Cells of the header and of the rows.
        random: Source of what is damaged.
    """
    cells = [list(row) for row in rows]
    for _ in range(random.randint(1, 4)):
        row = random.choice(cells)
        match random.randrange(7):
            case 0 | 1 | 2 if row:
                row[random.randrange(len(row))] = random.choice(CELLS)
            case 3 if row:
                del row[random.randrange(len(row))]
            case 4:
                row.insert(random.randrange(len(row) + 1), random.choice((*CELLS, "path", "label")))
            case 5 if len(cells) > 1:
                cells.remove(row)
            case _:
                cells.insert(random.randrange(len(cells) + 1), list(row))
    comma = random.choice((",", ",", ",", ";", "\t", "|"))
    end = random.choice(("\n", "\n", "\r\n", "\r"))
    coding = random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"))
    text = end.join(comma.join(row) for row in cells) + random.choice(("", end))
    content = text.encode(coding, "replace")
    return damaged(content, random) if random.random() < 0.3 else content


def seeds(n_cases: int) -> range:
    """Return the seeds of the cases of a check: more with `BALANCER_FUZZ`."""
    return range(n_cases * FACTOR)


def damaged_text(text: str, random: Random, words: Sequence[str]) -> str:
    """Return a text in which lines or words were exchanged, doubled, moved or lost."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(lines)) if lines else 0
        match random.randrange(5):
            case 0 if lines:
                key, colon, _ = lines[place].partition(":")
                lines[place] = f"{key}{colon} {random.choice(words)}"
            case 1 if lines:
                del lines[place]
            case 2 if lines:
                lines.insert(random.randrange(len(lines)), lines[place])
            case 3 if lines:
                lines[place] = "  " * random.randint(0, 2) + lines[place].lstrip()
            case _:
                lines.insert(place, random.choice(words))
    return "\n".join(lines)
