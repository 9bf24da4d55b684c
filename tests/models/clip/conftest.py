import pytest

from tests.models.clip.small import write_clip, write_siglip


@pytest.fixture(scope="session")
def hubs(world, tmp_path_factory):
    """Kind -> the folder of a small model with random weights."""
    captions = (world / "scenes_precomp" / "test_caps.txt").read_text().splitlines()
    folders = {}
    for kind, write in (("clip", write_clip), ("siglip", write_siglip)):
        folders[kind] = write(tmp_path_factory.mktemp(kind), captions)
    return folders
