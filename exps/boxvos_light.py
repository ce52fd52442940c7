"""The box-to-mask network for two CPU cores: from scratch, on SynthVID and DAVIS 2016."""

from faim.families.boxvos.experiment import BoxVosExperiment

exp = BoxVosExperiment(
    model={
        "backbone": "resnet18",
        "size": (192, 320),
        # Half the paper's stride at less than half its input: the grid is about the same.
        "stride": 8,
        "decoder_strides": (16, 8, 4),
        "feature_dim": 64,
        "mask_dim": 32,
        "decoder_dims": (48, 32, 16),
        "crop_factor": 3.0,
        "interval": 5,
    },
    augment={"crop": (2.2, 4.5), "hue": 0.02, "saturation": 0.3, "brightness": 0.3},
    train_ann=("data/synthvid/annotations.json", "data/davis_train/annotations.json"),
    data_weights=(1.0, 3.0),
    backbone_weights="random",
    backbone_rate=1.0,
    iterations_per_epoch=200,
    max_epochs=12,
    batch_size=2,
    loss="lovasz-hinge",
    learning_rate=1e-3,
    decay="cosine",
    warmup_iters=100,
    grad_clip=1.0,
    precision="bf16-mixed",
    accelerator="cpu",
    workers=1,
    cache=True,
)
