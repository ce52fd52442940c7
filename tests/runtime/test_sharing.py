"""One detector in several threads, in forked processes, pickled and copied."""

from __future__ import annotations

import copy
import importlib.util
import multiprocessing
import os
import pickle
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from graph_helpers import write_onnx_folder
from select_helpers import CONFIG

import faim
from faim.backends.sharing import MadeOnce, MadePerThread
from faim.errors import FaimError
from faim.families.yolox.checkpoint import load_model, save_checkpoint
from faim.families.yolox.faim import FAIM
from faim.pictures.image import Image
from faim.runtime.pipeline import Detector

THREADS = 4


def needs(*packages: str) -> pytest.MarkDecorator:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_checkpoint(path, FAIM(CONFIG))
    return path


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    # Of the frame graph alone, which takes a quarter of the time.
    write_onnx_folder(load_model(checkpoint, aggregate="affinity"), folder)
    return folder


@pytest.fixture(
    params=[
        "torch",
        pytest.param("onnxruntime", marks=needs("onnxruntime", "onnx", "onnxscript", "onnxsim")),
        pytest.param("openvino", marks=needs("openvino", "onnx", "onnxscript", "onnxsim")),
    ]
)
def detector(request: pytest.FixtureRequest, checkpoint: Path) -> Detector:
    weights = checkpoint
    if request.param != "torch":
        weights = request.getfixturevalue("exported")
    return faim.load(weights, backend=request.param, device="cpu", conf=0.0, post="none")


def clips() -> list[list[Image]]:
    """Of every thread its own."""
    generator = np.random.default_rng(0)
    shape = (4, 64, 64, 3)
    return [list(generator.integers(0, 256, shape, dtype=np.uint8)) for _ in range(THREADS)]


def found(detector: Detector, clip: list[Image]) -> list[bytes]:
    """The detections to the last bit."""
    frames = detector.predict(clip, "stream")
    return [f.xyxy.tobytes() + f.confidence.tobytes() + f.class_id.tobytes() for f in frames]


def test_threads_find_what_one_alone_finds(detector: Detector) -> None:
    alone = [found(detector, clip) for clip in clips()]
    assert all(len(frame) > 100 for frames in alone for frame in frames)
    wrong: list[object] = []

    def run(number: int) -> None:
        try:
            for _ in range(6):
                if found(detector, clips()[number]) != alone[number]:
                    wrong.append(number)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_two_streams_in_turn_find_what_each_alone_finds(detector: Detector) -> None:
    first, second, *_ = clips()
    alone = [
        [r.confidence.tolist() for r in detector.predict(c, "stream")] for c in (first, second)
    ]
    both = zip(detector.stream(first), detector.stream(second), strict=True)
    turns = [[r.detections.confidence.tolist() for r in pair] for pair in both]
    assert [list(frames) for frames in zip(*turns, strict=True)] == alone


def test_pickled_and_copied_detectors_find_the_same(detector: Detector) -> None:
    clip = clips()[0]
    expected = found(detector, clip)
    for other in (pickle.loads(pickle.dumps(detector)), copy.deepcopy(detector)):
        assert other.backend == detector.backend
        assert other.model is not detector.model
        assert found(other, clip) == expected


def test_a_spawned_process_gets_a_detector_and_gives_results(checkpoint: Path) -> None:
    detector = faim.load(checkpoint, backend="torch", device="cpu", conf=0.0, post="none")
    clip = clips()[0]
    expected = [result.to_json() for result in detector.predict(clip, "stream")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        results = pool.apply_async(detector.predict, (clip, "stream")).get(timeout=120)
    assert [result.to_json() for result in results] == expected


def test_a_model_in_memory_cannot_be_sent(checkpoint: Path) -> None:
    from faim.runtime.select import torch_detector

    detector = Detector(torch_detector(load_model(checkpoint)))
    with pytest.raises(FaimError, match=r"its model is in no file.*expected one of faim\.load"):
        pickle.dumps(detector)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("what", ["use", "load"])
def test_a_forked_process_is_told(detector: Detector, checkpoint: Path, what: str) -> None:
    found(detector, clips()[0])
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            if what == "use":
                found(detector, clips()[0])
            else:
                faim.load(checkpoint, backend="torch")
            os.write(writing, b"no error")
        except BaseException as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writing)
    said = _answer(child, reading)
    assert said.startswith("FaimError: detector: this process was forked from one that had loaded")
    assert "start method spawn" in said


def _answer(child: int, reading: int, seconds: float = 20.0) -> str:
    """What the child wrote; it is ended when it hangs."""
    end = time.monotonic() + seconds
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "it hangs"
        time.sleep(0.02)
    with os.fdopen(reading) as pipe:
        return pipe.read()


def test_made_once_and_made_per_thread() -> None:
    made: list[tuple[str, int]] = []

    def make(key: str) -> object:
        time.sleep(0.01)
        made.append((key, threading.get_ident()))
        return object()

    def ask(values: Any) -> list[object]:
        answers: list[object] = []
        threads = [
            threading.Thread(target=lambda: answers.extend([values["a"], values["a"]]))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    assert len(set(ask(MadeOnce(make)))) == len(made) == 1
    made.clear()
    assert len(set(ask(MadePerThread(make)))) == len(made) == 3
