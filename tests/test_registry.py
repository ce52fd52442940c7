"""weights/registry.json says of the embedded checkpoint what is true, and tools/register.py how."""

import hashlib
import json
from pathlib import Path

import pytest

import register
from faim.data.synth.writer import VERSIONS
from faim.weights import EMBEDDED, default_weights

ROOT = Path(__file__).resolve().parents[1]


def test_the_embedded_checkpoint():
    entry = json.loads(register.REGISTRY.read_text())[EMBEDDED]
    known = register.described(default_weights())
    assert {name: entry[name] for name in known} == known
    assert known["bytes"] > 4 * known["parameters"] > 4e6  # float32
    assert entry["commands"]
    for each in (*entry["data"], *entry["evaluated_on"]):
        assert each["version"] == VERSIONS[each.get("edition", 1)]
    trained, tested = ({d["seed"] for d in entry[name]} for name in ("data", "evaluated_on"))
    assert not trained & tested


def inputs(folder):
    data = folder / "annotations.json"
    info = {"generator": "faim synth", "version": "1.0", "arguments": {"videos": 2, "seed": 3}}
    data.write_text(json.dumps({"info": info}))
    figures = {"sets": {str(data): {}}, "mean": {"frame": {"ap50": 12.3456}}}
    figures["machine"] = {"versions": {"torch": "2"}}
    figures["sha256"] = hashlib.sha256(default_weights().read_bytes()).hexdigest()
    (folder / "figures.json").write_text(json.dumps(figures))
    weights = ["--weights", str(default_weights()), "--data", str(data)]
    files = ["--figures", str(folder / "figures.json"), "--registry", str(folder / "r.json")]
    return [*weights, *files, "--commands", "one", "two"]


def test_an_entry_replaces_its_own_and_no_other(tmp_path, capsys):
    (tmp_path / "r.json").write_text(json.dumps({EMBEDDED: {"bytes": 1}, "other": {"bytes": 2}}))
    assert register.main(inputs(tmp_path)) == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found["other"] == {"bytes": 2}
    entry = found[EMBEDDED]
    assert entry["bytes"] == default_weights().stat().st_size
    assert entry["figures"] == {"frame": {"ap50": 12.35}}
    assert entry["commands"] == ["one", "two"]
    assert entry["data"][0]["videos"] == 2
    assert "wrote" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("figures.json", "{}", "expected what benchmarks/synthvid.py --json wrote"),
        (
            "figures.json",
            '{"sha256": "", "mean": {"frame": {"ap50": null}}, "sets": {}, "machine": {}}',
            "not the figures of a checkpoint",
        ),
        (
            "figures.json",
            '{"sha256": "0f", "mean": {}, "sets": {}, "machine": {"versions": {}}}',
            "the figures of other weights (SHA-256 0f); expected those of",
        ),
        ("annotations.json", "{}", "does not say how it was generated"),
        ("annotations.json", '{"info": null}', "does not say how it was generated"),
        ("r.json", "[", "r.json"),
    ],
)
def test_wrong_input(tmp_path, capsys, file, content, sentence):
    arguments = inputs(tmp_path)
    (tmp_path / file).write_text(content)
    assert register.main(arguments) == 2
    captured = capsys.readouterr().err
    assert sentence in captured
    assert captured.count("\n") == 1
    if file != "r.json":
        assert not (tmp_path / "r.json").exists()
