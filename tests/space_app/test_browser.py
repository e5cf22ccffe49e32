"""The page in a browser: what visitors see and do, on a desktop and on a phone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.spaces import browser

# The contrast of every text on the page with what is behind it; those below WCAG AA are returned.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const known = new Map();
const parse = (colour) => {
  if (!known.has(colour)) known.set(colour, measured(colour));
  return known.get(colour);
};
const measured = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
const behind = (node) => {
  const layers = [];
  for (; node; node = node.parentElement) layers.push(parse(getComputedStyle(node).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
};
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
const faint = [];
const walker = document.createTreeWalker(document.querySelector('.gradio-container'), NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  const skipped = node.closest('.unseen, svg, style, script, :disabled');
  if (!walker.currentNode.data.trim() || skipped || !node.checkVisibility()) continue;
  const back = behind(node);
  const [a, b] = [light(over(parse(getComputedStyle(node).color), back)), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) faint.push(walker.currentNode.data.trim() + ' ' + ratio.toFixed(2));
}
return faint;
"""


VIEWS = {
    "Entities": "Entities",
    "Denoising": "Canvas",
    "1 against 8 steps": "One step against eight",
    "Uncertainty": "Uncertainty",
}


class Visitor:
    """Someone at the page."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, theme: str = "light") -> None:
        self.driver.get(f"{self.address}/?__theme={theme}")
        self.wait(lambda: self.all("#result .view"))

    def all(self, selector: str) -> list[Any]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, condition: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + 30
        while not (value := condition()):
            assert time.monotonic() < deadline, self.driver.find_element(By.TAG_NAME, "body").text
            time.sleep(0.05)
        return value

    def wait_for(self, text: str) -> None:
        self.wait(lambda: text in self.result())

    def result(self) -> str:
        return self.run("return document.querySelector('#result').innerText")

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    def press(self, name: str) -> None:
        self.driver.find_element(By.XPATH, f"//button[normalize-space()='{name}']").click()

    def choose(self, name: str) -> None:
        self.driver.find_element(By.XPATH, f"//label[normalize-space()='{name}']").click()

    def see(self, choice: str) -> None:
        self.choose(choice)
        self.wait(lambda: self.all(f"#result section[aria-label='{VIEWS[choice]}']"))

    def write(self, field: int, text: str) -> None:
        """Replace what is in the text (0) or the types (1), as by pasting."""
        area = self.all("#ask textarea")[field]
        area.send_keys(Keys.CONTROL, "a")
        area.send_keys(Keys.DELETE)
        if text:
            self.driver.execute_cdp_cmd("Input.insertText", {"text": text})

    def top(self, selector: str) -> float:
        return self.run(f"return document.querySelector('{selector}').getBoundingClientRect().top")

    def frame(self) -> int:
        return int(self.all("#result .player")[0].get_attribute("data-current"))

    def screenshot(self, path: Path) -> None:
        assert self.driver.save_screenshot(str(path))
        assert path.stat().st_size > 20_000  # an empty page is smaller


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("profile"), 1280, 1000) as started:
        yield started


@pytest.fixture(scope="module")
def visitor(driver: Any, address: str) -> Visitor:
    return Visitor(driver, address)


def test_extract_and_change_types(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open()
    assert visitor.all("#result mark")  # the example is answered on load
    assert visitor.run(CONTRAST.replace("< 4.5", "< 22"))  # the measure would see faint text
    visitor.screenshot(tmp_path / "desktop.png")
    assert visitor.run(CONTRAST) == []
    visitor.write(0, "Ada Lovelace was born in London.")
    visitor.write(1, "person, city")
    visitor.press("Extract")
    visitor.wait_for("Ada Lovelace")
    assert [entry.text.rstrip("0123456789 ") for entry in visitor.all("#result .legend li")] == [
        "person",
        "city",
    ]
    visitor.write(1, "town")
    visitor.all("#ask textarea")[1].send_keys(Keys.ENTER)
    visitor.wait(lambda: "person" not in visitor.result())
    visitor.press("Music")
    visitor.wait_for("Nina Simone")


def test_markup_and_template_signs_are_shown_as_they_are(visitor: Visitor) -> None:
    visitor.open()
    text = "<script>document.title='x'</script><img src=x onerror=\"document.title='y'\"> "
    text += "{{Ada}} ${Bob} `Oslo` &lt;"
    visitor.write(0, text)
    visitor.write(1, "person, <b>city</b>")
    visitor.press("Extract")
    visitor.wait_for("onerror")
    for choice in VIEWS:
        visitor.see(choice)
        assert "onerror" in visitor.result()
        assert not visitor.all("#result img, #result script, #result li b > b, #result td > b")
        assert visitor.driver.title == "DiffusionNER-Zero"
    # The passage is the text, once the labels are out.
    shown = "const p = document.querySelector('#result .passage').cloneNode(true);"
    shown += "p.querySelectorAll('.tag').forEach((t) => t.remove()); return p.textContent"
    assert visitor.run(shown) == text


def test_denoising_plays_pauses_and_steps(visitor: Visitor, tmp_path: Path) -> None:
    visitor.open()
    visitor.see("Denoising")
    visitor.wait(lambda: 0 < visitor.frame() < 8)  # it plays by itself
    visitor.press("Pause")
    paused = visitor.frame()
    masked = len(visitor.run("return [...document.querySelectorAll('#result .slots .masked:not([hidden])')]"))
    assert masked > 0
    visitor.screenshot(tmp_path / "denoising.png")
    assert visitor.run(CONTRAST) == []
    visitor.all("#result [data-move='-1']")[0].click()
    assert visitor.frame() == paused - 1
    time.sleep(0.8)
    assert visitor.frame() == paused - 1  # it stays paused
    slider = visitor.all("#result input[type=range]")[0]
    slider.send_keys(Keys.END)
    assert visitor.frame() == 8
    assert slider.get_attribute("aria-valuetext").startswith("step 8 of 8")
    assert not visitor.run("return document.querySelectorAll('#result .slots .masked:not([hidden])').length")
    assert not visitor.all("#result [data-move='1']")[0].is_enabled()
    slider.send_keys(Keys.ARROW_LEFT)
    assert visitor.frame() == 7
    visitor.choose("Completion: a written list")
    visitor.wait(lambda: visitor.all("#result .slots.completion"))
    visitor.wait(lambda: 0 < visitor.frame() < 8)


def test_reduced_motion_shows_the_last_step_at_rest(visitor: Visitor) -> None:
    still = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    visitor.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": still})
    try:
        visitor.open()
        visitor.see("Denoising")
        time.sleep(0.8)
        assert visitor.frame() == 8
        assert visitor.run("return document.querySelector('#result [data-play]').textContent") == "Play"
    finally:
        visitor.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_too_long_a_text_and_no_types_are_explained(visitor: Visitor) -> None:
    visitor.open()
    visitor.write(1, "")
    visitor.press("Extract")
    visitor.wait_for("There is no entity type yet. Name at least one")
    visitor.write(1, "person")
    visitor.write(0, "long " * 401)
    visitor.press("Extract")
    visitor.wait_for("The text has 2,005 characters and this demo takes 2,000: take 5 out.")
    assert visitor.all("#result [role=alert]")
    assert visitor.run(CONTRAST) == []
    visitor.write(0, "Ada Lovelace was here.")
    visitor.press("Extract")
    visitor.wait(lambda: visitor.all("#result mark"))
    assert not visitor.all("#result [role=alert]")


def test_keyboard_and_screen_reader_names(visitor: Visitor) -> None:
    visitor.open()
    visitor.all("#view input")[0].send_keys(Keys.ARROW_RIGHT)
    visitor.wait(lambda: visitor.all("#result .player"))
    tree = visitor.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node.get("ignored") and "role" in node
    }
    assert {("region", "Canvas"), ("button", "Previous step"), ("slider", "Step"), ("list", "Slots")} <= named
    groups = {name for role, name in named if role in ("group", "radiogroup")}
    assert {"View", "Canvas", "Denoising"} <= groups
    interactive = [
        name for role, name in named if role in ("button", "slider", "textbox", "radio", "spinbutton")
    ]
    assert all(interactive)


def test_phone_and_dark(visitor: Visitor, tmp_path: Path) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    visitor.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        for theme, choice in (("light", "1 against 8 steps"), ("dark", "Uncertainty")):
            visitor.open(theme)
            visitor.see(choice)
            assert visitor.run("return document.documentElement.scrollWidth") == 390  # nothing sticks out
            tops = [visitor.top(part) for part in ("#ask textarea", "#result", "#settings")]
            assert tops == sorted(tops)
            assert visitor.run(CONTRAST) == []
            visitor.screenshot(tmp_path / f"phone-{theme}.png")
    finally:
        visitor.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
