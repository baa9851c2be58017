"""Looks at the built site in a browser, after `make docs`.

It wants chromium and chromedriver on the PATH (on Debian `apt-get install chromium
chromium-driver`), and is no part of CI. Each page is opened at the width of a phone and
of a desk, in the light and in the dark, and must

- log no error in the console, and ask for nothing that is not there,
- be no wider than its window,
- be dark where the reader's system is, with text that can be read on it,
- link only to pages and headings of the site that exist.

The search must find something. What is wrong is listed, and the exit code says so.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

SITE = Path(__file__).parents[1] / "site"
WIDTHS = (390, 1280)  # a phone, a desk
SCHEMES = ("light", "dark")
LOOK = """
const wide = [...document.querySelectorAll('body *')].filter(e =>
  e.getBoundingClientRect().right > arguments[0] + 1 && getComputedStyle(e).position
  !== 'fixed' && !e.closest('.md-typeset__scrollwrap, pre, .md-sidebar, .md-search'));
const text = document.querySelector('.md-typeset') || document.body;
return {
  scroll: document.documentElement.scrollWidth,
  widest: wide.slice(0, 3).map(e => e.outerHTML.slice(0, 80)),
  links: [...document.querySelectorAll('a[href]')].map(a => a.href),
  pictures: [...document.images].filter(
    i => i.complete && !i.naturalWidth && i.loading !== 'lazy').map(i => i.src),
  paper: getComputedStyle(document.body).backgroundColor,
  ink: getComputedStyle(text).color,
};
"""
SEARCH = """
document.querySelector('[data-md-toggle=search]').checked = true;
const input = document.querySelector('.md-search__input');
input.focus(); input.value = arguments[0];
input.dispatchEvent(new KeyboardEvent('keyup', {bubbles: true}));
"""
FOUND = "return document.querySelectorAll('.md-search-result__item').length"


class Browser:
    """A session of chromedriver: its protocol is JSON over HTTP."""

    def __init__(self, port: int):
        self._root = f"http://127.0.0.1:{port}"
        options = {"args": ["--headless=new", "--no-sandbox", "--disable-gpu"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL"},
        }
        started = self._send("/session", {"capabilities": {"alwaysMatch": wanted}})
        self._root += f"/session/{started['sessionId']}"

    def _send(self, path: str, body: Any = None, method: str = "POST") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self._send("/url", {"url": url})

    def run(self, script: str, *args: Any) -> Any:
        return self._send("/execute/sync", {"script": script, "args": args})

    def command(self, name: str, **params: Any) -> Any:
        return self._send("/goog/cdp/execute", {"cmd": name, "params": params})

    def errors(self) -> list[str]:
        """What the console says since the last call, but for what is mere talk."""
        entries = self._send("/se/log", {"type": "browser"})
        return [e["message"] for e in entries if e["level"] in ("SEVERE", "WARNING")]

    def close(self) -> None:
        self._send("", method="DELETE")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serves the site to the browser, as the search needs it."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser without a window, for the time of the block."""
    driver = shutil.which("chromedriver")
    if driver is None:
        sys.exit("site_check: chromedriver is not on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([driver, f"--port={port}", "--silent"])
    try:
        browser = _connect(port)
        yield browser
        browser.close()
    finally:
        process.terminate()
        process.wait()


def _connect(port: int) -> Browser:
    for _ in range(50):
        try:
            return Browser(port)
        except ConnectionError:
            time.sleep(0.1)
        except urllib.error.URLError:
            time.sleep(0.1)
    sys.exit("site_check: chromedriver does not answer")


def luminance(colour: str) -> float:
    """How bright a colour is, from 0 to 1, as WCAG 2.1 defines it."""
    parts = [float(p) / 255 for p in re.findall(r"[\d.]+", colour)[:3]]
    linear = [
        p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
    ]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(ink: str, paper: str) -> float:
    """How well text is told from what it stands on: 1 not at all, 21 best."""
    low, high = sorted([luminance(ink), luminance(paper)])
    return (high + 0.05) / (low + 0.05)


def faults_of(seen: dict[str, Any], width: int, scheme: str) -> Iterator[str]:
    """What is wrong with a page as it was seen."""
    if seen["scroll"] > width:
        yield f"wider than its window ({seen['scroll']} px): {seen['widest']}"
    for picture in seen["pictures"]:
        yield f"no picture: {picture}"
    if is_dark(seen) != (scheme == "dark"):
        yield f"not {scheme}: {seen['paper']}"
    if contrast(seen["ink"], seen["paper"]) < 4.5:
        yield f"{seen['ink']} is not to be read on {seen['paper']}"


def is_dark(seen: dict[str, Any]) -> bool:
    return luminance(seen["paper"]) < 0.2


def settled(browser: Browser, width: int, scheme: str) -> dict[str, Any]:
    """What is to be seen when the page had time to change its colours."""
    for _ in range(20):
        seen = browser.run(LOOK, width)
        if is_dark(seen) == (scheme == "dark"):
            break
        time.sleep(0.1)
    return browser.run(LOOK, width)


def broken(links: set[str], root: str, site: Path) -> Iterator[str]:
    """The links into the site that lead nowhere."""
    for link in sorted(links):
        url, anchor = urldefrag(link)
        if not url.startswith(root):
            continue
        path = site / unquote(url.removeprefix(root) or "index.html")
        path = path / "index.html" if path.is_dir() else path
        if not path.exists():
            yield f"broken link: {link}"
        elif anchor and f'id="{unquote(anchor)}"' not in path.read_text("utf-8"):
            yield f"no such heading: {link}"


def look_at(browser: Browser, root: str, page: str) -> tuple[list[str], set[str]]:
    """The faults of a page at each width and scheme, and its links."""
    faults: list[str] = []
    links: set[str] = set()
    for width in WIDTHS:
        browser.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        browser.open(urljoin(root, page))
        for scheme in SCHEMES:  # night falls over an open page
            media = [{"name": "prefers-color-scheme", "value": scheme}]
            browser.command("Emulation.setEmulatedMedia", features=media)
            for _ in range(20):  # the page is told of the night, and takes its time
                seen = settled(browser, width, scheme)
                found = list(faults_of(seen, width, scheme))
                if not found:
                    break
                time.sleep(0.1)
            links |= set(seen["links"])
            found += browser.errors()
            faults += [f"{page} at {width} px, {scheme}: {f}" for f in found]
    return faults, links


def searches(browser: Browser, root: str, words: str) -> bool:
    """Whether the search of the site finds anything."""
    browser.open(root)
    for _ in range(100):
        browser.run(SEARCH, words)
        time.sleep(0.1)
        if browser.run(FOUND):
            return True
    return False


def main() -> int:
    pages = sorted(str(p.relative_to(SITE)) for p in SITE.rglob("*.html"))
    if not pages:
        sys.exit(f"site_check: there is no site in {SITE}; make docs")
    faults: list[str] = []
    links: set[str] = set()
    with serving(SITE) as root, browsing() as browser:
        for page in pages:
            wrong, found = look_at(browser, root, page)
            faults += wrong
            links |= found
        faults += broken(links, root, SITE)
        if not searches(browser, root, "early stopping"):
            faults.append("the search finds nothing")
    print("\n".join(faults))
    print(
        f"{len(pages)} pages at {WIDTHS} px in {SCHEMES}, {len(links)} links: "
        f"{len(faults)} faults"
    )
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
