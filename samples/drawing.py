"""Vector drawing on a square canvas: smooth outlines, strokes and soft masks.

Coordinates are those of the film: x to the viewer's right, y down, (0, 0) in the centre, the film
from -1 to 1 on both axes. The canvas applies the pose to outlines, so nothing is resampled.
"""

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Layer = NDArray[np.float32]
Points = NDArray[np.float64]

_SHIFT = 4
"""Fractional bits of OpenCV's fixed-point coordinates."""
_FAR = 30_000.0
"""Pixels beyond which OpenCV's fixed-point coordinates would overflow."""
_CATMULL_ROM = 0.5 * np.array(
    [[0.0, 2.0, 0.0, 0.0], [-1.0, 0.0, 1.0, 0.0], [2.0, -5.0, 4.0, -1.0], [-1.0, 3.0, -3.0, 1.0]]
)


def _basis(steps: int) -> NDArray[np.float64]:
    t = np.arange(steps) / steps
    return np.stack([t**0, t, t**2, t**3], axis=1) @ _CATMULL_ROM  # (steps, 4)


_BASIS = _basis(6)
_TURN = np.linspace(0, 2 * np.pi, 24, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def curve(points: ArrayLike, *, closed: bool = False) -> Points:
    """Interpolate points by a Catmull-Rom spline.

    Args:
        points: (n, 2), n >= 2.
        closed: The last point joins the first.

    Returns:
        float64 (6 * pieces, 2), ending with the last point where open.
    """
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        ends = 2 * knots[:1] - knots[1:2], 2 * knots[-1:] - knots[-2:-1]
        padded = np.concatenate([ends[0], knots, ends[1]])
    pieces = np.stack([padded[:-3], padded[1:-2], padded[2:-1], padded[3:]], axis=1)  # (k, 4, 2)
    line: Points = (_BASIS @ pieces).reshape(-1, 2)
    return line if closed else np.concatenate([line, knots[-1:]])


def ribbon(line: Points, width: ArrayLike) -> Points:
    """Outline bands along lines, such as ribs.

    Args:
        line: (..., n, 2), the middle of each band.
        width: Full width, one number or one that broadcasts to (..., n).

    Returns:
        float64 (..., 2n, 2): one edge forwards, the other backwards.
    """
    along = np.empty_like(line)
    along[..., 1:-1, :] = line[..., 2:, :] - line[..., :-2, :]
    along[..., 0, :] = line[..., 1, :] - line[..., 0, :]
    along[..., -1, :] = line[..., -1, :] - line[..., -2, :]
    across = along[..., ::-1] * (-1.0, 1.0)
    across /= np.maximum(np.hypot(across[..., :1], across[..., 1:]), 1e-9)
    half = across * (np.asarray(width, dtype=np.float64)[..., None] / 2)
    return np.concatenate([line + half, (line - half)[..., ::-1, :]], axis=-2)


def ellipse(x: float, y: float, wide: float, tall: float) -> Points:
    """Outline an upright ellipse by its middle and half axes: float64 (24, 2)."""
    return _CIRCLE * (wide, tall) + (x, y)


def rounded(mask: Layer, radius: float) -> Layer:
    """Turn a flat shape into the thickness of a rounded body.

    Args:
        mask: float32 (S, S), 0 outside and 1 inside.
        radius: Depth in pixels from the edge to full thickness.

    Returns:
        float32 (S, S) in [0, 1]: a quarter circle from the edge inwards.
    """
    inside = (mask > 0.5).astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5) / np.float32(radius)
    rest = 1 - np.minimum(depth, 1)
    return np.asarray(np.sqrt(1 - rest * rest), np.float32)


