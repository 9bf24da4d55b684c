"""The explorer's page in a browser: search, click, layers, two runs side by side."""

import os
import re
import shutil
import time

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from tests.display.conftest import shown_runs  # noqa: F401
from tests.scripts.test_explore import WAIT, serving


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
