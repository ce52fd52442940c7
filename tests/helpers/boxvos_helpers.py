"""A network small enough for tests."""

from faim.families.boxvos.checkpoint import make_box_vos
from faim.families.boxvos.config import BoxVosConfig

SMALL = {
    "backbone": "mobilenet_v3_large",
    "size": (64, 96),
    "stride": 8,
    "decoder_strides": (8, 4),
    "feature_dim": 8,
    "encoding_dim": 4,
    "mask_dim": 8,
    "decoder_dims": (8, 8),
}


def small_config(**changes):
    return BoxVosConfig(**{**SMALL, **changes})


def small_network(seed=0, **changes):
    return make_box_vos(small_config(**changes), seed).eval()
