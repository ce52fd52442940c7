"""First stage of the embedded FAIM-Nano: SynthVID at 256 pixels, from random weights, on a CPU."""

from faim.training.experiment import BaseExperiment

exp = BaseExperiment(
    variant="nano",
    train_ann="data/synthvid_train/annotations.json",
    model={"test_size": (256, 256)},
    input_size=(256, 256),
    multiscale_range=0,
    frame_stride=2,
    cache=True,
    max_epochs=5,
    no_aug_epochs=1,
    batch_size=8,
    basic_lr_per_img=0.012 / 8,
    warmup_iters=200,
    augment={"mosaic_prob": 0.3, "mosaic_scale": (0.7, 1.3), "degrees": 0.0, "shear": 0.0},
    ema_ramp=300,
    ema_decay=0.998,
    channels_last=True,
    workers=1,
    log_every=50,
)
