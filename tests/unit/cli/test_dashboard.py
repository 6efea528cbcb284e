"""A page of this machine alone: nobody else reaches it, nothing in it acts, and it fits a phone and a desk."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from sparkrelease.cli import app
from sparkrelease.cli.dashboard.feed import Feed
from sparkrelease.cli.dashboard.run import run_dashboard
from sparkrelease.cli.dashboard.server import DashboardServer
from sparkrelease.cli.exits import CliError, ExitCode
from testbed.browser import Browser, browser, browser_or_skip
from unit.cli.doors import FakeDoor
from unit.cli.samples import NOW, body

XSS = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    program = browser_or_skip()
    with browser(program) as page:
        yield page


def feed_of(release: dict[str, Any], looks: int = 24) -> Feed:
    """A feed that has looked some times, each time at something new."""
    door = FakeDoor(release)
    feed = Feed(door, everywhere=False)
    for number in range(looks):
        look_anew(feed, door, number)
    return feed


def look_anew(feed: Feed, door: FakeDoor, number: int) -> None:
    """Has the release change, and the feed look at it: the share that is rejected rises."""
    assert door.body is not None
    door.body["metadata"]["resourceVersion"] = str(number)
    for verdict in door.body["status"]["verdicts"]:
        if verdict["rule"] == "orders-rejected":
            share = 0.4 + number * 0.095
            verdict["value"], verdict["verdict"] = f"{share:.2f}% (19/728)", "Fail" if share > 2 else "Pass"
    feed.look(NOW + timedelta(seconds=number))


@pytest.fixture
def server() -> Iterator[DashboardServer]:
    yield from serving(feed_of(body()))


def serving(feed: Feed) -> Iterator[DashboardServer]:
    running = DashboardServer(lambda: feed.latest)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


def get(
    server: DashboardServer, path: str, *, host: str | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    line = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    line.request(method, path, headers={} if host is None else {"Host": host})
    answer = line.getresponse()
    found_there = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    line.close()
    return found_there


def inside(server: DashboardServer, name: str = "") -> str:
    return urlsplit(server.url).path + name


def test_the_data_is_what_the_command_line_says(server: DashboardServer) -> None:
    status, _, text = get(server, inside(server, "data.json"))
    data = json.loads(text)
    (release,) = data["releases"]
    assert (status, data["problem"]) == (200, "")
    assert (release["name"], release["version"], release["health"]) == ("trading/trading-api", "v1.4.0", "breached")
    rule = next(rule for rule in release["rules"] if rule["rule"] == "orders-rejected")
    assert (rule["limit"], rule["level"], len(rule["samples"])) == ("> 2%", 2.0, 24)


def test_only_this_machine_reaches_it(server: DashboardServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("name", ["", "page.js", "page.css", "data.json"])
def test_who_does_not_know_the_path_gets_nothing(server: DashboardServer, name: str) -> None:
    assert get(server, inside(server, name))[0] == 200
    for path in (f"/{name}", f"/wrong/{name}", f"/{server.token[:-1]}/{name}", f"/{server.token}x/{name}"):
        assert get(server, path)[0::2] == (404, b"")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "", "127.0.0.1:1"])
def test_a_name_made_to_point_here_gets_nothing(server: DashboardServer, host: str) -> None:
    """DNS rebinding: the browser asks this address under somebody else's name."""
    assert get(server, inside(server), host=host)[0::2] == (421, b"")


