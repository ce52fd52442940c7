"""The box-to-mask network for two CPU cores: from scratch, on SynthVID and DAVIS 2016."""

from faim.masks.video.experiment import BoxVosExperiment

exp = BoxVosExperiment(
    model={
        "backbone": "resnet18",
        "size": (224, 384),
        "feature_dim": 128,
        "mask_dim": 32,
        "decoder_dim": 32,
    },
    augment={"crop": (3.0, 6.0), "hue": 0.02, "saturation": 0.3, "brightness": 0.3},
    train_ann=("data/synthvid/annotations.json", "data/davis_train/annotations.json"),
    data_weights=(1.0, 2.0),
    backbone_weights="random",
    backbone_rate=1.0,
    iterations_per_epoch=250,
    max_epochs=20,
    batch_size=4,
    learning_rate=1e-3,
    decay="cosine",
    warmup_iters=200,
    grad_clip=5.0,
    ema=True,
    ema_decay=0.998,
    ema_ramp=200,
    accelerator="cpu",
    workers=1,
)
