"""Second stage of the embedded FAIM-Nano: hard SynthVID at 256 pixels, on a CPU.

Its clips are not those of the first stage: on those the base detector is surer than it will be.
The paper's but for what is ours: masks are learnt at each proposal's own level, of more and smaller
RoIs, and the instance attention learns which proposals show the same object.
"""

from faim.training.experiment import FaimExperiment

exp = FaimExperiment(
    variant="nano",
    train_ann="data/synthvid_train_2/annotations.json",
    model={
        "test_size": (256, 256),
        "train_frames": 8,
        "mask_levels": ("own",),
        "mask_roi_size": 14,
        "max_mask_rois": 32,
        "identity_weight": 0.3,
    },
    sizes=(256,),
    frame_stride=1,
    ckpt="runs/yolox_nano_synthvid/weights.safetensors",
    max_epochs=1,
    batch_size=2,
    optimizer="adamw",
    basic_lr_per_img=0.002 / 16,
    warmup_iters=50,
    grad_clip=5.0,
    ema_decay=0.998,
    ema_ramp=100,
    devices=1,
    accelerator="cpu",
    workers=0,
    log_every=20,
)
