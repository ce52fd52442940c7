"""The harness itself: what it calls a fault, what it measures, and that damage is repeatable."""

import json
import os
import signal
from random import Random

import numpy as np
import pytest
import torch

from faim.errors import FaimError
from studies.fuzz import child, mutations, runner, subjects

Outcome = runner.Outcome


def reads(function):
    return subjects.Subject("own", lambda folder: None, {}, function)


def raises(error):
    def read(_):
        raise error

    return reads(read)


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Outcome("accepted", "", 1.0, 100.0), None),
        (Outcome("refused", "a.json: is empty; expected a list"), None),
        (
            Outcome("refused", "a.json: is\nempty"),
            "no sentence: 16 characters, 'a.json: is\\nempty'",
        ),
        (Outcome("other", "KeyError: 'a' (x.py:3)"), "other: KeyError: 'a' (x.py:3)"),
        (Outcome("crash", "SIGSEGV"), "crash: SIGSEGV"),
        (Outcome("accepted", "", 12.0), "slow: 12 s; "),
        (Outcome("refused", "a", 1.0, 2345.6), "large: 2346 MB; a"),
    ],
)
def test_what_is_a_fault(outcome, fault):
    assert outcome.fault == fault
    assert Outcome("refused", "x" * 2001).fault.startswith("no sentence: 2001 characters")


def test_errors_of_ours_and_of_others(tmp_path):
    refused = child.attempt(raises(FaimError("a: is wrong")), tmp_path)
    assert (refused["kind"], refused["text"]) == ("refused", "a: is wrong")
    other = child.attempt(raises(KeyError("a")), tmp_path)
    assert other["kind"] == "other"
    assert other["text"].startswith("KeyError: 'a'")
    assert child.attempt(raises(SystemExit(3)), tmp_path)["kind"] == "other"


def test_memory_is_the_inputs_own(tmp_path):
    large = child.attempt(reads(lambda _: np.ones(100_000_000, np.uint8).sum()), tmp_path)
    small = child.attempt(reads(lambda _: None), tmp_path)
    assert 90 < large["megabytes"] < 200
    assert small["megabytes"] < 20


def test_a_dead_child_is_told_and_started_again(bench):
    bench.restore(subjects.SUBJECTS["pair model"])
    assert bench.child.read("pair model", bench.damaged).kind == "accepted"
    os.kill(bench.child._process.pid, signal.SIGSEGV)
    assert bench.child.read("pair model", bench.damaged) == Outcome("crash", "SIGSEGV")
    assert bench.child.read("pair model", bench.damaged).kind == "accepted"


@pytest.mark.parametrize("name", subjects.SUBJECTS)
def test_the_same_seed_makes_the_same_damage(bench, name):
    subject, made = subjects.SUBJECTS[name], []
    for seed in (1, 1, 2):
        bench.restore(subject)
        recipe = subject.damage(Random(seed), bench.damaged)
        files = sorted(path for path in bench.damaged.rglob("*") if path.is_file())
        made.append((recipe, [path.read_bytes() for path in files]))
    assert made[0] == made[1]
    assert made[0] != made[2]


def test_damage_of_headers_keeps_their_length_true():
    header = json.dumps({"a": [1, 2], "__metadata__": {"config": '{"b": 3}'}}).encode()
    data = b"MAGIC---" + len(header).to_bytes(8, "little") + header + b"tail"
    for seed in range(30):
        damaged = mutations.damage_framed(Random(seed), data, lead=8)
        length = int.from_bytes(damaged[8:16], "little")
        assert damaged[:8] == b"MAGIC---"
        assert damaged[16 + length :] == b"tail"
        assert damaged[16 : 16 + length] != header


def test_odd_tensors_are_of_many_kinds():
    made = [mutations.odd_tensor(Random(seed), torch.ones(2, 3)) for seed in range(200)]
    assert {tensor.layout for tensor in made} == {torch.strided, torch.sparse_coo}
    assert {tensor.device.type for tensor in made} == {"cpu", "meta"}
    assert {torch.int64, torch.bool, torch.complex64, torch.float64} <= {t.dtype for t in made}
    assert max(tensor.numel() for tensor in made) == 10**10
