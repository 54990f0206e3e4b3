"""Draw the whole idea as one figure: `python docs/idea.py > docs/idea.svg`."""

import sys
from html import escape

WIDTH, HEIGHT = 880, 330
INK, PALE, LINE = "#1f2937", "#f8fafc", "#94a3b8"
BLUE, GREEN, AMBER, RED = "#dbeafe", "#dcfce7", "#fef3c7", "#fee2e2"
ARMS = [
    ("real images alone", "", BLUE),
    ("cheaper remedies", "repeats, weights, augmentation", GREEN),
    ("GAN images", "until the ratio is 2:1", AMBER),
    ("controls", "noise, wrong labels, copies", RED),
]
WORDS = ["helps", "hurts", "equivalent", "inconclusive", "confounded"]


def box(x: int, y: int, width: int, height: int, fill: str, title: str, note: str = "") -> str:
    """Return a box with a title and a note below it."""
    centre, middle = x + width / 2, y + height / 2
    text = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{fill}"'
    text += f' stroke="{LINE}"/>'
    shift = -3 if note else 5
    text += f'<text x="{centre}" y="{middle + shift}" font-weight="600">{escape(title)}</text>'
    if note:
        text += f'<text x="{centre}" y="{middle + 14}" font-size="11.5">{escape(note)}</text>'
    return text


def arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return an arrow."""
    return f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{INK}" marker-end="url(#tip)"/>'


def figure() -> str:
    """Return the figure as SVG."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="14" text-anchor="middle" fill="{INK}">',
        "<title>Images are split by patient; arms are trained on the training images and tested "
        "once on the same real images; the answer is one word.</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        f'markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<rect x="12" y="12" width="{WIDTH - 24}" height="34" rx="8" fill="{INK}"/>',
        f'<text x="{WIDTH / 2}" y="34" fill="#ffffff">The question is registered before the first '
        "look at a test image</text>",
        box(12, 140, 138, 66, PALE, "your images", "one class is rare"),
        box(196, 90, 138, 50, PALE, "training", "GANs, classifiers"),
        box(196, 150, 138, 50, PALE, "validation", "thresholds"),
        box(196, 210, 138, 50, "#e5e7eb", "test", "real, read once"),
        '<text x="265" y="80" font-size="11.5">split by patient, again and again</text>',
        arrow(150, 173, 192, 115),
        arrow(150, 173, 192, 175),
        arrow(150, 173, 192, 235),
    ]
    for number, (title, note, fill) in enumerate(ARMS):
        y = 70 + 54 * number
        parts += [box(390, y, 206, 46, fill, title, note), arrow(334, 115, 386, y + 23)]
        parts.append(arrow(596, y + 23, 650, 175))
    parts += [
        box(654, 140, 82, 70, PALE, "compare", "in pairs"),
        f'<path d="M265 260 L265 306 L695 306 L695 214" fill="none" stroke="{INK}" '
        'marker-end="url(#tip)"/>',
        '<text x="480" y="299" font-size="11.5">the same test images for every arm; each read is '
        "noted</text>",
    ]
    for number, word in enumerate(WORDS):
        y = 82 + 38 * number
        parts += [box(758, y, 112, 30, PALE, word), arrow(736, 175, 755, y + 15)]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    sys.stdout.write(figure())
