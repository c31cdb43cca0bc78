"""Videos, posters and replay pages."""

import pytest


@pytest.fixture
def anna(site):
    return site.login("anna")


def test_a_video_is_sent_whole_or_in_the_parts_asked_for(anna, clips, library):
    whole = library.video(clips[0]).read_bytes()
    path = f"/clips/{clips[0]}.mp4"
    reply = anna.get(path)
    assert reply.status_code == 200 and reply.content == whole
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.headers["accept-ranges"] == "bytes"
    part = anna.get(path, headers={"Range": "bytes=100-299"})
    assert part.status_code == 206 and part.content == whole[100:300]
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole)}"
    tail = anna.get(path, headers={"Range": "bytes=-50"})
    assert tail.content == whole[-50:]
    rest = anna.get(path, headers={"Range": f"bytes={len(whole) - 10}-"})
    assert rest.content == whole[-10:]
    beyond = anna.get(path, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    head = anna.head(path)
    assert head.headers["content-length"] == str(len(whole)) and head.content == b""


def test_browsers_keep_clips_for_good_but_nobody_between_them(anna, clips):
    for kind, mime in (("mp4", "video/mp4"), ("jpg", "image/jpeg")):
        headers = anna.get(f"/clips/{clips[0]}.{kind}").headers
        assert headers["content-type"] == mime
        assert headers["cache-control"] == "private, max-age=31536000, immutable"


def test_a_replay_page_runs_in_a_box_without_our_origin(anna, clips, library):
    path = library.path(clips[1], "html")
    path.parent.mkdir(exist_ok=True)
    path.write_text("<!doctype html><script>fetch('/api/me')</script>")
    try:
        shown = {c["id"]: c for c in _tasks(anna)}
        assert shown[clips[1]]["replay"] == f"/clips/{clips[1]}.html"
        assert shown[clips[0]]["replay"] is None
        policy = anna.get(f"/clips/{clips[1]}.html").headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts;") and "default-src 'none'" in policy
        assert "connect-src" not in policy and "allow-same-origin" not in policy
    finally:
        path.unlink()


def _tasks(anna):
    seen, found = [], []
    while (reply := anna.get("/api/next?exclude=" + ",".join(seen))).status_code == 200:
        seen.append(str(reply.json()["question"]["id"]))
        found += reply.json()["clips"]
    return found


def test_what_is_not_there(anna):
    for name in ("0" * 16 + ".mp4", "0" * 16 + ".html", "nothing", ""):
        reply = anna.get(f"/clips/{name}")
        assert reply.status_code == 404 and "no such clip" in reply.json()["error"]
