"""What is not allowed is refused with a clear status, logged, and leaves nothing behind."""

import json
import socket

import pytest

from simrl.preferences.store import NewQuestion

CHANGES = ("/api/answer", "/api/skip", "/api/renew", "/api/undo")


@pytest.fixture
def anna(site):
    return site.login("anna")


@pytest.fixture
def sent(anna):
    """An answer that would be stored."""
    lease = anna.get("/api/next").json()["lease"]
    return {"lease": lease, "key": "0123456789", "value": {"choice": "left"}, "seconds": 1.0}


def nothing_stored(site):
    return site.store.history() == [] and site.store.progress().skipped == 0


def raw(site, request):
    """Send bytes as they are and return the status line, headers and body of the reply."""
    host, port = site.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request)
        reply = b""
        while part := line.recv(65536):
            reply += part
    head, _, body = reply.partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body


def head(anna, path, method="POST", **headers):
    lines = {
        "Host": "127.0.0.1",
        "Connection": "close",
        "Cookie": f"simrl_session={anna.cookies['simrl_session']}",
        "X-CSRF-Token": anna.headers["X-CSRF-Token"],
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1")


@pytest.mark.parametrize("path", ["/api/next", "/api/progress", "/clips/" + "0" * 16 + ".mp4"])
def test_reading_without_a_session(site, path):
    reply = site.client().get(path)
    assert reply.status_code == 401 and reply.json() == {"error": "please log in"}
    assert any(f"401 GET {path}" in line for line in site.refusals())


@pytest.mark.parametrize("path", CHANGES)
def test_changing_without_a_session_or_with_a_made_up_one(site, sent, path):
    for token in (None, "x" * 43, "' OR 1=1 --" + "x" * 20):
        client = site.client(cookies={"simrl_session": token} if token else None)
        assert client.post(path, json=sent).status_code == 401
    assert nothing_stored(site)
    assert sum(f"401 POST {path}" in line for line in site.refusals()) == 3


@pytest.mark.parametrize("path", [*CHANGES, "/logout", "/admin/users"])
def test_forged_csrf_token(site, anna, sent, path):
    other = site.person("bert").headers["X-CSRF-Token"]
    for token in ("", "forged", other, "ü"):
        data = {"data": {"csrf": token}} if path in ("/logout", "/admin/users") else {"json": sent}
        reply = anna.post(path, headers=[(b"X-CSRF-Token", token.encode())], **data)
        assert reply.status_code == 403 and "CSRF" in reply.text
    assert nothing_stored(site) and anna.get("/api/next").status_code == 200
    assert sum(f"403 POST {path}" in line for line in site.refusals()) == 4


def test_another_sites_page_is_refused_even_with_the_right_token(site, anna, sent):
    for origin in ("https://evil.example", "null", site.url + ".evil.example"):
        reply = anna.post("/api/answer", json=sent, headers={"Origin": origin})
        assert reply.status_code == 403 and "another site" in reply.json()["error"]
    assert nothing_stored(site)
    reply = anna.post("/api/answer", json=sent, headers={"Origin": site.url})
    assert reply.status_code == 200


def test_another_persons_lease(site, anna, sent):
    bert = site.person("bert")
    for path in ("/api/answer", "/api/skip", "/api/renew"):
        data = sent if path == "/api/answer" else {"lease": sent["lease"]}
        reply = bert.post(path, json=data)
        assert reply.status_code == 404 and "not one of yours" in reply.json()["error"]
    assert nothing_stored(site)
    assert len(site.refusals()) == 3
    bert_id = next(user.id for user in site.store.users() if user.name == "bert")
    assert {e.user for e in site.store.audit_log(9, action="refused")} == {bert_id}


def test_another_persons_session_token_is_not_to_be_had(site, anna):
    bert = site.person("bert")
    text = bert.get("/").text + bert.get("/api/me").text + bert.get("/api/next").text
    for secret in (anna.cookies["simrl_session"], anna.headers["X-CSRF-Token"]):
        assert secret not in text


WRONG = [
    {"lease": 7},
    {"lease": "7"},
    {"lease": "1.0; DROP TABLE answers"},
    {"lease": "9" * 16 + ".7"},
    {"key": 12345678},
    {"key": "short"},
    {"key": "k" * 101},
    {"value": "left"},
    {"value": {}},
    {"value": {"choice": "first"}},
    {"value": {"choice": ["left"]}},
    {"value": {"choice": "left", "more": 1}},
    {"value": {"choice": "' OR '1'='1"}},
    {"value": {"rating": 3}},
    {"seconds": "1"},
    {"seconds": -1.0},
    {"seconds": True},
    {"user": 2},
]


def test_wrong_types_and_values(site, anna, sent):
    for count, change in enumerate(WRONG, start=1):
        reply = anna.post("/api/answer", json={**sent, **change})
        assert reply.status_code == 422 and len(reply.json()["error"]) < 300, change
        assert nothing_stored(site) and len(site.refusals()) == count, change
    assert anna.post("/api/answer", json=sent).status_code == 200


def test_bodies_that_are_no_json_object(site, anna):
    headers = {"Content-Type": "application/json"}
    bodies = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"lease": NaN}', b"[" * 20_000]
    for content in bodies:
        reply = anna.post("/api/answer", content=content, headers=headers)
        assert reply.status_code == 422, content[:20]
    assert nothing_stored(site)


def test_a_form_of_another_site_cannot_speak_json(site, anna, sent):
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        reply = anna.post("/api/answer", content=json.dumps(sent), headers={"Content-Type": kind})
        assert reply.status_code == 415
    assert nothing_stored(site)


