"""Second stage of the embedded FAIM-Nano: hard SynthVID at 256 pixels, on a CPU."""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(
    variant="nano",
    train_ann="data/synthvid_train/annotations.json",
    model={"test_size": (256, 256), "max_mask_rois": 12},
    sizes=(256,),
    frame_stride=1,
    cache=True,
    ckpt="runs/yolox_nano_synthvid/weights.safetensors",
    max_epochs=1,
    batch_size=2,
    optimizer="adamw",
    basic_lr_per_img=0.001 / 32,
    warmup_iters=50,
    grad_clip=5.0,
    ema_decay=0.998,
    ema_ramp=100,
    devices=2,
    strategy="ddp",
    accelerator="cpu",
    workers=1,
    log_every=20,
)
