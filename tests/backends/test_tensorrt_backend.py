"""Engine files on the way to the GPU: what is refused before the library sees it."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from faim.backends.engine_file import EngineTensor, write_engine_file
from faim.backends.info import ExportInfo
from faim.backends.tensorrt import TensorRTRunner
from faim.errors import FaimError
from faim.families.yolox.config import FaimConfig

CONFIG = FaimConfig(variant="nano", class_names=("dog", "cat"), test_size=(64, 64))
MADE_WITH = {"faim": "0", "tensorrt_rtx": "1.7.1", "compute_capability": "7.5"}
INFO = ExportInfo("frame", CONFIG, "ticam", 1, False, "fp16", MADE_WITH)
TENSORS = (
    EngineTensor("x", True, "float32", (2, 3), (2, 3), (2, 3), (2, 3)),
    EngineTensor("y", False, "float32", (2, 3)),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Exported files, as far as they can be looked at without a GPU."""
    write_engine_file(tmp_path / "frame.engine", INFO, TENSORS, b"a frame graph")
    return tmp_path


@pytest.fixture
def turing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for a machine with a 2080 Ti and TensorRT-RTX; returns the latter."""

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self.logger = logger

        def deserialize_cuda_engine(self, data: bytes) -> Any:
            library.loaded.append(data)
            if library.refuses:
                self.logger.log("error", "Error Code 1: Serialization (bad plan)")
                return None
            return SimpleNamespace(create_execution_context=SimpleNamespace)

    class ILogger:
        ERROR, INTERNAL_ERROR = "error", "internal error"

    library = SimpleNamespace(
        __version__="1.7.1", Runtime=Runtime, ILogger=ILogger, loaded=[], refuses=False
    )
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", library)  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (7, 5))
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.no_grad())
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: SimpleNamespace())
    return library


def test_the_frame_engine_is_loaded_and_described(folder: Path, turing: Any) -> None:
    runner = TensorRTRunner(folder, device="cuda")
    assert runner.info == INFO
    assert (runner.device, runner.precision) == (torch.device("cuda:0"), "fp16")
    assert turing.loaded == [b"a frame graph"]


def test_threads_share_an_engine_and_have_contexts_of_their_own(folder: Path, turing: Any) -> None:
    """A context runs in one thread at a time, and what comes out lies in its buffers."""
    runner = TensorRTRunner(folder, device="cuda")
    sessions = [runner._sessions["frame"]]
    threads = [
        threading.Thread(target=lambda: sessions.extend([runner._sessions["frame"]] * 2))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
        thread.join()
    assert len({id(session) for session in sessions}) == 3
    assert len({id(session._stream) for session in sessions}) == 3
    assert len({id(session._context) for session in sessions}) == 3
    assert turing.loaded == [b"a frame graph"]


def test_without_a_gpu_the_needed_one_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FaimError, match=r"no CUDA GPU here; expected a GPU of .* 7\.5"):
        TensorRTRunner(folder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(FaimError, match=r"device cpu; expected a GPU of .* 7\.5"):
        TensorRTRunner(folder, device="cpu")


def test_a_gpu_that_is_not_there_is_refused(folder: Path, turing: Any) -> None:
    with pytest.raises(FaimError, match="cuda:3 given; expected one of cuda:0 to cuda:0"):
        TensorRTRunner(folder, device="cuda:3")


def test_an_engine_for_another_gpu_is_refused_unread(
    folder: Path, turing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (8, 9))
    with pytest.raises(FaimError, match=r"capability 7\.5, and cuda:0 is of 8\.9; expected .*8\.9"):
        TensorRTRunner(folder)
    assert turing.loaded == []


def test_an_engine_of_another_version_is_refused_unread(folder: Path, turing: Any) -> None:
    turing.__version__ = "1.8.0"
    with pytest.raises(FaimError, match=r"TensorRT-RTX 1\.7\.1, and TensorRT-RTX 1\.8\.0 is to"):
        TensorRTRunner(folder)
    assert turing.loaded == []


def test_engines_of_two_libraries_are_not_mixed(folder: Path, turing: Any) -> None:
    made_with = {"tensorrt": "10.13.0", "compute_capability": "7.5"}
    info = replace(INFO, graph="step", made_with=made_with)
    write_engine_file(folder / "step.engine", info, TENSORS, b"a step graph")
    runner = TensorRTRunner(folder)
    with pytest.raises(FaimError, match=r"step\.engine: built by TensorRT 10\.13\.0, and"):
        runner.run("step", {})


def test_a_missing_library_is_named_with_its_extra(
    folder: Path, turing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(FaimError, match=r"tensorrt_rtx is not installed.*\.\[tensorrt-rtx\]"):
        TensorRTRunner(folder)


def test_missing_damaged_and_swapped_files_are_refused(folder: Path, turing: Any) -> None:
    runner = TensorRTRunner(folder)
    with pytest.raises(FaimError, match=r"no describe\.engine"):
        runner.run("describe", {})
    write_engine_file(folder / "step.engine", INFO, TENSORS, b"a frame graph")
    with pytest.raises(FaimError, match=r"step\.engine: holds the frame graph; expected step"):
        runner.run("step", {})
    path = folder / "frame.engine"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FaimError, match=r"frame\.engine: is damaged"):
        TensorRTRunner(folder)
    with pytest.raises(FaimError, match=r"no frame\.engine"):
        TensorRTRunner(folder / "elsewhere")


def test_an_engine_that_cannot_be_loaded_says_why(folder: Path, turing: Any) -> None:
    turing.refuses = True
    with pytest.raises(FaimError, match=r"cannot load the engine \(Serialization \(bad plan\)\)"):
        TensorRTRunner(folder)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_engines_give_the_numbers_of_pytorch(cuda_graphs: bool, tmp_path: Path) -> None:
    from graph_helpers import TorchRunner

    from faim.backends.onnx_files import write_onnx
    from faim.export.parity import generated_frames
    from faim.export.tensorrt import check_target, write_engine
    from faim.families.yolox.checkpoint import load_model
    from faim.families.yolox.graph_detector import GraphDetector
    from faim.families.yolox.graphs import graphs_of, info_of
    from faim.weights import default_weights

    try:
        check_target(None, "fp16")
    except FaimError as error:
        pytest.skip(str(error))
    model = load_model(default_weights())
    for graph in graphs_of(model, (256, 256)):
        source = tmp_path / f"{graph.name}.onnx"
        info = info_of(model, graph.name, size=(256, 256), precision="fp16")
        write_onnx(graph, source, info)
        write_engine(graph, source, source.with_suffix(".engine"), info)
    engines = GraphDetector(TensorRTRunner(tmp_path, cuda_graphs=cuda_graphs))
    reference = GraphDetector(TorchRunner(model, device="cuda"))
    bank = None
    for frame in generated_frames((256, 256), 4):
        images = torch.from_numpy(frame).permute(2, 0, 1)[None].cuda()
        expected = reference.propose(images)
        found = engines.propose(images)
        best = int(expected.objectness[0].argmax())
        closest = int((found.boxes[0] - expected.boxes[0, best]).abs().sum(dim=1).argmin())
        assert (found.boxes[0, closest] - expected.boxes[0, best]).abs().max() < 2
        assert abs(found.objectness[0, closest] - expected.objectness[0, best]) < 0.03
        # One set of proposals for both, so that their order is the same.
        key = expected[0]
        wanted, entry = reference.aggregator.step(key, bank)
        scores, _ = engines.aggregator.step(key, bank)
        assert (scores - wanted)[key.valid].abs().max() < 0.03
        bank = entry.map(lambda tensor: tensor.clone()[None])
