#!/usr/bin/python3
"""record_demo.py: runs the demo in a terminal and writes docs/demo.svg, an animation of what it shows.

Run `./dev demo` first, which builds what the demo needs. This needs root and Debian's python3-pyte, which interprets
what a program writes to its terminal. Times are true, except that nothing stands still for longer than LONGEST_PAUSE.
"""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from xml.sax.saxutils import escape

import pyte

ROOT = Path(__file__).resolve().parent.parent
COLUMNS, ROWS = 120, 32
FRAME = 0.1  # seconds between two looks at the screen
LONGEST_PAUSE = 1.5
LAST_PAUSE = 6.0  # until it begins again

CHARACTER_WIDTH, LINE_HEIGHT, MARGIN = 8.4, 18, 14  # pixels
BACKGROUND, FOREGROUND = "#1e2127", "#d7dae0"
COLOURS = {
    "black": "#7f848e",
    "red": "#e06c75",
    "green": "#98c379",
    "brown": "#e5c07b",
    "blue": "#61afef",
    "magenta": "#c678dd",
    "cyan": "#56b6c2",
}


def record():
    """Runs the demo; what its screen showed, as a list of (seconds since the start, rows)."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    demo = subprocess.Popen(
        [ROOT / "tests/system/demo.py", ROOT / "build/nodes"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        env={**os.environ, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(inside)
    start, frames = time.monotonic(), [(0.0, rows_of(screen))]
    while read_for(FRAME, terminal, stream):
        if frames[-1][1] != (rows := rows_of(screen)):
            frames.append((time.monotonic() - start, rows))
    frames.append((time.monotonic() - start, rows_of(screen)))
    if demo.wait() != 0:
        sys.exit(f"record_demo: the demo ended with {demo.returncode}:\n" + "\n".join(screen.display))
    return frames


def read_for(seconds, terminal, stream):
    """Gives the stream what the terminal gets in this time; false once nobody has the terminal open."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([terminal], [], [], left)[0]:
            break
        try:
            stream.feed(os.read(terminal, 65536))
        except OSError:
            return False
    return True


def rows_of(screen):
    """The rows of the screen, each a tuple of (text, colour, whether it is bold)."""
    return [tuple(pieces_of(screen.buffer[number])) for number in range(ROWS)]


def pieces_of(row):
    text, style = "", None
    for column in range(COLUMNS):
        character = row[column]
        if (character.fg, character.bold) != style:
            if text:
                yield text, *style
            text, style = "", (character.fg, character.bold)
        text += character.data
    if text.strip():
        yield text.rstrip(), *style


def shorten_pauses(frames):
    time_before, shown_at, result = frames[0][0], 0.0, []
    for at, rows in frames:
        shown_at += min(at - time_before, LONGEST_PAUSE)
        time_before = at
        result.append((shown_at, rows))
    return result


def spans_of(frames, number):
    """How long each content of a row is shown, as (from, to, pieces); to is None until the end."""
    spans = []
    for at, rows in frames:
        if not spans or spans[-1][2] != rows[number]:
            if spans:
                spans[-1][1] = at
            spans.append([at, None, rows[number]])
    return [span for span in spans if span[2]]


def svg_of(frames):
    """The animation, with SMIL, which also runs in an <img>. Where nothing is animated, it shows the last frame."""
    duration = frames[-1][0] + LAST_PAUSE
    width, height = COLUMNS * CHARACTER_WIDTH + 2 * MARGIN, ROWS * LINE_HEIGHT + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14">'
    )
    yield "<title>The demo: three nodes are deployed twice, and refuse a key that they do not know</title>"
    yield f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}">'
    yield f'<animate id="run" attributeName="x" from="0" to="0" begin="0s;run.end" dur="{duration:.1f}s"/></rect>'
    for number in range(ROWS):
        y = MARGIN + (number + 1) * LINE_HEIGHT - 5
        for begin, end, pieces in spans_of(frames, number):
            texts = "".join(map(piece_as_svg, pieces))
            yield f'<text x="{MARGIN}" y="{y}" xml:space="preserve" fill="{FOREGROUND}"'
            if end is None:
                hidden = f'<set attributeName="visibility" to="hidden" begin="run.begin" dur="{begin:.1f}s"/>'
                yield f">{texts}{hidden if begin >= 0.05 else ''}</text>"
            else:
                shown = f'begin="run.begin+{begin:.1f}s" dur="{max(end - begin, 0.1):.1f}s"'
                yield f' visibility="hidden">{texts}<set attributeName="visibility" to="visible" {shown}/></text>'
    yield "</svg>"


def piece_as_svg(piece):
    text, colour, is_bold = piece
    attributes = f' fill="{COLOURS[colour]}"' if colour in COLOURS else ""
    attributes += ' font-weight="bold"' if is_bold else ""
    return f"<tspan{attributes}>{escape(text)}</tspan>" if attributes else escape(text)


def main():
    (ROOT / "docs/demo.svg").write_text("\n".join(svg_of(shorten_pauses(record()))) + "\n")


if __name__ == "__main__":
    main()