def test_it_answers_to_localhost_too(server: DashboardServer) -> None:
    assert get(server, inside(server), host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_nothing_but_get_is_taken(server: DashboardServer, method: str) -> None:
    assert get(server, inside(server), method=method)[0] == 501


@pytest.mark.parametrize("path", ["../watch.py", "%2e%2e/watch.py", "page.html/", "feed.py", "data.json?x=1"])
def test_nothing_else_is_there(server: DashboardServer, path: str) -> None:
    assert get(server, inside(server, path))[0] == 404


def test_every_answer_forbids_what_the_page_does_not_need(server: DashboardServer) -> None:
    for path in (inside(server), inside(server, "data.json"), "/wrong/"):
        headers = get(server, path)[1]
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer", "the path is a secret"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_what_was_seen_last_stays_when_the_cluster_goes_away() -> None:
    door = FakeDoor(body())
    feed = Feed(door, everywhere=False)
    feed.look(NOW)

    def gone(_: object) -> None:
        raise CliError(ExitCode.UNREACHABLE, "cannot reach https://cluster: refused")

    door.releases = lambda *, everywhere: gone(everywhere)  # type: ignore[method-assign, assignment, return-value]
    feed.look(datetime.now(UTC))
    assert feed.latest["problem"] == "cannot reach https://cluster: refused"
    assert len(feed.latest["releases"]) == 1  # type: ignore[arg-type]
    assert feed.latest["at"] == "2026-11-21T14:03:50.000Z", "it says how old it is"


@pytest.mark.parametrize("port", ["65536", "-1", "http", "80.5"])
def test_a_port_that_is_none_is_refused(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        app.app(["dashboard", "--port", port, "--kubeconfig", "none"])
    assert left.value.code == ExitCode.USAGE
    assert "--port" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said_in_a_sentence(server: DashboardServer) -> None:
    with pytest.raises(CliError, match=rf"port {server.server_port} cannot be used: Address already in use") as left:
        run_dashboard(FakeDoor(body()), port=server.server_port, every=5, everywhere=False)
    assert left.value.code is ExitCode.USAGE


def hostile() -> dict[str, Any]:
    """A release whose every free text wants to be a script."""
    made = body()
    for verdict in made["status"]["verdicts"]:
        verdict["message"] = verdict["value"] = XSS
    for condition in made["status"]["conditions"]:
        condition["message"] = XSS
    made["status"]["run"]["version"] = XSS
    made["status"]["stage"]["name"] = "a-very-long-name-of-a-stage-" * 4
    return made


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_says_nothing_bad_in_a_browser(window: Browser, width: int, dark: bool) -> None:
    for running in serving(feed_of(body())):
        window.said.clear()
        window.open(running.url, width=width, dark=dark)
        window.until("document.querySelectorAll('article li').length === 5")
        assert window.run("document.documentElement.scrollWidth") <= width
        assert window.run("document.querySelectorAll('.chart polyline').length") >= 4
        assert window.run("document.querySelector('.word').textContent") == "✖ breached"
        back = window.run("getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(15, 19, 24)") is dark
        assert window.said == [], "no error, and nothing the policy had to stop"


@pytest.mark.slow
def test_a_script_in_a_release_is_shown_and_not_run(window: Browser) -> None:
    for running in serving(feed_of(hostile(), looks=1)):
        window.said.clear()
        window.open(running.url, width=360)
        window.until("document.querySelectorAll('article li').length === 5")
        assert window.run("document.title") == "SparkRelease"
        assert window.run("document.querySelectorAll('img, article script').length") == 0
        assert XSS in window.run("document.querySelector('article').textContent")
        assert window.run("document.documentElement.scrollWidth") <= 360
        assert (window.said, window.dialogs) == ([], 0)


RULE = "[...document.querySelectorAll('article li')].find((line) => line.textContent.includes('orders-rejected'))"
POINTS = f"{RULE}.querySelector('polyline').getAttribute('points').split(' ').length"
SEEN = "document.getElementById('seen')"


@pytest.mark.slow
def test_an_open_page_shows_what_changes_and_says_when_nobody_answers_it_any_more(window: Browser) -> None:
    door = FakeDoor(body())
    feed = Feed(door, everywhere=False)
    for number in range(3):
        look_anew(feed, door, number)
    for running in serving(feed):
        window.said.clear()
        window.open(running.url, width=1440)
        window.until(f"{RULE}?.textContent.includes('0.59%')")
        assert window.run(POINTS) == 3

        look_anew(feed, door, 3)
        window.until(f"{RULE}.textContent.includes('0.69%')")
        assert window.run(POINTS) == 4, "one look more is one point more"
        assert window.run(f"{SEEN}.textContent") == "1 in sight, seen at 14:03:53 UTC"
        assert window.run(f"{SEEN}.classList.contains('trouble')") is False
        assert window.said == []

        running.shutdown()
        running.server_close()
        window.until(f"{SEEN}.textContent.includes('does not answer any more: what is below is old')")
        assert window.run(f"{SEEN}.classList.contains('trouble')") is True
        assert window.run(f"{RULE}.textContent.includes('0.69%')") is True, "what was seen last stays"
