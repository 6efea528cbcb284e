"""Whatever a metrics server does becomes an answer or a reason; nothing raises, leaks, or waits for ever."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from fakes.prometheus_server import MisbehavingServer, vector
from sparkrelease.adapters.prometheus import PrometheusSource
from sparkrelease.adapters.prometheus.client import BoundedPrometheus, TooSlowError
from sparkrelease.api.config import MetricsServer
from sparkrelease.api.reasons import Reason
from sparkrelease.decide.facts import Missing
from sparkrelease.decide.series import Answer, Row
from testbed.pki import Pki

AT = datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=UTC)
TOKEN = "s3cr3t-t0ken-of-the-server"
HTML = b"<html><head><title>Sign in</title></head><body>please</body></html>"


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer().serving() as running:
        yield running


async def ask(server: MisbehavingServer | str, promql: str = "up", **fields: object) -> Answer | Missing:
    url = server if isinstance(server, str) else server.url
    source = PrometheusSource({"main": MetricsServer.model_validate({"url": url, "timeout": "2s", **fields})})
    try:
        return await source.query("main", promql, AT)
    finally:
        source.close()


async def missing(server: MisbehavingServer | str, **fields: object) -> Missing:
    found = await ask(server, **fields)
    assert isinstance(found, Missing), found
    assert "main" in found.message, "the message names the server"
    assert len(found.message) < 400
    return found


async def test_a_query_is_a_form_with_one_instant(server: MisbehavingServer) -> None:
    server.body = vector(({"a": "b"}, "1.5"), ({}, "NaN"), ({}, "+Inf"), infos=["metric might not be a counter"])
    answer = await ask(server, 'x{a="é"}', headers={"X-Scope-OrgID": "tenant-1"})
    assert isinstance(answer, Answer)
    assert answer.rows[0] == Row({"a": "b"}, 1.5)
    assert answer.rows[1].value != answer.rows[1].value
    assert answer.infos == ("metric might not be a counter",)
    ((method, path, headers, form),) = server.requests
    assert (method, path) == ("POST", "/api/v1/query")
    assert form["query"] == ['x{a="é"}']
    assert form["time"] == [f"{AT.timestamp():.3f}"]
    assert headers["X-Scope-OrgID"] == "tenant-1"


@pytest.mark.parametrize(
    ("status", "body", "reason", "server_wide"),
    [
        (400, {"status": "error", "errorType": "bad_data", "error": "parse error"}, Reason.INVALID_QUERY, False),
        (422, {"status": "error", "errorType": "execution", "error": "many-to-many"}, Reason.INVALID_QUERY, False),
        (503, {"status": "error", "errorType": "timeout", "error": "timed out"}, Reason.PROMETHEUS_ERROR, True),
        (500, {"status": "error", "errorType": "internal", "error": "disk"}, Reason.PROMETHEUS_ERROR, True),
        (401, {"status": "error", "error": "no"}, Reason.PROMETHEUS_ERROR, True),
        (429, {"status": "error", "error": "slow down"}, Reason.PROMETHEUS_ERROR, True),
        (200, {"status": "error", "errorType": "x", "error": "y"}, Reason.PROMETHEUS_ERROR, True),
        (200, {"status": "success"}, Reason.INVALID_QUERY, False),
        (200, {"status": "success", "data": {"resultType": "scalar", "result": [1, "1"]}}, Reason.INVALID_QUERY, False),
        (200, {"status": "success", "data": {"resultType": "matrix", "result": []}}, Reason.INVALID_QUERY, False),
        (200, {"status": "success", "data": {"resultType": "string", "result": [1, "1"]}}, Reason.INVALID_QUERY, False),
        (200, {"status": "success", "data": {"resultType": "vector", "result": 5}}, Reason.PROMETHEUS_ERROR, True),
        (200, {"status": "success", "data": {"resultType": "vector", "result": [{}]}}, Reason.PROMETHEUS_ERROR, True),
        (200, {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {"a": 1}, "value": [1]}]}},
         Reason.PROMETHEUS_ERROR, True),
        (200, {"status": "success", "data": {"resultType": "vector", "result": [{"metric": {}, "histogram": [1, {}]}]}},
         Reason.PROMETHEUS_ERROR, True),
        (200, [1, 2], Reason.PROMETHEUS_ERROR, True),
        (200, "text", Reason.PROMETHEUS_ERROR, True),
    ],
)  # fmt: skip
async def test_each_refusal_has_its_reason(
    server: MisbehavingServer, status: int, body: object, reason: Reason, server_wide: bool
) -> None:
    server.status, server.body = status, json.dumps(body).encode()
    found = await missing(server)
    assert (found.reason, found.server_wide) == (reason, server_wide)


@pytest.mark.parametrize("status", [200, 404, 500, 502])
async def test_html_is_no_answer(server: MisbehavingServer, status: int) -> None:
    server.status, server.body = status, HTML
    found = await missing(server)
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_ERROR, True)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b"[" * 100_000, b'{"status"'])
async def test_no_json_is_no_answer(server: MisbehavingServer, body: bytes) -> None:
    server.body = body
    assert (await missing(server)).reason is Reason.PROMETHEUS_ERROR


async def test_an_answer_with_warnings_is_not_complete(server: MisbehavingServer) -> None:
    server.body = vector(({}, "1"), warnings=["store gateway 2 did not answer"])
    found = await missing(server)
    assert (found.reason, found.server_wide) == (Reason.PARTIAL_ANSWER, True)
    assert "store gateway 2" in found.message


async def test_a_remark_on_the_query_is_not_the_server_s_state(server: MisbehavingServer) -> None:
    server.body = vector(({}, "1"), warnings=["PromQL warning: bad bucket label"])
    found = await missing(server)
    assert (found.reason, found.server_wide) == (Reason.PARTIAL_ANSWER, False)


@pytest.mark.slow
async def test_an_answer_over_the_limit_is_not_read(server: MisbehavingServer) -> None:
    server.body = vector(*(({"pod": f"p{i}" * 20}, "1") for i in range(100_000)))
    assert len(server.body) > 10_000_000
    found = await missing(server, maxBytes=1_000_000)
    assert found.reason is Reason.ANSWER_TOO_LARGE
    assert not found.server_wide


async def test_a_refused_connection_is_a_blind_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    found = await missing(url)
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)
    assert "refuses" in found.message


async def test_a_name_that_does_not_resolve_is_a_blind_server() -> None:
    found = await missing("http://prometheus.invalid:9090")
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)


async def test_a_server_that_hangs_is_given_up(server: MisbehavingServer) -> None:
    server.hang = True
    since = time.monotonic()
    found = await missing(server, timeout="300ms")
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)
    assert time.monotonic() - since < 5


async def test_a_server_that_sends_a_byte_now_and_then_is_given_up(server: MisbehavingServer) -> None:
    """Each byte comes within the socket's time limit; only a limit on the whole ends this."""
    server.body, server.drip = vector(*(({"a": str(i)}, "1") for i in range(100))), 0.05
    found = await missing(server, timeout="400ms")
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)


