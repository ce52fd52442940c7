"""The sentence of an error stays one sentence, whatever a file or library puts into it."""

import pickle

from faim.errors import LONGEST_SENTENCE, FaimError


def test_lines_become_one():
    error = FaimError("a.pth: damaged (Error(s) in loading:\n\tsize 3\r\n\r\nsize 4); expected 5")
    assert str(error) == "a.pth: damaged (Error(s) in loading: size 3 size 4); expected 5"
    assert str(FaimError("a  b: is wrong")) == "a  b: is wrong"


def test_of_a_long_sentence_both_ends_stay():
    long = str(FaimError(f"a.yaml: has names {'x' * 3000}; expected a list"))
    assert len(long) == LONGEST_SENTENCE - 1
    assert long.startswith("a.yaml: has names xxx")
    assert long.endswith("xxx; expected a list")
    assert " … " in long
    assert str(FaimError("x" * LONGEST_SENTENCE)) == "x" * LONGEST_SENTENCE


def test_it_comes_out_of_another_process_the_same():
    error = pickle.loads(pickle.dumps(FaimError("a: is wrong; expected b")))
    assert (type(error), str(error)) == (FaimError, "a: is wrong; expected b")
