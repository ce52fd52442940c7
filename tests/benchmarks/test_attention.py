"""benchmarks/attention.py: hand-made attention, and a run on generated video."""

import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import attention
from faim.data.coco_vid import Annotation, CocoVid, FrameRecord, VideoRecord
from faim.data.synth import generate
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.faim import build_model
from faim.weights import default_weights
from studies.attention import figures as figuring
from studies.attention import keys, references
from studies.attention import sheet as sheets

CAT, DOG = 0, 1
#: Boxes of 10 x 10, which overlap nothing else.
A, B, C, NOWHERE = (0, 0, 10, 10), (20, 0, 30, 10), (40, 0, 50, 10), (80, 0, 90, 10)
#: IoU with A: 2 / 3 and 3 / 7.
MOST_OF_A, PART_OF_A = (2, 0, 12, 10), (4, 0, 14, 10)


def frame(place, *objects, degradation=None):
    annotations = tuple(Annotation(box, label, instance) for box, label, instance in objects)
    return FrameRecord(place, Path(f"{place}.png"), 100, 50, place, annotations, degradation)


def three_frames():
    """A cat (1) and another (2) and a dog (3); the second frame lacks the first cat."""
    return [
        frame(0, (A, CAT, 1), (B, CAT, 2)),
        frame(1, (B, CAT, 2)),
        frame(2, (A, CAT, 1), (B, CAT, 2), (C, DOG, 3)),
    ]


#: Of two frames beside the key frame, three proposals each; the last of frame 1 is padding.
BOXES = [
    [MOST_OF_A, A, B],
    [B, NOWHERE, A],
    [MOST_OF_A, PART_OF_A, C],
]
#: What the second proposal of frame 0 (exactly A) takes.
ROW = [0.1, 0.1, 0.1, 0.2, 0.05, 0.0, 0.25, 0.0, 0.2]


def scene(row=ROW, frames=None):
    weights = torch.zeros(9, 9)
    weights[1] = torch.tensor(row)
    valid = torch.ones(3, 3, dtype=torch.bool)
    valid[1, 2] = False
    boxes = torch.tensor(BOXES, dtype=torch.float32)
    return references.Scene([4, 7, 9], frames or three_frames(), boxes, valid, {"first": weights})


def key(annotation=0, place=4, video_id=1):
    frames = three_frames()
    video = VideoRecord(video_id, "v", tuple(frames[0] for _ in range(5)))
    return keys.Key(video, place, frames[0].annotations[annotation])


def test_known_attention():
    view = scene().views(key(), 6)["first"]
    assert view.box == A
    found = [(r.place, r.kind, round(r.weight, 6), round(r.iou, 6)) for r in view.top]
    # The frame's own proposals, padding and what weighs nothing are left out.
    assert found == [
        (9, references.SAME, 0.25, 0.666667),
        (7, references.SAME_CLASS, 0.2, 1),
        (9, references.OTHER_CLASS, 0.2, 1),
        (7, references.BACKGROUND, 0.05, 0),
    ]
    assert view.top[0].box == MOST_OF_A
    assert view.elsewhere == pytest.approx(0.7)
    assert view.mass.tolist() == pytest.approx([25 / 70, 20 / 70, 20 / 70, 0, 5 / 70])
    assert view.pool.tolist() == pytest.approx([0.2] * 5)
    assert view.top_shares.tolist() == [0.25, 0.25, 0.25, 0, 0.25]
    assert len(scene().views(key(), 2)["first"].top) == 2


def test_a_part_is_told_from_background():
    row = [0.0] * 7 + [1.0, 0.0]
    [part] = scene(row).views(key(), 6)["first"].top
    assert (part.kind, part.place) == (references.PART, 9)
    assert part.iou == pytest.approx(3 / 7)


def test_the_key_object_comes_first_where_objects_overlap():
    """A box that overlaps another object more is the key's from IoU 0.5 on."""
    frames = three_frames()
    frames[2] = frame(2, (A, CAT, 1), (MOST_OF_A, DOG, 3))
    top = scene(frames=frames).views(key(), 1)["first"].top[0]
    assert (top.kind, round(top.iou, 6)) == (references.SAME, 0.666667)


