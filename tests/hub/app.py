"""The loopback Hub's HTTP interface, as huggingface_hub 2.x calls it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any
from urllib.parse import unquote

import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from tests.hub.store import DATE, Blob, HubError, Repository, Store, upload_mode

TOKEN = "hf_loopback"
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}
_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


def make_app(store: Store) -> FastAPI:
    """Return the application over a store."""
    app = FastAPI()

    @app.exception_handler(HubError)
    async def refuse(request: Request, error: HubError) -> Response:
        headers = {"X-Error-Message": error.message.replace("\n", " ")}
        if error.code:
            headers["X-Error-Code"] = error.code
        return JSONResponse({"error": error.message, **error.content}, error.status, headers)

    def authorised(request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {TOKEN}"

    def must_write(request: Request) -> None:
        if not authorised(request):
            raise HubError(401, None, "Invalid credentials in Authorization header")

    def repository(request: Request, kind: str, owner: str, name: str) -> Repository:
        return store.repository(_TYPES[kind], f"{owner}/{name}", authorised(request))

    @app.get("/api/whoami-v2")
    async def whoami(request: Request) -> Any:
        must_write(request)
        return {"type": "user", "name": "tester", "fullname": "Tester", "orgs": [{"name": "acme"}]}

    @app.post("/api/validate-yaml")
    async def validate_yaml(request: Request) -> Any:
        body = await request.json()
        errors = _yaml_errors(body["content"], body["repoType"])
        content = {"errors": [{"message": e} for e in errors], "warnings": []}
        return JSONResponse(content, 400 if errors else 200)

    @app.post("/api/repos/create")
    async def create(request: Request) -> Any:
        must_write(request)
        body = await request.json()
        repo_type, repo_id = (
            body.get("type") or "model",
            f"{body.get('organization') or 'tester'}/{body['name']}",
        )
        if repo_type == "space" and not body.get("sdk"):
            raise HubError(400, None, "a Space needs an sdk")
        private = body.get("visibility") == "private" or bool(body.get("private"))
        store.create(repo_type, repo_id, private, body.get("sdk"))
        prefix = "" if repo_type == "model" else f"{repo_type}s/"
        return {"url": f"{_origin(request)}/{prefix}{repo_id}", "id": repo_id, "name": repo_id}

    @app.delete("/api/repos/delete")
    async def delete(request: Request) -> Any:
        must_write(request)
        body = await request.json()
        key = (body.get("type") or "model", f"{body['organization']}/{body['name']}")
        store.repository(*key)
        del store.repositories[key]
        return {}

    @app.post("/api/collections")
    async def create_collection(request: Request) -> Any:
        must_write(request)
        body = await request.json()
        if len(body.get("description") or "") > 150:
            raise HubError(400, None, "the description is longer than 150 characters")
        return store.add_collection(
            body["title"], body["namespace"], body.get("description") or "", body["private"]
        )

    @app.get("/api/collections")
    async def collections(request: Request) -> Any:
        owners = request.query_params.getlist("owner")
        held = [c for c in store.collections.values() if not owners or c["owner"]["name"] in owners]
        shown = [c for c in held if authorised(request) or not c["private"]]
        # A listing shows four items and no position.
        return [{k: v for k, v in c.items() if k != "position"} | {"items": c["items"][:4]} for c in shown]

    @app.get("/api/collections/{owner}/{name}")
    async def collection(owner: str, name: str) -> Any:
        return store.collection(f"{owner}/{name}")

    @app.post("/api/collections/{owner}/{name}/items")
    async def add_item(request: Request, owner: str, name: str) -> Any:
        must_write(request)
        body = await request.json()
        return store.add_item(f"{owner}/{name}", body["item"], body.get("note"))

    @app.post("/api/{kind}/{owner}/{name}/preupload/{revision:path}")
    async def preupload(request: Request, kind: str, owner: str, name: str, revision: str) -> Any:
        must_write(request)
        files = repository(request, kind, owner, name).commit(unquote(revision)).files
        found = []
        for file in (await request.json())["files"]:
            blob, mode = files.get(file["path"]), upload_mode(file["path"], file["size"])
            oid = None if blob is None else blob.sha256 if mode == "lfs" else blob.oid
            found.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": found}

    @app.post("/api/{kind}/{owner}/{name}/commit/{revision:path}")
    async def commit(request: Request, kind: str, owner: str, name: str, revision: str) -> Any:
        must_write(request)
        repo = repository(request, kind, owner, name)
        operations = [json.loads(line) for line in (await request.body()).splitlines()]
        for operation in operations:
            if operation["key"] == "file":
                operation["value"]["content"] = base64.b64decode(operation["value"]["content"])
        number = sum(ref.startswith("refs/pr/") for ref in repo.refs) + 1
        new_ref = f"refs/pr/{number}" if request.query_params.get("create_pr") == "1" else None
        made = store.apply(repo, unquote(revision), operations, new_ref)
        address = f"{_origin(request)}/{owner}/{name}"
        answer = {
            "success": True,
            "commitOid": made.oid,
            "commitUrl": f"{address}/commit/{made.oid}",
            "hookOutput": "",
        }
        return answer | ({"pullRequestUrl": f"{address}/discussions/{number}"} if new_ref else {})

    @app.post("/api/{kind}/{owner}/{name}/paths-info/{revision:path}")
    async def paths_info(request: Request, kind: str, owner: str, name: str, revision: str) -> Any:
        files = repository(request, kind, owner, name).commit(unquote(revision)).files
        form = await request.form() if "json" not in request.headers.get("content-type", "") else None
        asked = form.getlist("paths") if form is not None else (await request.json())["paths"]
        found = []
        for path in (str(p).strip("/") for p in asked):
            if path in files:
                found.append(files[path].info(path))
            elif any(p.startswith(f"{path}/") for p in files):
                found.append(_folder(path))
        return found

    @app.get("/api/{kind}/{owner}/{name}/tree/{rest:path}")
    async def tree(request: Request, kind: str, owner: str, name: str, rest: str) -> Any:
        repo = repository(request, kind, owner, name)
        revision, under = _split(repo, rest)
        files = repo.commit(revision).files
        prefix = f"{under}/" if under else ""
        below = {path: blob for path, blob in files.items() if path.startswith(prefix)}
        if under and not below:
            raise HubError(404, "EntryNotFound", f"{under} does not exist on {revision!r}")
        folders = {p[: i + len(prefix)] for p in below for i, c in enumerate(p[len(prefix) :]) if c == "/"}
        entries = [*map(_folder, sorted(folders)), *(blob.info(path) for path, blob in sorted(below.items()))]
        if request.query_params.get("recursive", "").lower() not in ("true", "1"):
            entries = [e for e in entries if "/" not in e["path"][len(prefix) :]]
        return entries

    @app.get("/api/{kind}/{owner}/{name}/refs")
    async def refs(request: Request, kind: str, owner: str, name: str) -> Any:
        repo = repository(request, kind, owner, name)

        def entries(held: dict[str, str], place: str) -> list[dict[str, str]]:
            return [{"name": n, "ref": f"{place}{n}", "targetCommit": oid} for n, oid in held.items()]

        branches = {n: oid for n, oid in repo.refs.items() if not n.startswith("refs/")}
        pulls = {n: oid for n, oid in repo.refs.items() if n.startswith("refs/pr/")}
        return {
            "branches": entries(branches, "refs/heads/"),
            "tags": entries(repo.tags, "refs/tags/"),
            "converts": [],
            "pullRequests": entries(pulls, ""),
        }

    @app.get("/api/{kind}/{owner}/{name}/commits/{revision:path}")
    async def commits(request: Request, kind: str, owner: str, name: str, revision: str) -> Any:
        repo = repository(request, kind, owner, name)
        found, oid = [], repo.commit(unquote(revision)).oid
        while oid is not None:
            made = repo.commits[oid]
            found.append({"id": oid, "title": made.title, "message": "", "date": DATE, "authors": []})
            oid = made.parent
        return found

    @app.post("/api/{kind}/{owner}/{name}/tag/{revision:path}")
    async def tag(request: Request, kind: str, owner: str, name: str, revision: str) -> Any:
        must_write(request)
        repo, wanted = repository(request, kind, owner, name), (await request.json())["tag"]
        if wanted in repo.tags:
            raise HubError(409, None, f"Tag reference exists already: {wanted}")
        repo.tags[wanted] = repo.commit(unquote(revision)).oid
        return {}

    @app.delete("/api/{kind}/{owner}/{name}/tag/{wanted:path}")
    async def delete_tag(request: Request, kind: str, owner: str, name: str, wanted: str) -> Any:
        must_write(request)
        if repository(request, kind, owner, name).tags.pop(unquote(wanted), None) is None:
            raise HubError(404, "RevisionNotFound", f"no tag {wanted}")
        return {}

    @app.get("/api/{kind}/{owner}/{name}/revision/{revision:path}")
    async def info_at(request: Request, kind: str, owner: str, name: str, revision: str) -> Any:
        return _info(repository(request, kind, owner, name), unquote(revision))

    @app.get("/api/{kind}/{owner}/{name}")
    async def info(request: Request, kind: str, owner: str, name: str) -> Any:
        if kind not in _TYPES:
            raise HubError(404, None, "no such page")
        return _info(repository(request, kind, owner, name), "main")

    @app.put("/objects/{oid}")
    async def put_object(request: Request, oid: str) -> Any:
        data = await request.body()
        if hashlib.sha256(data).hexdigest() != oid:
            raise HubError(400, None, "the content does not have this checksum")
        store.objects[oid] = data
        return Response()

    @app.api_route("/objects/{oid}", methods=["GET", "HEAD"])
    async def get_object(request: Request, oid: str) -> Any:
        if oid not in store.objects:
            raise HubError(404, "EntryNotFound", "no such object")
        return _ranged(request, store.objects[oid], {"ETag": f'"{oid}"'})

    @app.post("/{path:path}.git/info/lfs/objects/batch")
    async def batch(request: Request, path: str) -> Any:
        must_write(request)
        kind, owner, name = ["models", *path.split("/")][-3:]
        repository(request, kind, owner, name)
        answer = []
        for entry in (await request.json())["objects"]:
            if entry["oid"] not in store.objects:  # what has arrived is not asked for again
                entry = {
                    **entry,
                    "actions": {"upload": {"href": f"{_origin(request)}/objects/{entry['oid']}"}},
                }
            answer.append(entry)
        return {"transfer": "basic", "objects": answer}

    @app.api_route("/{path:path}", methods=["GET", "HEAD"])
    async def resolve(request: Request, path: str) -> Any:
        match = re.match(r"(?:(datasets|spaces)/)?([^/]+)/([^/]+)/resolve/(.+)$", path)
        if match is None:
            raise HubError(404, None, "no such page")
        repo = repository(request, match[1] or "models", match[2], match[3])
        revision, file = _split(repo, match[4])
        made = repo.commit(revision)
        blob = made.files.get(file)
        headers = {"X-Repo-Commit": made.oid}
        if blob is None:
            return Response("Entry not found", 404, {**headers, "X-Error-Code": "EntryNotFound"})
        if not blob.lfs:
            return _ranged(request, blob.data, {**headers, "ETag": f'"{blob.oid}"'})
        headers |= {"X-Linked-ETag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        # Large files lie on another host, as on the Hub: the client does not ask that one for the metadata.
        storage = _origin(request).replace("127.0.0.1", "localhost")
        return Response(status_code=302, headers={**headers, "Location": f"{storage}/objects/{blob.sha256}"})

    return app


def _origin(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": hashlib.sha1(path.encode()).hexdigest()}


def _split(repo: Repository, rest: str) -> tuple[str, str]:
    """Split ``REVISION/PATH``; a revision with slashes is one that the repository has."""
    rest = unquote(rest)
    known = [name for name in (*repo.refs, *repo.tags) if rest == name or rest.startswith(f"{name}/")]
    revision = max(known, key=len, default=rest.split("/", 1)[0])
    return revision, rest[len(revision) + 1 :]


def _ranged(request: Request, data: bytes, headers: dict[str, str]) -> Response:
    headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
    match = _RANGE.match(request.headers.get("range", ""))
    if match is None:
        return Response(data, 200, headers)
    if match[1]:
        start, end = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
    else:
        start, end = max(0, len(data) - int(match[2])), len(data) - 1
    if start > end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{len(data)}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
    return Response(data[start : end + 1], 206, headers)


def _info(repo: Repository, revision: str) -> dict[str, Any]:
    made = repo.commit(revision)
    card = made.files.get("README.md", Blob(b"", False)).data.decode()
    return {
        "_id": hashlib.sha1(repo.id.encode()).hexdigest()[:24],
        "id": repo.id,
        "sha": made.oid,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "lastModified": DATE,
        "createdAt": DATE,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [{"rfilename": path} for path in sorted(made.files)],
        "cardData": _head(card) or {},
        "sdk": repo.sdk,
    }


def _head(card: str) -> dict[str, Any] | None:
    parts = card.split("---\n", 2)
    if len(parts) < 3 or parts[0]:
        return None
    head = yaml.safe_load(parts[1])
    return head if isinstance(head, dict) else None


def _yaml_errors(content: str, repo_type: str) -> list[str]:
    """Return what the Hub would refuse in a card's head (the part of its rules that cards break)."""
    try:
        head = _head(content)
    except yaml.YAMLError as error:
        return [f"not YAML: {error}"]
    if head is None:
        return []
    errors = []
    if "license" in head and not isinstance(head["license"], str | list):
        errors.append('"license" must be a string')
    for name in ("colorFrom", "colorTo"):
        if repo_type == "space" and name in head and head[name] not in COLOURS:
            errors.append(f'"{name}" must be one of {sorted(COLOURS)}')
    if len(head.get("short_description") or "") > 60:
        errors.append('"short_description" must be at most 60 characters long')
    for entry in head.get("model-index") or []:
        for result in entry.get("results") or [{}]:
            if not {"task", "dataset", "metrics"} <= set(result) or "name" not in result["dataset"]:
                errors.append('"model-index" needs task, dataset with a name, and metrics')
                break
    return errors
