"""scripts/report.py as a user calls it, and what it refuses."""

from tests.display.conftest import shown_runs  # noqa: F401
from tests.support import fail, succeed


def test_a_report_of_two_runs(shown_runs, world, tmp_path):  # noqa: F811
    out = tmp_path / "deep" / "report.html"
    words = ("python", "scripts/report.py", *shown_runs, "--out", out, "--examples", "1")
    words += ("--keep", tmp_path / "keep", "--device", "cpu")
    printed = succeed(*words)
    assert f"{out}: 2 runs, " in printed
    html = out.read_text()
    assert "<td>region</td><td>3SHNet region</td>" in html
    first = out.read_bytes()
    succeed(*words)  # an earlier report may be replaced, and is the same
    assert out.read_bytes() == first
    out.write_text("my thesis")
    assert "is there and is no report" in fail(*words)
    assert out.read_text() == "my thesis"
    told = fail("python", "scripts/report.py", tmp_path / "none", "--out", tmp_path / "r.html")
    assert "no such run or checkpoint" in told
    assert not (tmp_path / "r.html").exists()