def test_an_object_without_proposal_and_a_proposal_without_references():
    frames = three_frames()
    assert scene().views(replace_box(key(), (60, 20, 70, 30)), 6) is None
    view = scene([0.5, 0.5, 0, 0, 0, 0, 0, 0, 0]).views(key(), 6)["first"]
    assert view.top == ()
    assert view.mass.isnan().all()
    assert view.top_shares.isnan().all()
    frames[1] = frame(1)
    empty = scene(frames=frames).views(key(), 6)["first"]
    assert [r.kind for r in empty.top if r.place == 7] == [references.BACKGROUND] * 2


def replace_box(made, box):
    return replace(made, annotation=replace(made.annotation, box=box))


def view_of(kinds, mass, elsewhere=0.5, iou=0.8):
    top = tuple(references.Reference(0, A, 0.1, kind, iou) for kind in kinds)
    return references.View(A, top, torch.tensor(mass).double(), torch.full((5,), 0.2), elsewhere)


def test_figures_are_means_over_key_proposals():
    nothing = view_of([], [math.nan] * 5, elsewhere=0.0)
    found = figuring.figures(
        [
            view_of([0, 0, 4, 4], [0.5, 0.5, 0, 0, 0]),
            view_of([0, 1], [1.0, 0, 0, 0, 0], iou=0.6),
            nothing,
        ]
    )
    assert found["top"] == {
        "same object": 50, "same class": 25, "other class": 0, "part": 0, "background": 25
    }  # fmt: skip
    assert found["mass"]["same object"] == 75
    assert found["pool"]["part"] == pytest.approx(20)
    assert found["iou"] == pytest.approx((4 * 0.8 + 2 * 0.6) / 6)
    assert found["iou_same"] == pytest.approx((2 * 0.8 + 0.6) / 3)
    assert found["elsewhere"] == pytest.approx(100 / 3)
    assert found["without"] == 1
    bare = figuring.figures([nothing])
    assert bare["top"]["same object"] is bare["iou"] is None


def test_difference_is_paired_by_video():
    made = [key(video_id=number) for number in (1, 1, 2)]
    first = [view_of([0, 4], [0.5, 0.5, 0, 0, 0])] * 3
    second = [
        view_of([0, 0], [0.6, 0.4, 0, 0, 0]),
        view_of([0, 4], [0.7, 0.3, 0, 0, 0]),
        view_of([4, 4], [0.5, 0.5, 0, 0, 0]),
    ]
    found = figuring.difference(made, first, second)
    # Videos: +25 and -50 of the top, +15 and 0 of the weight.
    assert found["top"]["mean"] == pytest.approx(-12.5)
    assert found["top"]["standard_error"] == pytest.approx(37.5)
    assert found["mass"]["mean"] == pytest.approx(7.5)
    assert found["mass"]["standard_error"] == pytest.approx(7.5)
    assert figuring.difference(made[:2], first[:2], second[:2])["top"]["standard_error"] is None


class Data:
    annotation_file = Path("ann.json")

    def __init__(self, *videos):
        self.videos = [VideoRecord(i, f"v{i}", frames) for i, frames in enumerate(videos)]
        self.frames = [each for video in self.videos for each in video.frames]


def test_keys_are_objects_of_degraded_frames_that_others_have_too():
    blurred = frame(1, (A, CAT, 1), (C, DOG, 3), degradation="motion_blur")
    clear = frame(0, (A, CAT, 1), degradation="clear")
    found, degraded = keys.find_keys(Data((clear, blurred, clear), (clear, clear)), 2)
    assert degraded
    assert [(k.video.name, k.place, k.annotation.instance_id) for k in found] == [("v0", 1, 1)]
    with pytest.raises(FaimError, match="at least 3 other frames"):
        keys.find_keys(Data((clear, blurred, clear)), 3)


def test_without_degradations_every_frame_counts():
    plain = frame(0, (A, CAT, 1))
    data = Data((plain,) * 5, (plain,) * 5)
    found, degraded = keys.find_keys(data, 4)
    assert not degraded
    assert len(found) == 10
    few = [keys.find_keys(data, 4, limit=3, seed=seed)[0] for seed in (0, 0, 1)]
    assert [len(each) for each in few] == [3, 3, 3]
    assert few[0] == few[1] != few[2]


def test_keys_need_instance_ids():
    data = Data((frame(0, (A, CAT, 1)), frame(1, (A, CAT, -1))))
    with pytest.raises(FaimError, match=r"^ann.json: an annotation without instance_id; expected"):
        keys.find_keys(data, 1)


