from __future__ import annotations

import pytest
from evaluation_cases import MakeData, detections, random_case

from faim.evaluation.average_precision import ap_of
from faim.evaluation.error_split import KINDS, error_split
from faim.evaluation.tables import Case

BOX = (0.0, 0.0, 20.0, 20.0)
LOOSE = (0.0, 0.0, 20.0, 8.0)  # IoU 0.4 with BOX
FAR = (100.0, 50.0, 120.0, 70.0)


def split(data: MakeData, rows: list[tuple[int, float, tuple[float, ...]]]) -> dict[str, float]:
    """One object of class 0 at BOX and, so that class 1 exists, a found one at FAR."""
    truth = data([[(0, BOX, 1), (1, FAR, 2)]])
    return error_split(Case(truth, {1: detections((1, 0.99, FAR), *rows)}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "kind", "gain"),
    [
        # AP of class 0 is 0 (or 50, with a wrong detection first) before, 100 after; two classes.
        ([(1, 0.9, BOX)], "classification", 50),
        ([(0, 0.9, LOOSE)], "localisation", 50),
        ([(0, 0.9, FAR), (0, 0.5, BOX)], "classification", 25),
        ([(0, 0.9, (150.0, 0.0, 170.0, 20.0)), (0, 0.5, BOX)], "background", 25),
        ([(0, 0.9, (100.0, 50.0, 120.0, 58.0)), (0, 0.5, BOX)], "both", 25),
    ],
)
def test_each_kind_alone(
    make_data: MakeData,
    rows: list[tuple[int, float, tuple[float, ...]]],
    kind: str,
    gain: float,
) -> None:
    gains = split(make_data, rows)
    assert tuple(gains) == KINDS
    assert gains[kind] == pytest.approx(gain)
    others = {name: value for name, value in gains.items() if name != kind}
    assert others == pytest.approx(dict.fromkeys(others, 0))


def test_missed(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1), (0, FAR, 2)]])
    gains = error_split(Case(data, {1: detections((0, 0.9, BOX))}))
    assert gains["missed"] == pytest.approx(100 - 100 * 51 / 101)
    assert error_split(Case(data, {}))["missed"] == pytest.approx(100)


def test_a_duplicate_costs_where_something_is_found_after_it(make_data: MakeData) -> None:
    data = make_data([[(0, BOX, 1), (0, FAR, 2)]])
    rows = detections((0, 0.9, BOX), (0, 0.8, BOX), (0, 0.7, FAR))
    # Precision 2/3 beyond recall 0.5, which 51 of the 101 recalls do not reach.
    gains = error_split(Case(data, {1: rows}))
    assert gains["duplicate"] == pytest.approx(100 * 50 / 101 / 3)
    assert sum(gains.values()) == pytest.approx(gains["duplicate"])


def test_only_the_best_of_several_is_moved_onto_an_object(make_data: MakeData) -> None:
    """A loose detection beats a confused one, so that mending the class alone finds nothing."""
    gains = split(make_data, [(0, 0.9, LOOSE), (1, 0.8, BOX)])
    assert gains["localisation"] == pytest.approx(50)
    assert gains["classification"] == pytest.approx(0)
    assert gains["missed"] == pytest.approx(0)


#: What tidecv 1.0.1 says about `random_case(seed)`.
TIDECV = {
    0: (51.156889, 3.366478, 11.858253, 6.670318, 4.357829, 2.249281, 0.0),
    1: (50.835119, 6.441285, 12.661278, 5.371332, 3.235574, 3.776158, 1.042747),
    2: (52.391776, 7.700784, 10.658037, 7.123508, 4.979321, 1.531464, 0.0),
}


@pytest.mark.parametrize("seed", TIDECV)
def test_agrees_with_tidecv(make_data: MakeData, seed: int) -> None:
    frames, found = random_case(seed)
    case = Case(make_data(frames), found)
    gains = error_split(case)
    expected = dict(zip(("ap50", *KINDS), TIDECV[seed], strict=True))
    assert {"ap50": ap_of(case).ap50, **gains} == pytest.approx(expected, abs=1e-5)
