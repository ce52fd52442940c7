"""First stage of the embedded FAIM-Nano, part two: hard clips, from the weights of part one."""

from faim.training.experiment import BaseExperiment

exp = BaseExperiment(
    variant="nano",
    train_ann="data/synthvid_train/annotations.json",
    model={"test_size": (256, 256)},
    input_size=(256, 256),
    multiscale_range=0,
    frame_stride=3,
    cache=True,
    ckpt="runs/yolox_nano_synthvid_easy/weights.safetensors",
    max_epochs=2,
    no_aug_epochs=0,
    batch_size=16,
    optimizer="adamw",
    basic_lr_per_img=0.002 / 16,
    warmup_iters=50,
    augment={"mosaic_prob": 0.0, "degrees": 0.0, "shear": 0.0, "translate": 0.0, "hsv_prob": 0.0},
    ema_ramp=200,
    ema_decay=0.998,
    channels_last=True,
    accelerator="cpu",
    devices=2,
    strategy="ddp",
    workers=0,
    log_every=50,
)
