"""Names and colours of the networks and cures of the phase diagram, one for all of its figures."""

from common.plotting import PALETTE

NAMES = {
    "plain3_w0": "bad start",
    "plain3_w50": "with warm-up",
    "plain3_clip": "with clipping",
    "plain1_w0": "scaled start",
    "metainit1_w0": "MetaInit",
    "gated1_w0": "gated residual",
    "layernorm3_w0": "layer norm",
    "batchnorm3_w0": "batch norm",
}
"""By arm of the phase runs. The bad start has three times He's gain; clipping and the norms are applied to it."""
COLORS = {
    "plain3_w0": PALETTE["constant"],
    "plain3_w50": PALETTE["wsd"],
    "plain3_clip": PALETTE["cyclic_cosine"],
    "plain1_w0": PALETTE["linear"],
    "metainit1_w0": PALETTE["infinite"],
    "gated1_w0": PALETTE["rewarm"],
    "layernorm3_w0": PALETTE["wsd_s"],
    "batchnorm3_w0": PALETTE["cosine"],
}
