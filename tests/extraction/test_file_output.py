"""One file per image, and what tells a whole one."""

import numpy as np

from lib.data.provenance import Provenance
from lib.extraction.file_output import FileOutput


def test_files_of_an_earlier_version_have_no_checksums(tmp_path):
    """And are complete without them."""
    provenance = Provenance("x", "w", None, {})

    def output():
        return FileOutput(tmp_path / "grids", "dev", ["1", "2", "3"], provenance)

    for number in (0, 1):
        output().write(number, {"a": np.ones(3)})
    assert output().pending() == [2]
    (tmp_path / "grids" / "dev.sha256").unlink()
    found = output()
    found.write(2, {"a": np.ones(3)})
    found.finish()
    assert "3 of 3 images" in found.describe()
    assert not (tmp_path / "grids" / "dev.sha256").exists()
    assert output().pending() == []


def test_a_file_without_its_checksum_is_made_again(tmp_path):
    """Its writer was killed between the two."""
    provenance = Provenance("x", "w", None, {})
    output = FileOutput(tmp_path / "grids", "dev", ["1", "2"], provenance)
    output.write(0, {"a": np.ones(3)})
    np.save(tmp_path / "grids" / "2.npy", np.ones(3))
    assert output.pending() == [1]
