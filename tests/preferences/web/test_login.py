"""Logging in: cookies, forged forms, the rate limit, and the one-person mode."""

import re

import pytest

from simrl.preferences.store import LabelStore, LoginLimits
from simrl.preferences.web import WebConfig, create_app, make_server


def cookie(reply, name="simrl_session"):
    return next(c for c in reply.headers.get_list("set-cookie") if c.startswith(f"{name}="))


def test_without_a_session_the_page_asks_to_log_in(site):
    reply = site.client().get("/")
    assert reply.status_code == 303 and reply.headers["location"] == "/login"
    form = site.client().get("/login").text
    assert "Cart and pole" in form and 'autocomplete="current-password"' in form


def test_session_cookie_cannot_be_read_by_scripts_nor_sent_by_other_sites(kit, site):
    reply = kit.submit_login(site.client(), "anna", kit.PASSWORD)
    words = {word.strip().lower() for word in cookie(reply).split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= words and "secure" not in words
    assert site.store.audit_log(1)[0].action == "login"


def test_behind_https_cookies_go_no_other_way(kit, store, library):
    store.add_user("anna", kit.PASSWORD)
    config = WebConfig(https=True, proxy="127.0.0.1")
    with kit.serving(store, library, config) as site:
        reply = site.client().get("/login")
        assert "secure" in cookie(reply, "simrl_login").lower()
        assert "max-age" in reply.headers["strict-transport-security"]


def test_a_wrong_password_or_name_says_the_same(kit, site):
    replies = [
        kit.submit_login(site.client(), name, "wrong password") for name in ("anna", "nobody")
    ]
    assert [reply.status_code for reply in replies] == [401, 401]
    problems = [re.search(r'role="alert">([^<]*)', reply.text)[1] for reply in replies]
    assert problems[0] == problems[1] == "Name or password is wrong."
    assert "set-cookie" not in replies[0].headers or "simrl_session" not in str(replies[0].headers)
    assert [entry.action for entry in site.store.audit_log(2)] == ["login failed"] * 2


def test_a_name_is_shown_again_but_never_as_markup(kit, site):
    reply = kit.submit_login(site.client(), '"><script>alert(1)</script>', "wrong password")
    assert "<script>alert" not in reply.text and "&lt;script&gt;alert" in reply.text


def test_a_forged_login_form_is_refused(kit, site):
    client = site.client()
    client.get("/login")
    forged = {"name": "anna", "password": kit.PASSWORD, "csrf": "0" * 64}
    reply = client.post("/login", data=forged)
    assert reply.status_code == 403 and "too old" in reply.text
    assert "simrl_session" not in client.cookies
    assert any("403 POST /login" in line for line in site.refusals())
    # A token without the cookie that it belongs to is worth nothing, either.
    token = re.search(r'name="csrf" value="(\w+)"', client.get("/login").text)[1]
    other = site.client().post("/login", data={**forged, "csrf": token})
    assert other.status_code == 403


def test_too_many_failures_are_told_to_wait(kit, empty_store, tmp_path, library):
    path = tmp_path / "labels.db"
    path.write_bytes(empty_store.read_bytes())
    limits = LoginLimits(per_name=3, per_ip=50, seconds=60.0)
    with LabelStore.open(path, limits=limits) as store:
        store.add_user("anna", kit.PASSWORD)
        with kit.serving(store, library) as site:
            client = site.client()
            tried = [kit.submit_login(client, "anna", "wrong password") for _ in range(3)]
            assert [reply.status_code for reply in tried] == [401] * 3
            refused = kit.submit_login(client, "anna", kit.PASSWORD)
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert "simrl_session" not in client.cookies
        assert store.audit_log(1)[0].action == "login refused"


def test_logging_out_ends_the_session_in_the_store(site):
    anna = site.login("anna")
    token = anna.cookies["simrl_session"]
    assert anna.post("/logout", data={"csrf": "forged"}).status_code == 403
    assert anna.get("/api/next").status_code == 200
    reply = anna.post("/logout", data={"csrf": anna.headers["X-CSRF-Token"]})
    assert reply.status_code == 303 and reply.headers["location"] == "/login"
    again = site.client(cookies={"simrl_session": token})
    assert again.get("/api/next").status_code == 401
    assert site.store.session(token) is None


def test_one_person_mode_needs_no_login_but_a_token(kit, store, library, clips):
    store.add_questions(kit.compare(clips, 1))
    with kit.serving(store, library) as site:
        client = site.client(follow_redirects=True)
        page = client.get("/")
        assert page.status_code == 200 and "One-person mode" in page.text
        lease = client.get("/api/next").json()["lease"]
        sent = {"lease": lease, "key": "0123456789", "value": {"choice": "tie"}, "seconds": 1.0}
        assert client.post("/api/answer", json=sent).status_code == 403
        client.headers["X-CSRF-Token"] = client.get("/api/me").json()["csrf"]
        assert client.post("/api/answer", json=sent).status_code == 200
        assert client.get("/admin").status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_one_person_mode_answers_to_this_machines_names_only(kit, store, library, host):
    with kit.serving(store, library) as site:
        reply = site.client(headers={"Host": host}).get("/")
        assert reply.status_code == 421 and "simrl_session" not in str(reply.headers)
        assert site.refusals() and "421" in site.refusals()[0]
        assert site.client(headers={"Host": "localhost:1234"}).get("/").status_code == 303


def test_the_first_account_ends_one_person_mode(kit, store, library):
    with kit.serving(store, library, WebConfig(session_cache_seconds=0.0)) as site:
        client = site.client(follow_redirects=True)
        client.get("/")
        token = client.get("/api/me").json()["csrf"]
        form = {"csrf": token, "action": "add", "name": "root", "password": kit.PASSWORD}
        reply = client.post("/admin/users", data={**form, "role": "annotator"})
        assert str(reply.url).endswith("/login")
        assert client.get("/api/next").status_code == 401
        assert [user.role for user in store.users()] == ["admin"]
        assert site.login("root").get("/admin").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "labels.example"])
def test_other_hosts_are_refused_while_nobody_has_an_account(kit, store, library, host):
    app = create_app(store, library)
    with pytest.raises(ValueError, match=r"add people with simrl label add-user"):
        make_server(app, host)
    store.add_user("anna", kit.PASSWORD)
    store.deactivate("anna")
    # An account that is shut out does not bring the open house back.
    assert make_server(create_app(store, library), host).config.host == host


def test_a_name_of_ones_own_can_be_required(kit, store, library):
    store.add_user("anna", kit.PASSWORD)
    with kit.serving(store, library, WebConfig(hosts=("labels.example",))) as site:
        assert site.client().get("/login").status_code == 421
        named = site.client(headers={"Host": "LABELS.example:443"}).get("/login")
        assert named.status_code == 200


def test_deactivated_people_are_out_at_once(kit, site):
    admin = site.person("root", "admin")
    anna = site.login("anna")
    assert anna.get("/api/next").status_code == 200
    token = admin.headers["X-CSRF-Token"]
    form = {"csrf": token, "action": "deactivate", "name": "anna"}
    assert admin.post("/admin/users", data=form).status_code == 303
    assert anna.get("/api/next").status_code == 401
    assert kit.submit_login(site.client(), "anna", kit.PASSWORD).status_code == 401
