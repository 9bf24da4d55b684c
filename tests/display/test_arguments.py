"""Where runs are shown: the folder that --data names, or the training's."""

import pytest

from lib.display.arguments import data_of
from lib.errors import InputError


def test_a_folder_names_root_and_data_set(tmp_path, shown_runs, world):
    for name in ("mine_precomp", "other/precomp"):
        (tmp_path / name).mkdir(parents=True)
    assert data_of(tmp_path / "mine_precomp", None) == (str(tmp_path), "mine")
    assert data_of(tmp_path / "other" / "precomp", None) == (str(tmp_path), "other")
    (tmp_path / "loop_precomp").symlink_to(tmp_path / "loop_precomp")
    with pytest.raises(InputError, match="no data"):
        data_of(tmp_path / "loop_precomp", None)
    assert data_of(None, shown_runs[0]) == (str(world), "scenes")
    with pytest.raises(InputError, match="expected a folder"):
        data_of(tmp_path, None)
    with pytest.raises(InputError, match="no data"):
        data_of(tmp_path / "gone_precomp", None)
