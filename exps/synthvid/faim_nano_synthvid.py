"""Second stage of the embedded FAIM-Nano: hard SynthVID at 256 pixels, on a CPU.

Its clips are not those of the first stage: on those the base detector is surer than it will be.
"""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(
    variant="nano",
    train_ann="data/synthvid_train_2/annotations.json",
    model={"test_size": (256, 256), "max_mask_rois": 6, "mask_levels": ("own",)},
    sizes=(256,),
    frame_stride=1,
    cache=True,
    cache_base=8.0,
    ckpt="runs/yolox_nano_synthvid/weights.safetensors",
    max_epochs=3,
    batch_size=2,
    optimizer="adamw",
    basic_lr_per_img=0.002 / 32,
    warmup_iters=50,
    grad_clip=5.0,
    ema_decay=0.998,
    ema_ramp=100,
    devices=1,
    accelerator="cpu",
    workers=0,
    log_every=20,
)
