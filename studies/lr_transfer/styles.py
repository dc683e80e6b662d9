"""Names and colours of the parametrizations, one for all figures of the study."""

from collections.abc import Iterable
from typing import Any

from common.plotting import PALETTE, shades

NAMES = {"sp": "SP", "ntp": "NTP", "mup": "μP", "sp_layerwise": "SP per layer"}
COLORS = {"sp": "rewarm", "ntp": "cosine", "mup": "wsd", "sp_layerwise": "cyclic_cosine"}
"""Names in `common.plotting.PALETTE`; sizes are shades of them, light for small and dark for large."""
SHADE = {name: PALETTE[color] for name, color in COLORS.items()}


def tones(color: str, sizes: Iterable[float]) -> dict[float, Any]:
    """Shades of a colour of `common.plotting.PALETTE` by size, light for small and dark for large."""
    ordered = sorted(set(sizes))
    return dict(zip(ordered, shades(color, len(ordered)), strict=True))
