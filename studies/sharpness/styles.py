"""Names and colours of the networks and cures of the phase diagram, one for all of its figures."""

from common.plotting import COLOR

BAD, SCALED = "bad start", "scaled start"
NAMES = {
    "plain3_w0": BAD,
    "plain3_w50": "with warm-up",
    "plain3_clip": "with clipping",
    "plain1_w0": SCALED,
    "metainit1_w0": "MetaInit",
    "gated1_w0": "gated residual",
    "layernorm3_w0": "layer norm",
    "batchnorm3_w0": "batch norm",
}
"""By arm of the phase runs. Bad is three times the gain of He's start, from which clipping and the norms begin too."""
COLORS = {
    "plain3_w0": COLOR["constant"],
    "plain3_w50": COLOR["wsd"],
    "plain3_clip": COLOR["cyclic_cosine"],
    "plain1_w0": COLOR["linear"],
    "metainit1_w0": COLOR["infinite"],
    "gated1_w0": COLOR["rewarm"],
    "layernorm3_w0": COLOR["wsd_s"],
    "batchnorm3_w0": COLOR["cosine"],
}
