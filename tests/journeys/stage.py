"""The product with a browser in front of it, for journeys through the console."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from tests.conftest import missing
from tests.journeys.product import Product, Receiver

CHROMIUM = Path("/usr/bin/chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PICTURES = Path(__file__).parents[2] / "build" / "screenshots"
PASSWORD = "a long and good password 1"
PAGES = (
    "/", "/jobs", "/jobs?of=house", "/schedules", "/webhooks", "/audit", "/keys", "/settings?show=all",
    "/traffic", "/levels?show=all", "/levels/route?route=GET%20/health", "/cost", "/health", "/flags", "/flags/own/demo.form",
    "/predict/matches", "/predict/matches?show=played", "/predict/reliability",
    "/providers", "/providers/open_meteo", "/route", "/playground", "/playground?tab=chat",
    "/dispatch/board?day=tomorrow", "/dispatch/bookings",
)  # fmt: skip
# Waiting ends as soon as what is waited for is there; a machine that has much else to do may take its time.
WAIT_MS = 60_000
expect.set_options(timeout=WAIT_MS)
# Whatever fades in or moves has arrived; what turns for ever never does.
_SETTLED = """document.getAnimations().every(
  (one) => one.playState !== "running" || one.effect.getComputedTiming().endTime === Infinity)"""


@dataclass
class Watched:
    """A page whose faults are written down: errors in its console, failed answers, requests to anywhere else."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_MS)
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "Failed to load resource" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, self.url.replace("http", "ws"), "data:", "blob:")):
            self.faults.append(f"outside: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500:
            self.faults.append(f"{response.status}: {response.url}")

    def go(self, path: str) -> Page:
        """Open a page of the console and wait until it lives."""
        self.page.goto(f"{self.url}/console{path}")
        self.page.wait_for_function("window.did_handshake === true")
        return self.page

    def settle(self) -> None:
        """Wait until nothing fades or moves any more."""
        self.page.wait_for_function(_SETTLED)

    def picture(self, name: str) -> None:
        """Keep a picture of it."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        self.page.wait_for_timeout(700)  # charts are drawn a moment after they are there
        self.page.screenshot(path=PICTURES / f"{name}.png", full_page=True)


@dataclass
class Stage:
    """The product, the browser, and the cookies of who has signed in."""

    product: Product
    browser: Browser
    receiver: Receiver
    cookies: dict[str, str] = field(default_factory=dict)

    def watched(self, context: BrowserContext) -> Watched:
        return Watched(context.new_page(), self.product.url)

    def context(
        self, *, dark: bool = False, phone: bool = False, who: str = "ada@example.com", language: str = "en-US"
    ) -> BrowserContext:
        """A browser of a person who is signed in."""
        context = self.browser.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1440, "height": 900},
            color_scheme="dark" if dark else "light",
            timezone_id="Europe/Zurich",
            locale=language,
            accept_downloads=True,
        )
        if who not in self.cookies:
            body = {"email": who, "password": PASSWORD, "cookie": True}
            answer = context.request.post(f"{self.product.url}/v1/auth/login", data=body)
            assert answer.ok, answer.text()
            self.cookies[who] = next(c["value"] for c in context.cookies() if c["name"] == "ossature_session")
            proof = next(c["value"] for c in context.cookies() if c["name"] == "ossature_csrf")
            self.cookies[f"{who} csrf"] = proof
        context.add_cookies(
            [
                {"name": "ossature_session", "value": self.cookies[who], "url": self.product.url, "httpOnly": True},
                {"name": "ossature_csrf", "value": self.cookies[f"{who} csrf"], "url": self.product.url},
            ]
        )
        return context


@contextmanager
def open_stage(
    folder: Path, *, module: str = "ossature.app", environment: Mapping[str, str] | None = None
) -> Iterator[Stage]:
    """A stage while it is open: two people have an account, and there was a little traffic. environment: more settings."""
    if not CHROMIUM.exists():
        missing("Chromium")
    receiver = Receiver()
    product = Product(
        folder,
        environment={
            "OSSATURE_OUTBOUND_PRIVATE_HOSTS": receiver.host,
            "OSSATURE_AUTH_CACHE_S": "0",
            **(environment or {}),
        },
        arguments=("--demo",),
        module=module,
    )
    with product, sync_playwright() as playwright:
        for email, roles in (("ada@example.com", ["platform_admin"]), ("vic@example.com", ["viewer"])):
            user = {"email": email, "name": email.partition("@")[0].title(), "roles": roles, "password": PASSWORD}
            status, said = product.ask("POST", "/v1/auth/users", user)
            assert status == 201, said
        for _ in range(5):
            product.ask("GET", "/v1/auth/me")
            product.ask("GET", "/v1/hub/weather/current?latitude=46.2&longitude=6.1")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield Stage(product, browser, receiver)
        browser.close()
        assert product.stop() == 0  # killed, it would leave the simulator behind
    receiver.close()
