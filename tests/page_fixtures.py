"""A headless Chromium, and the page at / in it. Screenshots are left in build/screenshots/ for a person to look at."""

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from support import ROOT, eventually

SCREENSHOTS = ROOT / "build/screenshots"


@pytest.fixture(scope="session")
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, webdriver.ChromeService("/usr/bin/chromedriver"))
    yield browser
    browser.quit()


class Page:
    def __init__(self, browser, url):
        self.browser = browser
        self.url = url

    def open(self, path="/", width=1280, height=1000, status="live"):
        # Chromium draws no window narrower than 500 px; the emulated device is as narrow as it says.
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.browser.get("about:blank")  # so that another fragment is another load
        self.browser.get_log("browser")
        self.browser.get(self.url + path)
        eventually(lambda: self.text("status") == status, f"the page is {status}")
        return self

    def text(self, element_id):
        return self.browser.find_element(By.ID, element_id).text

    def all(self, css):
        return self.browser.find_elements(By.CSS_SELECTOR, css)

    def texts(self, css):
        try:
            return [e.text for e in self.all(css)]
        except StaleElementReferenceException:
            return []

    def js(self, script, *arguments):
        return self.browser.execute_script("return " + script, *arguments)

    def errors(self):
        return [e["message"] for e in self.browser.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def picture(self, name):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        height = self.js("document.documentElement.scrollHeight")
        width = self.js("window.innerWidth")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert self.browser.save_screenshot(str(SCREENSHOTS / name))
