"""scripts/report.py as a user calls it, and what it refuses."""

import pytest

from scripts import report
from tests.display.conftest import shown_runs  # noqa: F401


def test_a_report_of_two_runs(shown_runs, tmp_path, capsys):  # noqa: F811
    out = tmp_path / "deep" / "report.html"
    words = [*map(str, shown_runs), "--out", str(out), "--examples", "1"]
    words += ["--keep", str(tmp_path / "keep"), "--device", "cpu", "--workers", "0"]
    report.main(words)
    assert f"{out}: 2 runs, " in capsys.readouterr().out
    html = out.read_text()
    assert "<td>region</td><td>3SHNet region</td>" in html
    report.main(words)  # an earlier report may be replaced, and is the same
    assert out.read_text() == html
    out.write_text("my thesis")
    with pytest.raises(SystemExit, match="is there and is no report"):
        report.main(words)
    assert out.read_text() == "my thesis"
    with pytest.raises(SystemExit, match="no such run or checkpoint"):
        report.main([str(tmp_path / "none"), "--out", str(tmp_path / "r.html")])
    assert not (tmp_path / "r.html").exists()