class Canvas:
    """A square of pixels with a pose.

    Attributes:
        size: Side in pixels.
        unit: Pixels in one unit of length, zoom included.
    """

    def __init__(
        self,
        size: int,
        *,
        zoom: float = 1.0,
        tilt: float = 0.0,
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Set the pose.

        Args:
            size: Side in pixels.
            zoom: 1 lets the film run from -1 to 1.
            tilt: Degrees, clockwise.
            shift: Of the middle, in halves of the film.
        """
        self.size = size
        self.unit = zoom * size / 2
        turn = np.deg2rad(tilt)
        self._matrix = self.unit * np.array(
            [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        )
        self._middle = (np.asarray(shift) + 1) * size / 2 - 0.5

    def pixels(self, points: Points) -> NDArray[np.int32]:
        """Map points to OpenCV's fixed-point pixel coordinates."""
        placed = np.clip(points @ self._matrix + self._middle, -_FAR, _FAR)
        return np.asarray(np.rint(placed * 2**_SHIFT), np.int32)

    def fill(self, *outlines: Points, blur: float = 0.0) -> Layer:
        """Draw filled outlines; where they overlap they do not add up.

        Args:
            outlines: (n, 2) each.
            blur: Standard deviation of the edge, in units of length.

        Returns:
            float32 (S, S) in [0, 1].
        """
        image = np.zeros((self.size, self.size), np.uint8)
        if outlines:
            placed, start = self.pixels(np.concatenate(outlines)), 0
            # One call each: together, OpenCV would leave out where two outlines overlap.
            for outline in outlines:
                end = start + len(outline)
                cv2.fillPoly(image, [placed[start:end]], 255, cv2.LINE_AA, _SHIFT)
                start = end
        return self._finish(image, blur)

    def stroke(self, *strokes: tuple[Points, float], blur: float = 0.0) -> Layer:
        """Draw lines; those thinner than a pixel become faint instead.

        Args:
            strokes: Lines (..., n, 2) and their width in units of length; later ones cover.
            blur: As in `fill`.

        Returns:
            float32 (S, S) in [0, 1].
        """
        image = np.zeros((self.size, self.size), np.uint8)
        for points, width in strokes:
            ink = round(255 * min(1.0, width * self.unit))
            lines = self.pixels(points).reshape(-1, *points.shape[-2:])
            thickness = max(1, round(width * self.unit))
            cv2.polylines(image, list(lines), False, ink, thickness, cv2.LINE_AA, _SHIFT)
        return self._finish(image, blur)

    def soften(self, layer: Layer, blur: float) -> Layer:
        """Blur by a Gaussian of `blur` units of length; a wide one is done on a smaller copy."""
        sigma = blur * self.unit
        if sigma < 0.3:
            return layer
        factor = int(sigma // 3)
        if factor <= 1:
            return np.asarray(cv2.GaussianBlur(layer, (0, 0), sigma), np.float32)
        side = max(4, self.size // factor)
        small = cv2.resize(layer, (side, side), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma * side / self.size)
        whole = (self.size, self.size)
        return np.asarray(cv2.resize(small, whole, interpolation=cv2.INTER_CUBIC), np.float32)

    def grid(self, side: int) -> Points:
        """Give the coordinates of a coarse raster over the film: float64 (side, side, 2)."""
        steps = (np.arange(side) + 0.5) * self.size / side - 0.5
        x, y = np.meshgrid(steps, steps)
        placed: Points = (np.stack([x, y], axis=-1) - self._middle) @ np.linalg.inv(self._matrix)
        return placed

    def clouds(self, rng: np.random.Generator, grain: float) -> Layer:
        """Draw smooth noise whose spots are `grain` units wide: float32 (S, S), about N(0, 1)."""
        side = int(np.clip(round(self.size / (grain * self.unit)), 2, self.size)) + 3
        noise = rng.standard_normal((side, side), dtype=np.float32)
        whole = (self.size, self.size)
        return np.asarray(cv2.resize(noise, whole, interpolation=cv2.INTER_CUBIC) * 1.3, np.float32)

    def _finish(self, image: NDArray[np.uint8], blur: float) -> Layer:
        return self.soften(image.astype(np.float32) * np.float32(1 / 255), blur)
