"""First stage of the embedded FAIM-Nano, part one: single clear frames, from random weights.

The class shows in fine texture alone, which a small network learns to see several times quicker
where nothing hides it.
"""

from faim.training.experiment import BaseExperiment

exp = BaseExperiment(
    variant="nano",
    train_ann="data/synthvid_easy/annotations.json",
    model={"test_size": (256, 256)},
    input_size=(256, 256),
    multiscale_range=0,
    frame_stride=1,
    cache=True,
    max_epochs=7,
    no_aug_epochs=0,
    batch_size=16,
    optimizer="adamw",
    basic_lr_per_img=0.004 / 16,
    warmup_iters=100,
    augment={"mosaic_prob": 0.0, "degrees": 0.0, "shear": 0.0, "translate": 0.0, "hsv_prob": 0.0},
    ema_ramp=300,
    ema_decay=0.998,
    channels_last=True,
    accelerator="cpu",
    devices=2,
    strategy="ddp",
    workers=0,
    log_every=50,
)
