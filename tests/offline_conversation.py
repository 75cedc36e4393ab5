"""A whole conversation in a real browser, to be run where there is no network: prints what was answered and asked for.

    unshare -rn python tests/offline_conversation.py DATA_FOLDER

Starts `fieldguide chat` as a user would, asks a question and a follow-up, opens the sources, the Learn page and the Library
page, and prints one JSON object: the answers, each host that the browser spoke to by any means, and every address that it
asked for. Ends with status 1 where the network is not cut.
"""

import errno
import fcntl
import json
import re
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import sync_playwright

from browser import QUIET, answers, ask, executable, finished, free_port, go_to_chat

# What Chromium asks for by itself, whatever page is open: updates, names for forms, and whether there is an IPv6 network.
BROWSERS_OWN = {"update.googleapis.com", "content-autofill.googleapis.com", "2001:4860:4860::8888"}
_LIFT_FLAGS, _IS_UP = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP of Linux


def lift_loopback() -> None:
    """A new namespace has a loopback that is down."""
    with socket.socket() as any_socket, suppress(OSError):
        fcntl.ioctl(any_socket, _LIFT_FLAGS, struct.pack("16sh14x", b"lo", _IS_UP))


def is_cut() -> bool:
    """Whether nothing but the loopback can be reached; the address belongs to documentation, and to nobody."""
    probe = "import socket; probe = socket.socket(); probe.settimeout(2); exit(probe.connect_ex(('192.0.2.1', 80)))"
    # Isolated, so that a guard around our own processes does not take the probe for a call of theirs.
    return subprocess.run([sys.executable, "-I", "-c", probe]).returncode == errno.ENETUNREACH


def serve(data: Path, port: int) -> "subprocess.Popen[bytes]":
    """`fieldguide chat`, once its page is there."""
    command = [sys.executable, "-m", "fieldguide", "chat", "--no-browser", "--port", str(port), "--data-dir", str(data)]
    server = subprocess.Popen(command)
    for _ in range(600):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return server
        if server.poll() is not None:
            sys.exit(f"the server ended with {server.returncode}")
        time.sleep(0.2)
    sys.exit("the page did not come")


def hosts_in(net_log: Path) -> list[str]:
    """Every host in the browser's own record of its network: looked up, or connected to, by whatever part of the page."""
    text = net_log.read_text(encoding="utf-8", errors="replace").rstrip().rstrip(",")
    try:
        log = json.loads(text)
    except ValueError:
        log = json.loads(text + "]}")  # the browser was ended before it wrote the end
    hosts = set()
    for event in log["events"]:
        given = event.get("params") or {}
        for name in ("url", "host", "address"):
            if isinstance(value := given.get(name), str) and value:
                host = urlsplit(value if "://" in value else f"//{value}").hostname
                hosts.add(host or value)
    resolvers = re.findall(r"^nameserver\s+(\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    return sorted(hosts - BROWSERS_OWN - set(resolvers))


def main() -> None:
    """Have the conversation."""
    data = Path(sys.argv[1])
    lift_loopback()
    if "--guarded" not in sys.argv and not is_cut():
        sys.exit("the network is not cut")
    port, requests = free_port(), []
    url = f"http://127.0.0.1:{port}/"
    server = serve(data, port)
    net_log = data / "net-log.json"
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable(), args=[*QUIET, f"--log-net-log={net_log}"])
            context = browser.new_context()
            context.set_default_timeout(600_000)
            context.on("request", lambda request: requests.append(request.url))
            page = context.new_page()
            page.on("websocket", lambda opened: requests.append(opened.url))
            page.set_default_timeout(120_000)  # a busy machine
            go_to_chat(page, url)
            ask(page, "Who introduced GANs, and when?")
            finished(page, timeout=400_000)
            ask(page, "What did they achieve?")
            finished(page, 2, timeout=600_000)
            page.locator("[data-do=sources]").last.click()
            said = answers(page)
            cited = page.inner_text(".fg-panel")
            page.goto(f"{url}learn")
            page.wait_for_selector("body.fl-started")
            page.goto(f"{url}library")
            page.wait_for_load_state("networkidle")
            browser.close()
    finally:
        server.terminate()
        server.wait(20)
    sys.stdout.write(
        json.dumps({"answers": said, "cited": cited, "hosts": hosts_in(net_log), "requests": sorted(set(requests))}) + "\n"
    )


if __name__ == "__main__":
    main()
