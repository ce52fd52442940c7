import pytest

from studies.fuzz import runner


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    """Where inputs are damaged, and the process that reads them."""
    with runner.Child() as child:
        yield runner.Bench(tmp_path_factory.mktemp("fuzz"), child)