def test_crops_are_centred_on_their_box():
    image = np.zeros((50, 100, 3), np.uint8)
    image[20:30, 40:50] = 255
    cut = sheets.crop(image, (40, 20, 50, 30), (0, 0, 255))
    assert cut.shape == (sheets.CELL, sheets.CELL, 3)
    middle, edge = sheets.CELL // 2, round(sheets.CELL * (17 - 10) / 2 / 17)
    assert cut[middle, middle].tolist() == [255] * 3
    assert cut[middle, 3].tolist() == [0] * 3
    assert (cut[middle, edge - 6 : edge + 6] == [0, 0, 255]).all(axis=1).any()
    corner = sheets.crop(image, (0, 0, 10, 10), (0, 0, 255))
    assert corner[2, 2].tolist() == [90] * 3
    assert corner[middle, middle].tolist() == [0] * 3


def test_drawn_keys_are_of_different_videos_and_large_if_there_are_such():
    small = replace_box(key(video_id=1), (0, 0, 3, 3))
    made = [small, key(video_id=1), replace_box(key(video_id=2), (0, 0, 3, 3)), key(video_id=3)]
    blocks = [sheets.Block(each, {}) for each in made]
    for seed in range(5):
        picked = [block.key for block in sheets.pick_blocks(blocks, 4, seed)]
        assert sorted(k.video.video_id for k in picked) == [1, 2, 3]
        assert small not in picked
        assert picked[-1].video.video_id == 2
    assert sheets.pick_blocks(blocks, 2, 3) == sheets.pick_blocks(blocks, 2, 3)
    assert len(sheets.pick_blocks(blocks, 2, 3)) == 2


