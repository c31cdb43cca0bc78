"""The administrator's dashboard: figures of quality, people, the log, and exports."""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from simrl.preferences.store import ROLES, RefusedError
from simrl.preferences.store.export import export_answers
from simrl.preferences.web.figures import dashboard
from simrl.preferences.web.site import Site, site_of

router = APIRouter()
EXPORTS = {"jsonl": "application/x-ndjson", "parquet": "application/vnd.apache.parquet"}


@router.get("/admin", name="admin")
async def admin(request: Request) -> Response:
    """Show the dashboard."""
    site = site_of(request)
    session = await site.access.visitor(request)
    if session is None:
        return RedirectResponse("/login", 303)
    site.access.check_admin(session)
    return await _dashboard(site, session.csrf)


@router.post("/admin/users")
async def change_user(request: Request) -> Response:
    """Add a person, give them a new password, or shut them out and in, as `action` says."""
    site = site_of(request)
    form = await request.form(max_files=0, max_fields=10)
    fields = {key: str(form.get(key, "")) for key in ("csrf", "action", "name", "password", "role")}
    session = site.access.check_admin(await site.access.changing(request, fields["csrf"]))
    if site.access.local() and fields["action"] == "add":
        # The first account ends one-person mode: it must be one that can make the others.
        fields["role"] = "admin"
    if fields["name"] == session.user.name and fields["action"] == "deactivate":
        return await _dashboard(site, session.csrf, "You cannot shut yourself out.", 422)
    try:
        told = await site.calls.slow(_change, site, fields)
    except (RefusedError, ValueError) as error:
        return await _dashboard(site, session.csrf, str(error), 422)
    site.access.forget()
    for user in await site.calls(site.store.users):
        if user.name == fields["name"]:
            site.access.forget(user=user.id)
    await site.access.audit(request, "people", told, session.user.id)
    if await site.access.visitor(request) is None:
        return RedirectResponse("/login", 303)
    return RedirectResponse("/admin#people", 303)


@router.get("/api/export.{kind}")
async def export(request: Request, kind: str) -> Response:
    """Send all answers with where they come from, as JSON lines or Parquet."""
    site = site_of(request)
    session = await site.access.admin(request)
    if kind not in EXPORTS:
        raise HTTPException(404, f"unknown export; there are {', '.join(EXPORTS)}")
    folder = TemporaryDirectory(prefix="simrl-export-")
    try:
        path = await site.calls.slow(_export, site, kind, Path(folder.name))
    except BaseException:
        folder.cleanup()
        raise
    await site.access.audit(request, "export", kind, session.user.id)
    name = f"labels-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}.{kind}"
    return FileResponse(
        path,
        media_type=EXPORTS[kind],
        filename=name,
        headers={"Cache-Control": "no-store"},
        background=BackgroundTask(folder.cleanup),
    )


async def _dashboard(site: Site, csrf: str, problem: str = "", status: int = 200) -> Response:
    values: dict[str, Any] = await site.calls.slow(dashboard, site)
    return site.page("admin.html", status=status, csrf=csrf, problem=problem, roles=ROLES, **values)


def _change(site: Site, fields: dict[str, str]) -> str:
    """Do what the form asks for and say what was done; ValueError if it cannot be."""
    store, name = site.store, fields["name"]
    if fields["action"] == "add":
        user = store.add_user(name, fields["password"], fields["role"])
        return f"added {user.name} as {user.role}"
    if fields["action"] == "password":
        store.set_password(name, fields["password"])
        return f"new password for {name}"
    if fields["action"] == "deactivate":
        store.deactivate(name)
        return f"deactivated {name}"
    if fields["action"] == "activate":
        store.activate(name)
        return f"activated {name}"
    raise ValueError(
        f"unknown action {fields['action'][:40]!r}; they are add, password, deactivate, activate"
    )


def _export(site: Site, kind: str, folder: Path) -> Path:
    path = folder / f"labels.{kind}"
    export_answers(site.store, path)
    return path
