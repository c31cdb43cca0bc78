"""The dashboard: for administrators alone, with the right figures, and nothing unescaped."""

import io
import json
import re

import pytest

from simrl.preferences.store import NewQuestion


@pytest.fixture
def root(site):
    return site.person("root", "admin")


def answer(client, choice="left"):
    task = client.get("/api/next").json()
    key = f"key-{task['question']['id']:08d}"
    sent = {"lease": task["lease"], "key": key, "value": {"choice": choice}, "seconds": 2.0}
    return client.post("/api/answer", json=sent).json()["answer"]["question"]


@pytest.mark.parametrize("path", ["/admin", "/api/export.jsonl", "/api/export.parquet"])
def test_annotators_may_not_look(site, path):
    anna = site.login("anna")
    reply = anna.get(path)
    assert reply.status_code == 403 and "administrators" in reply.text
    assert any(f"403 GET {path}" in line for line in site.refusals())
    nobody = site.client().get(path)
    assert nobody.status_code == (303 if path == "/admin" else 401)


def test_annotators_may_not_change_people(kit, site):
    anna = site.login("anna")
    form = {"csrf": anna.headers["X-CSRF-Token"], "action": "add", "name": "eve"}
    reply = anna.post("/admin/users", data={**form, "password": kit.PASSWORD, "role": "admin"})
    assert reply.status_code == 403 and [u.name for u in site.store.users()] == ["anna"]


def test_shows_each_persons_figures_and_their_agreement(kit, store, library, clips):
    # Anna and Bert agree on 3 of 4 pairs; Bert's gold answer is right, Anna's wrong.
    store.add_questions(kit.compare(clips, 4, overlap=2))
    gold = NewQuestion(
        kind="compare", clips=tuple(clips[5:7]), overlap=2, gold={"choice": "tie"}, priority=-1.0
    )
    store.add_questions([gold])
    said = {"anna": ["tie"] * 4 + ["incomparable"], "bert": ["tie"] * 3 + ["incomparable", "tie"]}
    with kit.serving(store, library) as site:
        for name, choices in said.items():
            person = site.person(name)
            for choice in choices:
                answer(person, choice)
        page = site.person("root", "admin").get("/admin").text
    annotators = page.partition("Agreement between people")[0]
    rows = dict(re.findall(r'<tr><th scope="row">(anna|bert)</th>(.*?)</tr>', annotators, re.S))
    cells = {name: re.findall(r"<td[^>]*>([^<]*)</td>", row) for name, row in rows.items()}
    # 5 answers each; 3 of 5 pairs agree (with the gold pair); gold: 0 of 1 and 1 of 1.
    assert cells["anna"][0] == cells["bert"][0] == "5" and cells["anna"][1] == "2.0 s"
    assert cells["anna"][2] == cells["bert"][2] == "60 % of 5"
    assert (cells["anna"][4], cells["bert"][4]) == ("0 % of 1", "100 % of 1")
    shared = re.search(r'<tr><th scope="row">compare</th><td>(\d+)</td>', page)
    assert shared[1] == "5"
    tiles = dict(re.findall(r'<b>([^<]*)</b><span class="soft small">([^<]*)</span>', page))
    assert {v: k for k, v in tiles.items()}["answers"] == "10"


def test_adds_people_who_can_log_in(kit, site, root):
    form = {"csrf": root.headers["X-CSRF-Token"], "action": "add", "name": "carl"}
    reply = root.post("/admin/users", data={**form, "password": kit.PASSWORD, "role": "annotator"})
    assert reply.status_code == 303 and reply.headers["location"] == "/admin#people"
    assert site.login("carl").get("/api/next").status_code == 200
    again = root.post("/admin/users", data={**form, "password": kit.PASSWORD, "role": "admin"})
    assert again.status_code == 422 and "carl" in re.search(r'role="alert">(.*?)<', again.text)[1]
    form = {**form, "name": "dora", "role": "annotator"}
    short = root.post("/admin/users", data={**form, "password": "short"})
    assert short.status_code == 422 and "8 to" in short.text


def test_a_new_password_ends_the_sessions_of_the_old(kit, site, root):
    anna = site.login("anna")
    form = {"csrf": root.headers["X-CSRF-Token"], "action": "password", "name": "anna"}
    assert root.post("/admin/users", data={**form, "password": "battery staple"}).status_code == 303
    assert anna.get("/api/next").status_code == 401
    assert kit.submit_login(site.client(), "anna", kit.PASSWORD).status_code == 401
    assert site.login("anna", "battery staple").get("/api/next").status_code == 200


def test_nobody_shuts_themselves_out(site, root):
    form = {"csrf": root.headers["X-CSRF-Token"], "action": "deactivate", "name": "root"}
    reply = root.post("/admin/users", data=form)
    assert reply.status_code == 422 and "yourself" in reply.text
    form = {**form, "action": "explode"}
    assert "activate" in root.post("/admin/users", data=form).text


def test_exports_all_answers(site, root):
    question = answer(site.login("anna"), "tie")
    reply = root.get("/api/export.jsonl")
    assert re.search(r'filename="labels-\d{8}-\d{6}\.jsonl"', reply.headers["content-disposition"])
    rows = [json.loads(line) for line in reply.text.splitlines()]
    assert [(row["question"], row["choice"], row["seconds"]) for row in rows] == [
        (question, "tie", 2.0)
    ]
    pseudonym = next(u.pseudonym for u in site.store.users() if u.name == "anna")
    assert rows[0]["annotator"] == pseudonym and "anna" not in reply.text
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(root.get("/api/export.parquet").content))
    assert table.column("choice").to_pylist() == ["tie"]
    assert root.get("/api/export.pickle").status_code == 404
    actions = [entry.action for entry in site.store.audit_log(20)]
    assert actions.count("export") == 2
