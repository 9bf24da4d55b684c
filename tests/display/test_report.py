"""The report is one file that tells the figures, shows the pictures and holds no foreign markup."""

import re

import pytest

from lib.display.comparison import judged
from lib.display.report import MARK, build_report


@pytest.fixture(scope="module")
def runs(galleries):
    return [judged(gallery, name) for gallery, name in zip(galleries, ("3SH", "L<b>"), strict=True)]


def test_it_tells_what_the_runs_do(runs, pictures):
    html = build_report(runs, pictures, 2, "python scripts/report.py <x>")
    assert MARK in html[:500]
    for run in runs:
        (result,) = run.results
        assert f"<td>{result.metrics.rsum:.1f}</td>" in html
    assert "python scripts/report.py &lt;x&gt;" in html
    assert "L&lt;b&gt;" in html
    assert "<b>" not in html.replace('<div class="example"><b>', "")  # a run's name is text
    assert "Of fewer than 100 pictures R@K says little." in html
    assert html.count("<svg") == 3  # rSum, loss, gap
    assert "<code>model.family</code>" in html
    pictures_in = re.findall(r'<img src="data:image/jpeg;base64,[\w+/=]+"', html)
    assert len(pictures_in) == html.count("<img") >= 8
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)  # nothing outside the file
    assert "score: what it adds" in html
    assert "words to regions, mean of the words" in html
    assert "3SH finds what L&lt;b&gt; does not" in html


def test_one_run_without_pictures(runs):
    html = build_report(runs[:1], None, 1, "report")
    assert "There is one run" in html
    assert "<img" not in html
    assert "finds what" not in html
    assert "--images FOLDER says where they are" in html


def test_no_examples_are_none(runs, pictures):
    html = build_report(runs, pictures, 0, "report")
    assert "<img" not in html
    assert html.count("<p>None.</p>") == 6
