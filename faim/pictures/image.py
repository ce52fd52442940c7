"""What a picture in memory is."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: (h, w, 3) uint8, in the order blue, green, red unless something else is said.
Image: TypeAlias = NDArray[np.uint8]
#: (h, w) bool.
Mask: TypeAlias = NDArray[np.bool_]
