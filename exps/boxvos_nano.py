"""The box-to-mask network on YOLOX-Nano's backbone, for two CPU cores: SynthVID and DAVIS 2016.

F starts from the embedded weights, which saw synthetic video alone. A YOLOX checkpoint of COCO is
the better start, with F frozen as in the paper: `backbone_weights=yolox_nano.pth backbone_rate=0`.
"""

from faim.families.boxvos.experiment import BoxVosExperiment
from faim.weights import default_weights

exp = BoxVosExperiment(
    model={
        "backbone": "yolox_nano",
        "size": (192, 320),
        # Half the paper's stride at less than half its input: the grid is about the same.
        "stride": 8,
        "feature_dim": 64,
        "mask_dim": 32,
        "decoder_dims": (48, 48, 32, 16),
        "crop_factor": 3.0,
        "interval": 5,
    },
    augment={"crop": (2.2, 4.5), "hue": 0.02, "saturation": 0.3, "brightness": 0.3},
    train_ann=("data/synthvid/annotations.json", "data/davis_train/annotations.json"),
    data_weights=(1.0, 3.0),
    backbone_weights=str(default_weights()),
    backbone_rate=1.0,
    iterations_per_epoch=200,
    max_epochs=24,
    batch_size=2,
    loss="lovasz-hinge",
    learning_rate=1e-3,
    decay="cosine",
    warmup_iters=100,
    grad_clip=1.0,
    ema=True,
    ema_decay=0.995,
    ema_ramp=200,
    precision="bf16-mixed",
    accelerator="cpu",
    workers=1,
    cache=True,
)
