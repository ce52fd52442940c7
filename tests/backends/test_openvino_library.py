from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("openvino")

OVERLAP = """
import contextlib, gc, signal
from openvino import Core, Model, opset13 as ops
from faim.backends.openvino_library import core, signal_stack_kept

value = ops.parameter([1, 3])
model = Model([ops.relu(value)], [value])

def overlap(new_core):
    first = new_core().compile_model(model, "CPU")
    second = new_core().compile_model(model, "CPU")
    del first
    gc.collect()
    del second
    gc.collect()

with {context}:
    overlap({core})
signal.signal(signal.SIGTERM, lambda *_: print("alive"))
signal.raise_signal(signal.SIGTERM)
"""


@pytest.mark.parametrize(
    ("context", "core"), [("contextlib.nullcontext()", "core"), ("signal_stack_kept()", "Core")]
)
def test_a_signal_after_models_came_and_went(context: str, core: str) -> None:
    code = OVERLAP.format(context=context, core=core)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")
