"""A wrong option is told in one sentence, whatever the command; `--help` is argparse's."""

from __future__ import annotations

import pytest

from faim.cli import main


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "predict x --mode fast",
            "faim predict: error: argument --mode: invalid choice: 'fast' (choose from",
        ),
        ("predict x --conf 1.5", "faim predict: error: argument --conf: '1.5' is no number from 0"),
        ("predict x --limit", "faim predict: error: argument --limit: expected one argument"),
        ("predict", "faim predict: error: the following arguments are required: source"),
        ("predict x --foo", "faim predict: error: unrecognized arguments: --foo"),
        ("eval --mode best", "faim eval: error: argument --mode: invalid choice: 'best'"),
        (
            "synth --out x --videos 0",
            "faim synth: error: argument --videos: '0' is no whole",
        ),
        ("demo --frames 2", "faim demo: error: argument --frames: '2' is no whole number from 8"),
        (
            "train --size 3",
            "faim train: error: the following arguments are required: -f",
        ),
        ("repp fit x --jitter 3", "faim repp fit: error: "),
        ("data convert davis", "faim data convert davis: error: the following arguments are requ"),
        ("data check x --foo", "faim data check: error: unrecognized arguments: --foo"),
        ("masks eval", "faim masks eval: error: the following arguments are required: PRED.json"),
        ("frob", "faim: error: argument COMMAND: invalid choice: 'frob'"),
        ("", "faim: error: the following arguments are required: COMMAND"),
        ("predict x --\x1b[2J", "faim predict: error: unrecognized arguments: --\\x1b[2J"),
    ],
)
def test_one_sentence_and_status_2(
    line: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert ended.value.code == 2
    out, told = capsys.readouterr()
    assert out == ""
    assert told.startswith(sentence)
    assert told.count("\n") == 1
    assert "usage:" not in told
    assert told.endswith(" --help lists what is expected\n")


def test_help_has_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", "--help"])
    assert ended.value.code == 0
    out, told = capsys.readouterr()
    assert out.startswith("usage: faim predict ")
    assert "--mode {auto,stream,global,frame}" in out
    assert told == ""