def test_injection_in_text_is_stored_as_it_is_and_shown_as_text(site, anna, clips):
    words = "'); DROP TABLE answers;-- <script>alert('x')</script> {{ 7 * 7 }} \u202e\u0007"
    site.store.add_questions(
        [NewQuestion(kind="text", clips=clips[:1], prompt=f"<i>{words}", priority=9.0)]
    )
    task = anna.get("/api/next").json()
    assert task["question"]["prompt"] == f"<i>{words}"
    sent = {"lease": task["lease"], "key": words[:20], "value": {"text": words}, "seconds": 1.0}
    assert anna.post("/api/answer", json=sent).status_code == 200
    assert site.store.answers()[0].value == {"text": words}
    admin = site.person("root", "admin")
    line = admin.get("/api/export.jsonl").text.splitlines()[0]
    assert json.loads(line)["text"] == words
    # What is refused is logged, with a path that a stranger chose: the dashboard shows it as text.
    anna.get("/clips/<script>alert(1)</script>")
    page = admin.get("/admin").text
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_zero_characters_are_refused_by_name(site, anna, clips):
    site.store.add_questions([NewQuestion(kind="text", clips=clips[:1], priority=9.0)])
    lease = anna.get("/api/next").json()["lease"]
    for text in ("a\0b", "\ud800"):
        sent = json.dumps(
            {"lease": lease, "key": "01234567", "value": {"text": text}, "seconds": 1}
        )
        reply = anna.post("/api/answer", content=sent, headers={"Content-Type": "application/json"})
        assert reply.status_code == 422
    assert nothing_stored(site)


TRAVERSALS = [
    "/clips/../../labels.db",
    "/clips/..%2f..%2flabels.db",
    "/clips/%2e%2e/%2e%2e/labels.db",
    "/clips/..%252f..%252flabels.db",
    "/clips/..\\..\\labels.db",
    "/clips/%2fetc%2fpasswd",
    "/clips//etc/passwd",
    "/clips/{id}.mp4/../../../labels.db",
    "/clips/{id}.mp4%00.jpg",
    "/clips/{id}.npz",
    "/clips/{id}.json",
    "/clips/{id}.mp4.error",
    "/clips/{ID}.mp4",
    "/clips/{id}%0a.mp4",
    "/static/../app.py",
    "/static/..%2fapp.py",
    "/static/%2e%2e/templates/base.html",
]


def test_path_traversal(site, anna, clips):
    for count, path in enumerate(TRAVERSALS, start=1):
        # Raw, since a client would tidy the path before it sends it.
        wanted = path.replace("{id}", clips[0]).replace("{ID}", clips[0].upper())
        status, head_, body = raw(site, head(anna, wanted, "GET"))
        assert status == 404 and "content-security-policy" in head_.lower(), path
        for leak in (b"SQLite", b"root:", b"import", b"{% block", b"ftyp"):
            assert leak not in body, path
        assert len(site.refusals()) == count, path


def test_a_body_that_says_that_it_is_too_large(site, anna):
    status, _, body = raw(site, head(anna, "/api/answer", Content_Length="70000"))
    assert status == 413 and json.loads(body)["error"] == "the body may have 65536 bytes"
    assert nothing_stored(site) and "413" in site.refusals()[0]


@pytest.mark.parametrize("path", ["/api/answer", "/login", "/logout", "/admin/users"])
def test_a_chunked_body_is_stopped_when_it_has_become_too_large(site, anna, path):
    kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
    request = head(anna, path, Transfer_Encoding="chunked", Content_Type=kind)
    chunk = b"1000\r\n" + b"a" * 0x1000 + b"\r\n"
    status, _, _ = raw(site, request + 20 * chunk)  # 80 KiB, and the end never comes
    assert status == 413
    assert nothing_stored(site) and "413" in site.refusals()[0]


def test_a_lying_or_senseless_length(site, anna):
    for length in ("-5", "1e9", "9" * 30):
        status, _, _ = raw(site, head(anna, "/api/answer", Content_Length=length))
        assert status in (400, 413)
    assert nothing_stored(site)


def test_exclude_must_be_numbers(anna):
    for text in ("1;2", "-1", "a", "1,", "9" * 19, ",".join("1" * 300), "٣"):
        assert anna.get("/api/next", params={"exclude": text}).status_code == 422


def test_headers_of_every_reply(site, anna, clips):
    paths = ("/", "/login", "/static/page.js", "/api/next", "/nowhere", f"/clips/{clips[0]}.mp4")
    for path in paths:
        reply = anna.get(path, follow_redirects=True)
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "script-src 'self'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "server" not in reply.headers
    for path in ("/", "/login", "/admin"):
        assert site.client(follow_redirects=True).get(path).headers["cache-control"] == "no-store"


def test_unknown_pages_and_methods_have_a_clear_status(site, anna):
    assert anna.get("/nowhere").status_code == 404
    assert "Back to the clips" in anna.get("/nowhere").text
    assert anna.get("/api/nowhere").json() == {"error": "Not Found"}
    assert anna.get("/api/answer").status_code == 405
    assert anna.delete("/clips/" + "0" * 16 + ".mp4").status_code == 405


def test_knocking_does_not_fill_the_log(site):
    client = site.client()
    for _ in range(100):
        client.get("/api/next")
    assert len(site.refusals()) == 60


def test_a_fault_of_ours_tells_nothing_of_the_inside(site, anna, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(site.store, "renew", broken)
    lease = anna.get("/api/next").json()["lease"]
    reply = anna.post("/api/renew", json={"lease": lease})
    assert reply.status_code == 500 and "secret" not in reply.text
    assert "error" in reply.json()
