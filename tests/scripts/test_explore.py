"""scripts/explore.py as a user starts it: a process that serves, and what it refuses."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest

import eval as eval_script
from scripts import explore
from tests.display.conftest import shown_runs  # noqa: F401
from tests.support import ROOT

WAIT = 60  # seconds that a busy machine may take


@contextmanager
def serving(*words):
    """The address of a page that is served while the block runs, and the lines printed before."""
    command = [
        sys.executable,
        "scripts/explore.py",
        *map(str, words),
        "--port",
        "0",
        "--device",
        "cpu",
    ]
    about = {"cwd": ROOT, "text": True, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, **about)
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if found := re.match(r"Open (http://\S+:\d+/) in a browser", line):
                break
        else:
            raise AssertionError(process.stderr.read())
        yield found[1], lines
        process.send_signal(signal.SIGINT)
        assert process.wait(WAIT) in (0, 130, -signal.SIGINT)
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()


def asked(address):
    with urllib.request.urlopen(address, timeout=WAIT) as answer:
        return json.loads(answer.read())


@pytest.mark.slow
def test_a_run_is_served(shown_runs, world, tmp_path):  # noqa: F811
    run = tmp_path / "run"
    shutil.copytree(shown_runs[0], run)
    data = world / "scenes_precomp"
    with serving("--run", run, "--data", data) as (address, lines):
        assert "encoded in" in lines[0]
        assert (run / "explorer" / "scenes-test.safetensors").is_file()
        (about,) = asked(address + "runs")
        assert (about["pictures"], about["dataset"]) == (10, "scenes")
        found = asked(address + "search?query=a%20red%20clock&k=3")["pictures"]
        assert len(found) == 3
        assert found[0]["file"].endswith(".png")
    # The run's own settings say where its data is; a run may be a checkpoint's file.
    with serving("--run", run / "model_best.pth") as (address, lines):
        assert "encodings from" in lines[0]
        assert asked(address + "search?query=a%20red%20clock&k=3")["pictures"] == found


@pytest.mark.slow
def test_many_requests_and_idle_connections_at_once(shown_runs, world, tmp_path):  # noqa: F811
    """Some are told to ask again, none fails, and who sends nothing stands in nobody's way."""
    words = ("--run", shown_runs[0], "--data", world / "scenes_precomp", "--keep", tmp_path)
    with serving(*words) as (address, _), ExitStack() as open_ones:
        place = urlsplit(address)
        for _ in range(100):
            idle = socket.create_connection((place.hostname, place.port), timeout=WAIT)
            open_ones.enter_context(idle)

        def status(number):
            try:
                asked(f"{address}search?query=a%20red%20clock%20{number}")
            except urllib.error.HTTPError as error:
                return error.code
            return 200

        with ThreadPoolExecutor(100) as pool:
            found = set(pool.map(status, range(300)))
        assert found <= {200, 503}
        assert 200 in found
        assert asked(address + "runs")


@pytest.mark.slow
def test_an_address_of_ipv6(shown_runs, world, tmp_path):  # noqa: F811
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    words = ("--run", shown_runs[0], "--data", world / "scenes_precomp", "--keep", tmp_path)
    with serving(*words, "--host", "::1") as (address, _):
        assert address.startswith("http://[::1]:")
        assert asked(address + "runs")


def refused(*words):
    with pytest.raises(SystemExit) as left:
        explore.main([str(word) for word in words])
    return str(left.value.code)


def test_what_it_refuses(shown_runs, world, tmp_path, capsys):  # noqa: F811
    run, data = shown_runs[0], world / "scenes_precomp"
    start = ("--device", "cpu", "--keep", tmp_path / "keep", "--port", "0")
    told = refused(*start, "--run", tmp_path / "none", "--data", data)
    assert "no such run or checkpoint" in told
    told = refused(*start, "--run", run, tmp_path / "none", "--data", data)
    assert "no such run or checkpoint" in told
    assert not (tmp_path / "keep").exists()  # nothing was encoded
    assert "expected a folder <dataset>_precomp" in refused(
        *start, "--run", run, "--data", tmp_path
    )
    assert "no data" in refused(*start, "--run", run, "--data", tmp_path / "my_precomp")
    told = refused(*start, "--run", run, "--data", data, "--images", tmp_path / "none")
    assert "no such folder of pictures" in told
    told = refused(*start, "--run", run, "--data", data, "--host", "256.1.1.1")
    assert "cannot be listened on" in told
    assert "--bert does not apply" in refused(*start, "--run", shown_runs[1], "--bert", "x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = refused("--device", "cpu", "--run", run, "--port", port)
        assert f"--port {port}: cannot be listened on" in told
    refused("--run", run, "--port", "70000")
    assert "--port must be from 0" in capsys.readouterr().err
    refused("--run", run, "--exact")
    assert "--exact is for --embeddings" in capsys.readouterr().err


def test_the_index_is_left_out_if_asked(shown_runs, world, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    run, folder = shown_runs[0], tmp_path / "e"
    words = ["--checkpoint", run, "--dataset", "scenes", "--data_path", world, "--device", "cpu"]
    eval_script.main([str(word) for word in (*words, "--save_embeddings", folder)])
    (folder / "index").mkdir()
    (folder / "index" / "index.json").write_text("{}")
    start = ("--device", "cpu", "--port", "0", "--run", run, "--embeddings", folder)
    assert "is no manifest of an index" in refused(*start)
    explore.main([str(word) for word in (*start, "--exact")])
    assert "compared one by one" in capsys.readouterr().out
