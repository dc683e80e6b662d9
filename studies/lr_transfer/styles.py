"""Names and colours of the parametrizations, one for all figures of the study."""

from common.plotting import COLOR

NAMES = {"sp": "SP", "ntp": "NTP", "mup": "μP", "sp_layerwise": "SP, rates by layer"}
COLORS = {"sp": "rewarm", "ntp": "cosine", "mup": "wsd", "sp_layerwise": "cyclic_cosine"}
"""Names in `common.plotting.COLOR`; sizes are shades of them, light for small and dark for large."""
SHADE = {name: COLOR[color] for name, color in COLORS.items()}
