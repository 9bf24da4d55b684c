import pytest

from tests.support import TRAIN, succeed


@pytest.fixture(scope="session")
def trained(settings, tmp_path_factory):
    """A finished run by the command line: two epochs."""
    out = tmp_path_factory.mktemp("trained") / "run"
    printed = succeed(*TRAIN, *settings, f"run.out={out}")
    return out, printed
