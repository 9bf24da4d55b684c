"""One file per image, and what tells a whole one."""

import shutil

import numpy as np

from lib.data.provenance import Provenance
from lib.extraction.file_output import FileOutput
from lib.share import Share


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


def test_folders_of_two_machines_are_copied_together(tmp_path):
    """Each machine makes its share on a disk of its own; copied together, they are all there."""
    ids, provenance = [str(number) for number in range(6)], Provenance("x", "w", None, {})
    for rank in range(2):
        output = FileOutput(tmp_path / f"{rank}", "dev", ids, provenance, Share(rank, 2))
        for number in Share(rank, 2).of(output.pending()):
            output.write(number, {"a": np.ones(3)})
        output.finish()
    shutil.copytree(tmp_path / "1", tmp_path / "0", dirs_exist_ok=True)
    together = FileOutput(tmp_path / "0", "dev", ids, provenance)
    assert together.pending() == []
    together.finish()
    lines = (tmp_path / "0" / "dev.sha256").read_text().splitlines()
    assert [line.split()[1] for line in lines] == [f"{number}.npy" for number in ids]
    assert sorted(p.name for p in (tmp_path / "0").iterdir() if p.name[0] == ".") == []
