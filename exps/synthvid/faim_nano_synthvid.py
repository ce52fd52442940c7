"""Second stage of the embedded FAIM-Nano: SynthVID at 256 pixels, on a CPU."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(
    variant="nano",
    train_ann="data/synthvid_train/annotations.json",
    model={"test_size": (256, 256)},
    sizes=(256,),
    frame_stride=1,
    cache=True,
    ckpt="runs/yolox_nano_synthvid/weights.safetensors",
    max_epochs=2,
    basic_lr_per_img=0.008 / 16,
    # From scratch the attention's gradients are steep at first.
    grad_clip=5.0,
    warmup_iters=200,
    ema_decay=0.998,
    ema_ramp=500,
    workers=1,
    log_every=50,
)