def test_one_key_box_where_models_share_it():
    def block(*boxes):
        view = view_of([0], [1.0, 0, 0, 0, 0])
        views = {str(i): {"first": replace(view, box=box)} for i, box in enumerate(boxes)}
        return sheets.Block(key(), views)

    assert block(A, (0.2, 0, 10, 10)).key_boxes == [A]
    assert block(A, MOST_OF_A).key_boxes == [A, MOST_OF_A]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return generate(
        tmp_path_factory.mktemp("clips"), videos=2, frames=8, size=128, classes=8,
        severity="hard", seed=5, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """The embedded FAIM at a small size, a YOLOV on its base detector, and one without a round."""
    folder, known = tmp_path_factory.mktemp("weights"), load_model(default_weights())
    for name, changes in {
        "faim": {},
        "yolov": {"architecture": "yolov", "nms_test": 0.75},
        "ifem": {"architecture": "yolov_ifem", "test_frames": 4},
        "one_round": {"affinity_average": False},
        "yolox": {"architecture": "yolox"},
    }.items():
        torch.manual_seed(0)
        model = build_model(replace(known.config, test_size=(128, 128), **changes))
        own, theirs = model.state_dict(), known.state_dict()
        model.load_state_dict({n: theirs.get(n, own[n]) for n in own})
        save_checkpoint(folder / f"{name}.safetensors", model)
    return folder


def options(clips, checkpoints, out, *names, more=()):
    files = [str(checkpoints / f"{name}.safetensors") for name in names]
    line = ["--data", str(clips), "--weights", *files, "--out", str(out / "a.png")]
    return [*line, "--references", "3", "--device", "cpu", *more]


def test_a_run(clips, checkpoints, tmp_path, capsys):
    more = ["--limit", "6", "--keys", "2", "--json", str(tmp_path / "a.json"), "--round", "second"]
    assert attention.main(options(clips, checkpoints, tmp_path, "yolov", "faim", more=more)) == 0
    report = json.loads((tmp_path / "a.json").read_text())
    assert report["same_proposals"]
    assert report["degraded"]
    assert 1 <= report["key_proposals"] <= report["objects"] == 6
    assert list(report["models"]) == ["YOLOV-nano", "FAIM-nano"]
    for row in report["models"].values():
        assert list(row) == ["first", "class", "instance", "second"]
        for what in ("top", "mass", "pool"):
            assert sum(row["first"][what].values()) == pytest.approx(100)
    # The same proposals, so chance is the same.
    one, other = (row["first"]["pool"] for row in report["models"].values())
    assert one == other
    assert [d["weights"] for d in report["differences"]] == ["first", "class", "instance", "second"]
    text = capsys.readouterr().out
    assert "FAIM-nano than YOLOV-nano" in text
    picture = cv2.imread(str(tmp_path / "a.png"))
    blocks = min(report["videos"], 2)
    assert picture.shape[0] == 52 + blocks * (sheets.HEADING + 2 * sheets.ROW)


def test_weights_are_those_of_ticam(clips, checkpoints):
    """A key proposal's references, found anew from what the model itself says."""
    model, data = load_model(checkpoints / "faim.safetensors"), CocoVid(clips)
    video = data.videos[0]
    found, _ = keys.find_keys(data, 3)
    chosen = [each for each in found if each.video is video]
    seen = [
        (k, v) for k, v in zip(chosen, references.views(model, video, chosen, 3), strict=True) if v
    ]
    assert seen
    images = torch.stack([torch.from_numpy(cv2.imread(str(f.path))) for f in video.frames])
    with torch.inference_mode():
        proposals = model.propose(images.permute(0, 3, 1, 2))
        expected = model.ticam.attention(proposals)
    for each, views in seen:
        box = torch.tensor(views["first"].box)
        boxes = proposals.boxes[each.place].clamp(0, 128)
        query = each.place * 30 + int((boxes - box).abs().sum(-1).argmin())
        for name, weights in {"first": expected.first, "second": expected.second}.items():
            row = weights[query].unflatten(0, (8, 30)).clone()
            row[each.place] = 0
            top = [weight for weight in row.flatten().topk(3).values.tolist() if weight]
            assert [r.weight for r in views[name].top] == pytest.approx(top, rel=1e-3)
            assert views[name].elsewhere == pytest.approx(float(row.sum()), rel=1e-3)


def test_references_are_the_frames_of_global_mode(clips, checkpoints):
    """At m = 4, a video of 8 frames is seen as its even and its odd frames."""
    model, data = load_model(checkpoints / "ifem.safetensors"), CocoVid(clips)
    video = data.videos[1]
    found = [each for each in keys.find_keys(data, 3)[0] if each.video is video]
    seen = set()
    for each, views in zip(found, references.views(model, video, found, 90), strict=True):
        for reference in views["class"].top if views else ():
            assert reference.place != each.place
            seen.add((each.place % 2, reference.place))
    assert seen == {(place % 2, place) for place in range(8)}


def test_one_nms_for_all_or_each_its_own(clips, checkpoints, tmp_path):
    def thresholds(*more):
        line = options(clips, checkpoints, tmp_path, "yolov", "faim", more=more)
        models = attention.load_models(attention._parser().parse_args(line), CocoVid(clips))
        return [model.fspm.nms_test for model in models.values()]

    assert thresholds() == [0.5, 0.5]
    assert thresholds("--nms", "0.6") == [0.6, 0.6]
    assert thresholds("--nms", "own") == [0.75, 0.5]


def test_models_of_one_title_are_told_apart_by_their_files(clips, checkpoints, tmp_path):
    line = options(clips, checkpoints, tmp_path, "one_round", "faim", "faim")
    models = attention.load_models(attention._parser().parse_args(line), CocoVid(clips))
    folder = checkpoints
    assert list(models) == [f"FAIM-nano ({folder}/{n}.safetensors)" for n in ("one_round", "faim")]


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("yolox", (), "a plain YOLOX checkpoint, which has no TICAM; expected weights of YOLOV or"),
        ("missing", (), "no such file"),
        ("one_round", ("--round", "second"), "a model without a second round"),
        ("faim", ("--data", "nothing.json"), "nothing.json: no such file"),
        ("faim", ("--out", "a.txt"), "a.txt: cannot be written; expected a name ending in .png"),
        ("faim", ("--device", "meta"), "device: 'meta' cannot be used here"),
    ],
)
def test_wrong_input_is_one_sentence(clips, checkpoints, tmp_path, capsys, name, more, expected):
    line = options(clips, checkpoints, tmp_path, name, more=more)
    assert attention.main(line) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.startswith("attention: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "a.png").exists()


def test_no_object_with_a_proposal(clips, checkpoints, tmp_path, capsys):
    content = json.loads(clips.read_text())
    content["annotations"] = [{**each, "bbox": [0, 0, 2, 1]} for each in content["annotations"]]
    moved = clips.with_name("moved.json")
    moved.write_text(json.dumps(content))
    assert attention.main(options(moved, checkpoints, tmp_path, "faim")) == 2
    assert "expected weights that find some" in capsys.readouterr().err