def test_a_server_that_sends_a_byte_now_and_then_frees_the_thread_that_reads(server: MisbehavingServer) -> None:
    server.body, server.drip = vector(*(({"a": str(i)}, "1") for i in range(100))), 0.05
    declared = MetricsServer.model_validate({"url": server.url, "timeout": "400ms"})
    since = time.monotonic()
    with pytest.raises(TooSlowError):
        BoundedPrometheus(declared, 1).ask("up", AT.timestamp())
    assert time.monotonic() - since < 0.05 * len(server.body) / 4


async def test_an_answer_that_breaks_off_is_none(server: MisbehavingServer) -> None:
    server.missing = 1
    found = await missing(server)
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)


@pytest.mark.slow
async def test_a_hanging_server_holds_up_neither_the_loop_nor_another_server(server: MisbehavingServer) -> None:
    with MisbehavingServer(body=vector(({}, "1"))).serving() as other:
        server.hang = True
        declared = {
            "slow": MetricsServer.model_validate({"url": server.url, "timeout": "3s"}),
            "fast": MetricsServer.model_validate({"url": other.url, "timeout": "3s"}),
        }
        source = PrometheusSource(declared)
        slow = [asyncio.create_task(source.query("slow", "up", AT)) for _ in range(30)]
        await asyncio.sleep(0)
        assert isinstance(await source.query("fast", "up", AT), Answer)
        assert not any(task.done() for task in slow)
        found = await asyncio.gather(*slow)
        assert {one.reason for one in found if isinstance(one, Missing)} == {Reason.PROMETHEUS_UNREACHABLE}
        source.close()


async def test_redirects_are_not_followed(server: MisbehavingServer) -> None:
    with MisbehavingServer(body=vector(({}, "1"))).serving() as elsewhere:
        server.status, server.headers = 307, {"Location": f"{elsewhere.url}/api/v1/query"}
        found = await missing(server)
        assert found.reason is Reason.PROMETHEUS_ERROR
        assert elsewhere.requests == []


async def test_one_try_is_all(server: MisbehavingServer) -> None:
    server.status = 503
    await missing(server)
    assert len(server.requests) == 1


