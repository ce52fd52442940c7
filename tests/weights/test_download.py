"""Released files are fetched whole and checked, and interrupted ones gone on with."""

from __future__ import annotations

import hashlib
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from release_server import CONTENT, ReleaseServer

from faim.errors import FaimError
from faim.weights import download as module
from faim.weights.download import download, is_whole
from faim.weights.known import Release

TOTAL = len(CONTENT)


def half_there(place: Path, content: bytes = CONTENT[: TOTAL // 2]) -> Path:
    part = place.with_name("yolox_s.pth.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def test_a_file_comes_whole_and_alone(
    server: ReleaseServer, release: Release, place: Path, said: list[str]
) -> None:
    assert not is_whole(place, release)
    download(release, place, "yolox_s")
    assert is_whole(place, release)
    assert [path.name for path in place.parent.iterdir()] == ["yolox_s.pth"]
    assert place.read_bytes() == CONTENT
    assert said == [f"yolox_s: fetching 3.1 MB from {server.url()}"]
    download(release, place, "yolox_s")
    assert server.asked == [None]


def test_an_interrupted_one_is_gone_on_with(
    server: ReleaseServer, release: Release, place: Path, said: list[str]
) -> None:
    half_there(place)
    download(release, place, "yolox_s")
    assert server.asked == [f"bytes={TOTAL // 2}-"]
    assert place.read_bytes() == CONTENT
    assert said == [f"yolox_s: fetching 3.1 MB from {server.url()}, 1.5 MB are there"]


def test_what_breaks_off_goes_on_by_itself(
    server: ReleaseServer, release: Release, place: Path, said: list[str]
) -> None:
    server.cuts = [1_000_000, 500_000, 200_000, 100_000]  # more than there are pauses
    download(release, place, "yolox_s")
    begins = [None, *(f"bytes={n}-" for n in (1_000_000, 1_500_000, 1_700_000, 1_800_000))]
    assert server.asked == begins
    assert place.read_bytes() == CONTENT
    assert said[1] == "yolox_s: the connection ended after 1.0 MB; goes on in 0 s"


def test_what_keeps_breaking_off_is_told_and_kept(
    server: ReleaseServer, release: Release, place: Path
) -> None:
    server.cuts = [1_000_000, 0, 0, 0]
    with pytest.raises(FaimError, match=r"cannot be fetched \(the connection ended after 1.0 MB\)"):
        download(release, place, "yolox_s")
    assert place.with_name("yolox_s.pth.part").read_bytes() == CONTENT[:1_000_000]
    assert not place.exists()


def test_a_server_without_ranges_begins_again(
    server: ReleaseServer, release: Release, place: Path
) -> None:
    server.ranges = False
    half_there(place)
    download(release, place, "yolox_s")
    assert server.asked == [f"bytes={TOTAL // 2}-"]
    assert place.read_bytes() == CONTENT


def test_a_server_that_forgets_does_not_go_on_for_ever(
    server: ReleaseServer, release: Release, place: Path
) -> None:
    """It breaks off at the same place each time, and has no more bytes when asked for the rest."""
    server.content = CONTENT[:1_000_000]
    server.told = False
    with pytest.raises(FaimError, match="cannot be fetched"):
        download(release, place, "yolox_s")
    assert server.asked == [None, "bytes=1000000-", None]


@pytest.mark.parametrize("count", [TOTAL, TOTAL + 5])
def test_what_is_all_there_needs_no_server(
    server: ReleaseServer, release: Release, place: Path, count: int
) -> None:
    """Of a part that is too long nothing is believed."""
    half_there(place, (CONTENT + b"12345")[:count])
    download(release, place, "yolox_s")
    assert server.asked == [None] * (count > TOTAL)
    assert place.read_bytes() == CONTENT


def test_a_part_of_another_file_is_fetched_anew(
    server: ReleaseServer, release: Release, place: Path, said: list[str]
) -> None:
    half_there(place, b"x" * 1000)
    download(release, place, "yolox_s")
    assert server.asked == ["bytes=1000-", None]
    assert place.read_bytes() == CONTENT
    assert said[1].endswith("yolox_s.pth.part: what was there is of another file; from the start")


def test_redirects_keep_the_range(server: ReleaseServer, release: Release, place: Path) -> None:
    half_there(place)
    download(replace(release, url=server.url("/moved")), place, "yolox_s")
    assert server.asked == [f"bytes={TOTAL // 2}-"]
    assert place.read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(
    server: ReleaseServer, release: Release, place: Path, said: list[str]
) -> None:
    server.statuses = [503, 429]
    download(release, place, "yolox_s")
    assert place.read_bytes() == CONTENT
    assert said[1] == ("yolox_s: the server answers 503 Service Unavailable; goes on in 0 s")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"statuses": [404]}, r"cannot be fetched \(the server answers 404 Not Found\)"),
        ({"statuses": [503, 503, 503]}, r"cannot be fetched \(the server answers 503 Ser\w+ "),
        ({"content": b"<html>log in</html>"}, f"has 19 bytes, not {TOTAL}"),
        ({"content": CONTENT + b"1", "told": False}, f"has more than {TOTAL} bytes"),
        (
            {"content": b"x" * TOTAL},
            f"has SHA-256 {hashlib.sha256(b'x' * TOTAL).hexdigest()}, not "
            f"{hashlib.sha256(CONTENT).hexdigest()}",
        ),
    ],
)
def test_what_is_wrong_is_told_and_not_kept(
    server: ReleaseServer, release: Release, place: Path, change: dict[str, object], sentence: str
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(FaimError, match=sentence) as raised:
        download(release, place, "yolox_s")
    assert str(raised.value).startswith(f"yolox_s: {server.url()} ")
    assert str(raised.value).endswith(
        f"; expected the released file, which may also be put by hand at {place}"
    )
    assert list(place.parent.iterdir()) == []


def test_without_a_network_it_is_told_at_once(release: Release, place: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = replace(release, url=f"http://127.0.0.1:{taken.getsockname()[1]}/file")
    with pytest.raises(FaimError, match=r"cannot be fetched \(Connection refused\); .* by hand at"):
        download(closed, place, "yolox_s")
    assert list(place.parent.iterdir()) == []


def test_a_silent_server_is_not_waited_for(
    server: ReleaseServer, release: Release, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT", 0.05)
    server.gate.clear()
    with pytest.raises(FaimError, match=r"cannot be fetched \(no answer in 0.05 s\)"):
        download(release, place, "yolox_s")
    assert len(server.asked) >= 3
    assert place.with_name("yolox_s.pth.part").stat().st_size > TOTAL // 2


def test_too_little_space_is_told_before(
    server: ReleaseServer, release: Release, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(free=2_000_000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage)
    half_there(place)
    download(release, place, "yolox_s")  # half of it is there
    place.unlink()
    sentence = "3.1 MB are still to come, and 2.0 MB are free there; expected space, or another"
    with pytest.raises(FaimError, match=sentence):
        download(release, place, "yolox_s")
    assert len(server.asked) == 1


def test_a_place_that_is_no_folder_is_told(release: Release, place: Path) -> None:
    place.parents[1].write_text("")
    with pytest.raises(FaimError, match=r"\.part: cannot be written \(\w+.*FAIM_CACHE"):
        download(release, place, "yolox_s")
