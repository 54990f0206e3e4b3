"""The type of a film's pixels."""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Grey values, uint8 (H, W)."""
