"""A headless Chromium that looks at the status page: Debian's chromium, chromium-driver and python3-selenium."""

import base64
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import eventually
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service as DriverService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

TIMEOUT = 20  # Seconds until a test gives up waiting. Never reached when all is well.
SIZES = {"wide": (1440, 1000), "middle": (1024, 800), "narrow": (390, 844)}

# Before the page's own script: what the policy for its content has forbidden.
WATCH = """
window.violations = [];
document.addEventListener('securitypolicyviolation',
  (e) => violations.push(`${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
"""


class Browser:
    """One window. `problems()` says what went wrong in it since it was asked last."""

    def __init__(self, profile: str):
        options = Options()
        options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
        for flag in (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            f"--user-data-dir={profile}",
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver_path = shutil.which("chromedriver") or "/usr/bin/chromedriver"
        self.driver = webdriver.Chrome(service=DriverService(driver_path), options=options)
        self.driver.set_script_timeout(TIMEOUT)
        self.cdp("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
        self.look("wide", "light")

    def cdp(self, command: str, **parameters: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, parameters)

    def look(self, size: str, theme: str) -> None:
        width, height = SIZES[size]
        touch = size == "narrow"
        self.cdp("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=touch)
        self.cdp("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def open(self, url: str) -> None:
        self.driver.get(url)

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        """Of all that match, at one moment."""
        script = "return Array.from(document.querySelectorAll(arguments[0]), (e) => e.textContent)"
        return [str(text) for text in self.run(script, selector)]

    def shown(self, selector: str) -> bool:
        return bool(self.run("return document.querySelector(arguments[0])?.checkVisibility() ?? false", selector))

    def click(self, selector: str) -> None:
        eventually(lambda: self.shown(selector), f"{selector} is shown")
        self.one(selector).click()

    def choose(self, selector: str, value: str) -> None:
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
        self.run(script, self.one(selector), value)

    def type(self, selector: str, text: str) -> None:
        element = self.one(selector)
        element.clear()
        element.send_keys(text)

    def overflow(self) -> int:
        """By how many pixels the page is wider than its window."""
        script = """
        const e = document.documentElement;
        return Math.max(e.scrollWidth, document.body.scrollWidth) - e.clientWidth;
        """
        return int(self.run(script))

    def screenshot(self, path: Path, whole: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = self.cdp("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def problems(self, expected: str = "") -> list[str]:
        """Errors in the console without the word `expected`, and what its policy has forbidden."""
        log = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
        found = [message for message in log if not (expected and expected in message)]
        return found + [f"forbidden: {violation}" for violation in self.run("return window.violations ?? []")]


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True) as profile:
        opened = Browser(profile)
        try:
            yield opened
        finally:
            opened.driver.quit()