async def test_proxies_of_the_environment_are_ignored(
    server: MisbehavingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert isinstance(await ask(server), Answer)


async def test_the_token_is_read_again_for_every_query(server: MisbehavingServer, tmp_path: Path) -> None:
    path = tmp_path / "token"
    source = PrometheusSource({"main": MetricsServer.model_validate({"url": server.url, "tokenFile": str(path)})})
    for token in ("first-token", "second-token\n"):
        path.write_text(token)
        assert isinstance(await source.query("main", "up", AT), Answer)
    source.close()
    sent = [headers["Authorization"] for _, _, headers, _ in server.requests]
    assert sent == ["Bearer first-token", "Bearer second-token"]


async def test_a_server_that_echoes_the_token_does_not_make_us_tell_it(
    server: MisbehavingServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "token"
    path.write_text(TOKEN)
    for status, body in [
        (401, json.dumps({"status": "error", "error": f"bad token Bearer {TOKEN}"}).encode()),
        (500, f"<html>{TOKEN}</html>".encode()),
        (400, json.dumps({"status": "error", "errorType": "bad_data", "error": TOKEN}).encode()),
        (200, vector(warnings=[f"tenant {TOKEN} and key-of-tenant-1"])),
    ]:
        server.status, server.body = status, body
        found = await missing(server, tokenFile=str(path), headers={"X-Key": "key-of-tenant-1"})
        assert TOKEN not in found.message
        assert "key-of-tenant-1" not in found.message
    assert TOKEN not in caplog.text


async def test_a_password_in_the_address_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    found = await missing("http://user:hunter22@prometheus.invalid:9090")
    assert "hunter22" not in found.message
    assert "hunter22" not in caplog.text


@pytest.mark.parametrize("content", [None, "töken", "two\nlines"])
async def test_a_token_that_cannot_be_used_is_missing_data(
    server: MisbehavingServer, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    found = await missing(server, tokenFile=str(path))
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)
    assert str(tmp_path) not in found.message


async def test_a_certificate_authority_that_is_not_there_is_missing_data(tmp_path: Path) -> None:
    found = await missing("https://127.0.0.1:1", caFile=str(tmp_path / "ca.pem"))
    assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)


async def test_a_server_is_believed_by_its_own_certificate_authority_alone(tmp_path: Path) -> None:
    own, other = (Pki(tmp_path / name) for name in ("own", "other"))
    for pki in (own, other):
        pki.create()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(own.certificate("apiserver"), own.key("apiserver"))
    with MisbehavingServer(body=vector(({"a": "b"}, "1.5")), tls=tls).serving() as server:
        answer = await ask(server, caFile=str(own.ca))
        assert isinstance(answer, Answer)
        assert list(answer.rows) == [Row({"a": "b"}, 1.5)]
        for fields in ({"caFile": str(other.ca)}, {}):
            found = await missing(server, **fields)
            assert (found.reason, found.server_wide) == (Reason.PROMETHEUS_UNREACHABLE, True)
        assert len(server.requests) == 1, "nothing is said to a server that is not believed"


@pytest.mark.parametrize(("minutes", "word"), [(5, "ahead of"), (-5, "behind")])
async def test_a_server_whose_clock_is_wrong_cannot_say_how_old_its_samples_are(
    server: MisbehavingServer, minutes: int, word: str
) -> None:
    server.body = vector(({}, "1"))
    server.headers = {"Date": format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)}
    found = await missing(server)
    assert (found.reason, found.server_wide) == (Reason.CLOCK_SKEW, True)
    assert word in found.message


@pytest.mark.parametrize("date", ["", "nonsense"])
async def test_a_server_that_tells_no_time_is_believed(server: MisbehavingServer, date: str) -> None:
    server.headers = {"Date": date}
    assert isinstance(await ask(server), Answer)


async def test_a_server_whose_clock_is_right_is_believed(server: MisbehavingServer) -> None:
    server.headers = {"Date": format_datetime(datetime.now(UTC), usegmt=True)}
    assert isinstance(await ask(server), Answer)


async def test_a_server_nobody_declared_is_missing_data() -> None:
    source = PrometheusSource({})
    found = await source.query("main", "up", AT)
    assert isinstance(found, Missing)
    assert found.reason is Reason.PROMETHEUS_UNKNOWN
    assert source.servers() == frozenset()


async def test_a_large_answer_is_read_outside_the_loop(server: MisbehavingServer) -> None:
    server.body = vector(*(({"namespace": "shop", "service": f"s{i}"}, "1") for i in range(20_000)))
    reading: set[str] = set()
    loads = json.loads

    def watched(*args: object, **kwargs: object) -> object:
        reading.add(threading.current_thread().name)
        return loads(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparkrelease.adapters.prometheus.answers.json.loads", watched)
        answer = await ask(server, timeout="30s")  # a busy machine takes its time for two megabytes
    assert isinstance(answer, Answer)
    assert len(answer.rows) == 20_000
    assert all(name.startswith("prometheus-main") for name in reading)
    assert reading


async def test_nothing_is_left_after_closing(server: MisbehavingServer) -> None:
    await ask(server)
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("prometheus-") for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_text_that_many_series_bear_is_kept_once(server: MisbehavingServer) -> None:
    server.body = vector(*(({"service": "shop", "sr_part": part}, "1") for part in ("bad", "total", "newest")))
    answer = await ask(server)
    assert isinstance(answer, Answer)
    assert [row.labels["sr_part"] for row in answer.rows] == ["bad", "total", "newest"]
    assert len({id(row.labels["service"]) for row in answer.rows}) == 1
