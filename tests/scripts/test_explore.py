"""scripts/explore.py as a user starts it: a process that serves, and what it refuses."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

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


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Debian's Chromium without a screen."""
    programs = shutil.which("chromium"), shutil.which("chromedriver")
    if None in programs:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    user = tmp_path_factory.mktemp("user")
    for word in (
        "headless=new", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
        "disable-background-networking", "disable-component-update", "disable-sync",
        "window-size=1500,1250", f"user-data-dir={user}",
    ):  # fmt: skip
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(programs[1]))
    yield driver
    driver.quit()


def waiting(browser, selector, text=None):
    """The first shown element that a selector finds, once there is one (that holds the text)."""

    def found(driver):
        elements = driver.find_elements(By.CSS_SELECTOR, selector)
        fits = (e for e in elements if e.is_displayed() and (text is None or text in e.text))
        return next(fits, None)

    # What is drawn anew between finding and asking is found again.
    again = [StaleElementReferenceException]
    return WebDriverWait(browser, WAIT, ignored_exceptions=again).until(found)


def search(browser, query):
    field = waiting(browser, "#query")
    field.clear()
    field.send_keys(query + Keys.ENTER)
    columns = browser.find_element(By.ID, "columns")
    WebDriverWait(browser, WAIT).until(lambda _: columns.get_attribute("data-query") == query)


def heat(browser):
    """How much of the picture is under the map, from its canvas."""
    return browser.execute_script(
        "const c = document.getElementById('heat');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n / (d.length / 4);"
    )


@pytest.mark.slow
def test_the_page_in_a_browser(browser, shown_runs, world, tmp_path):  # noqa: F811
    """Search, click, each layer, and two runs side by side; screenshots go to $SCREENSHOTS."""
    folder = os.environ.get("SCREENSHOTS")

    def screenshot(name):
        if folder:
            browser.save_screenshot(f"{folder}/{name}.png")

    data = world / "scenes_precomp"
    words = ("--run", *shown_runs, "--data", data, "--keep", tmp_path / "keep")
    with serving(*words) as (address, _):
        browser.get(address)
        waiting(browser, "#examples button").click()
        waiting(browser, "#status", " ms")
        search(browser, "a red clock and a green sheep")
        columns = browser.find_elements(By.CSS_SELECTOR, ".column")
        assert [c.find_element(By.TAG_NAME, "h2").text for c in columns] == [
            "3SHNet region", "LHSC region",
        ]  # fmt: skip
        assert [len(c.find_elements(By.CSS_SELECTOR, ".tile")) for c in columns] == [10, 10]
        screenshot("two_runs")
        columns[0].find_element(By.CSS_SELECTOR, ".tile").click()
        waiting(browser, "#detail h2", ".png")
        assert len(browser.find_elements(By.CSS_SELECTOR, "#best .right")) >= 1
        assert len(browser.find_elements(By.CSS_SELECTOR, "#own .right")) == 5
        layers = browser.find_elements(By.CSS_SELECTOR, "#layers label")
        told = [layer.text for layer in layers]
        assert told[:2] == ["nothing", "VSeM: agreement"]
        assert "VSpM: attention of region 1" in told
        for layer in layers:
            layer.find_element(By.TAG_NAME, "input").click()
            covered = heat(browser)
            assert (covered == 0) == (layer.text == "nothing"), layer.text
            screenshot("layer_" + re.sub(r"\W+", "_", layer.text))
        frames = browser.find_elements(By.CSS_SELECTOR, "#frames rect")
        assert len(frames) == 6
        frames[-1].click()  # the smallest one, over all others
        waiting(browser, "#frames rect.chosen")
        for box in ("boxes", "map"):
            browser.find_element(By.ID, box).click()
        assert browser.find_element(By.ID, "labels").is_displayed()
        waiting(browser, "#keys span", "%")
        screenshot("labels")
        # Another sentence of the picture, then the family that scores pairs.
        browser.find_elements(By.CSS_SELECTOR, "#own button")[2].click()
        waiting(browser, "#own .chosen")
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
        assert not browser.find_element(By.ID, "detail").is_displayed()
        columns[1].find_element(By.CSS_SELECTOR, ".tile").click()
        waiting(browser, "#words h3", "choose one")
        words = browser.find_elements(By.CSS_SELECTOR, "#words button")
        word = words[2].text
        words[2].click()
        waiting(browser, "#words button.chosen", word)
        screenshot("words")
        for layer in browser.find_elements(By.CSS_SELECTOR, "#layers label"):
            layer.find_element(By.TAG_NAME, "input").click()
            assert (heat(browser) == 0) == (layer.text == "nothing"), layer.text
        assert not browser.find_element(By.ID, "labelled").is_displayed()  # it reads no label map
        # Who clicks twice sees what was clicked on last, whichever answer comes first.
        browser.execute_script(
            "const plain = window.fetch; let slow = true;"
            "window.fetch = async (...words) => {"
            "  const answer = await plain(...words);"
            "  if (slow) { slow = false; await new Promise(done => setTimeout(done, 1500)); }"
            "  return answer; };"
        )
        tiles = columns[1].find_elements(By.CSS_SELECTOR, ".tile")
        tiles[3].click()
        tiles[4].click()
        waiting(browser, "#detail h2", tiles[4].get_attribute("data-id"))
        time.sleep(2)  # the first answer has come
        assert tiles[4].get_attribute("data-id") in browser.find_element(By.ID, "name").text
        browser.set_window_size(700, 900)
        top = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
        tiles[2].click()
        waiting(browser, "#detail h2", tiles[2].get_attribute("data-id"))
        header = "return document.querySelector('header').getBoundingClientRect().bottom"
        assert browser.execute_script(top, "name") >= browser.execute_script(header) - 1
        screenshot("narrow")
        browser.set_window_size(1500, 1250)
        # Markup is text, and an empty sentence is told.
        search(browser, "<img src=x onerror=\"document.title='owned'\"> <b>bold</b>")
        waiting(browser, ".tile").click()
        waiting(browser, "#pair", "<b>bold</b>")
        assert browser.title == "Explorer"
        browser.find_element(By.ID, "query").clear()
        browser.find_element(By.ID, "query").send_keys(Keys.ENTER)
        waiting(browser, "#status.wrong", "Type a sentence first")
        wrong = [one for one in browser.get_log("browser") if one["level"] == "SEVERE"]
        assert wrong == []
