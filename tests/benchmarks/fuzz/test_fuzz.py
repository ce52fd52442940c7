"""Damaged files: read, or refused in one sentence, within bounded time and memory.

A few inputs of every kind, always the same; `benchmarks/fuzz.py` tries as many as one likes.
"""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from studies.fuzz.subjects import SUBJECTS

EXAMPLES = 12
#: As each input takes a tenth of a second, no time is spent on making a fault's input smaller.
FEW = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("name", SUBJECTS)
def test_sound_inputs_are_read(bench, name):
    bench.restore(SUBJECTS[name])
    outcome = bench.child.read(name, bench.damaged)
    assert (outcome.kind, outcome.text, outcome.fault) == ("accepted", "", None)


@pytest.mark.parametrize("name", SUBJECTS)
def test_damaged_inputs_are_read_or_refused(bench, name):
    @FEW
    @given(random=st.randoms(use_true_random=True))
    def holds(random):
        recipe, outcome = bench.attempt(SUBJECTS[name], random)
        assert outcome.fault is None, f"{recipe}: {outcome.fault}"

    holds()
