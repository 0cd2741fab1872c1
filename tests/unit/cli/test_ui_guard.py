"""Who may use the page, and who may not."""

import pytest

from lora_cli.ui.guard import hosts, refusal

TOKEN = "s3cret"
HOSTS = ("127.0.0.1:4000", "localhost:4000")
OWN = {"host": "127.0.0.1:4000"}
JSON = {"content-type": "application/json"}


def refused(method: str = "GET", path: str = f"/{TOKEN}/events", **headers: str) -> str | None:
    sent = OWN | {name.replace("_", "-"): value for name, value in headers.items()}
    return refusal(method, path, sent, TOKEN, HOSTS)


def test_the_page_itself_may_look_and_change() -> None:
    assert refused() is None
    assert refused(host="localhost:4000", sec_fetch_site="none") is None
    own = {"origin": "http://127.0.0.1:4000", "sec_fetch_site": "same-origin"}
    assert refused("POST", f"/{TOKEN}/weight", content_type="application/json", **own) is None


def test_on_the_usual_port_the_host_has_none() -> None:
    assert hosts(("127.0.0.1", "localhost"), 80) == ["127.0.0.1:80", "localhost:80", "127.0.0.1", "localhost"]
    assert refusal("GET", f"/{TOKEN}/", {"host": "localhost"}, TOKEN, hosts(("localhost",), 80)) is None
    assert "localhost" not in hosts(("localhost",), 8080)


@pytest.mark.parametrize("path", ["/", "/events", "/s3cre/events", "/s3crets/", "/%73", "//", ""])
def test_who_does_not_know_the_token_is_refused(path: str) -> None:
    assert "whole address" in str(refused(path=path))


@pytest.mark.parametrize(
    "host", ["evil.example:4000", "127.0.0.1", "127.0.0.1:4001", "", "127.0.0.1:4000.evil.example"]
)
def test_a_name_of_somebody_else_that_leads_here_is_refused(host: str) -> None:
    assert "only at 127.0.0.1:4000" in str(refused(host=host))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:4001", "https://127.0.0.1:4000"])
def test_another_page_of_the_browser_is_refused(origin: str) -> None:
    assert "another web page" in str(refused("POST", origin=origin, content_type="application/json"))


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_what_another_page_asks_for_is_refused_but_for_a_link_that_a_person_follows(site: str) -> None:
    assert "another web page" in str(refused(sec_fetch_site=site, sec_fetch_mode="no-cors"))
    assert "another web page" in str(refused("POST", sec_fetch_site=site, sec_fetch_mode="navigate"))
    assert refused(path=f"/{TOKEN}/", sec_fetch_site=site, sec_fetch_mode="navigate") is None


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_what_a_form_can_send_is_refused(kind: str) -> None:
    assert refused("POST", content_type=kind) == "send application/json"
