"""A stand-in for the Hugging Face Hub on loopback.

It speaks the few routes that `huggingface_hub` and `datasets` use, keeps commits, tags and large
files in memory, and is as strict as the Hub where our code relies on it: who may write, which
commit a commit builds on, that a large file came before the commit that names it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class RefusalError(Exception):
    """An answer other than 2xx, as the Hub words it."""

    def __init__(self, status, message, code=None):
        super().__init__(message)
        self.status = status
        self.headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})


class Repository:
    """Commits by their hash, each a dict of files; branches and tags."""

    def __init__(self, private):
        self.private = private
        self.commits = {}
        self.branches = {}
        self.tags = {}
        self.commit({".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"})

    def commit(self, files):
        sha = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[sha] = files
        self.branches["main"] = sha
        return sha

    def resolve(self, revision):
        sha = (self.branches | self.tags).get(revision, revision)
        if sha not in self.commits:
            raise RefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha


class Hub:
    """The stand-in.

    Attributes
    ----------
    url
        What ``HF_ENDPOINT`` is to be.
    tokens
        Who holds a token, and which organisations they may write to.
    repositories
        By ``(type, "org/name")``.
    large
        Uploaded large files by sha256.
    log
        ``(method, path, authorised)`` of every request.
    received
        What every commit brought: ``(path, bytes)``, and ``(path, None)`` for what it removed.
    fail
        ``{(method, part of the path): status}``: requests that are answered so, with a body
        that is no JSON.
    """

    def __init__(self):
        self.tokens = {"hf_of_tests": ("tester", {"tester", "org"}), "hf_of_others": ("other", {"other"})}
        self.lock = threading.Lock()
        self.clear()

    def clear(self):
        """As if nobody had been there."""
        self.repositories = {}
        self.large = {}
        self.log = []
        self.received = []
        self.fail = {}

    @contextmanager
    def running(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def add(self, kind, name, private=False):
        """A new repository, as the Hub makes it."""
        self.repositories[kind, name] = Repository(private)
        return self.repositories[kind, name]

    def repository(self, kind, name, user):
        repository = self.repositories.get((kind, name))
        if repository is None or (repository.private and not self.may_write(user, name)):
            raise RefusalError(404 if user else 401, "Repository not found", "RepoNotFound")
        return repository

    def may_write(self, user, name):
        return user is not None and name.split("/")[0] in user[1]

    # Each route gets the user (None without a token), the groups of its path, the query and the body.

    def create(self, user, query, body):
        wanted = json.loads(body)
        name = f"{wanted['organization'] or user[0]}/{wanted['name']}" if user else ""
        if user is None:
            raise RefusalError(401, "Invalid username or password.")
        if not self.may_write(user, name):
            raise RefusalError(403, f"You don't have the rights to create a repo under {name.split('/')[0]}")
        key = (wanted.get("type", "model") + "s", name)
        if key in self.repositories:
            raise RefusalError(409, "You already created this repo")
        self.add(*key, private=wanted.get("visibility") == "private")
        return {"url": f"{self.url}/{key[0]}/{name}", "name": name}

    def validate_yaml(self, user, query, body):
        assert json.loads(body)["content"].startswith("---\n")
        return {"errors": [], "warnings": []}

    def info(self, user, kind, name, revision, query, body):
        repository = self.repository(kind, name, user)
        sha = repository.resolve(unquote(revision or "main"))
        files = [{"rfilename": path} for path in sorted(repository.commits[sha])]
        return {"id": name, "sha": sha, "private": repository.private, "siblings": files, "tags": []}

    def refs(self, user, kind, name, query, body):
        repository = self.repository(kind, name, user)

        def listed(refs, folder):
            return [{"name": k, "ref": f"refs/{folder}/{k}", "targetCommit": v} for k, v in refs.items()]

        return {
            "branches": listed(repository.branches, "heads"),
            "tags": listed(repository.tags, "tags"),
            "converts": [],
        }

    def tree(self, user, kind, name, revision, folder, query, body):
        repository = self.repository(kind, name, user)
        files = repository.commits[repository.resolve(unquote(revision))]
        prefix = f"{unquote(folder)}/" if folder else ""
        inside = {path: content for path, content in files.items() if path.startswith(prefix)}
        if prefix and not inside:
            raise RefusalError(404, f"{prefix} does not exist", "EntryNotFound")
        entries = {}
        recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
        for path, content in sorted(inside.items()):
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) if recursive else min(len(parts), 2)):
                parent = prefix + "/".join(parts[:depth])
                entries[parent] = {"type": "directory", "path": parent, "oid": "0" * 40, "size": 0}
            if recursive or len(parts) == 1:
                entries[path] = _entry(path, content)
        return list(entries.values())

    def preupload(self, user, kind, name, revision, query, body):
        self.authorise(user, name)
        files = self.repository(kind, name, user).commits[
            self.repository(kind, name, user).resolve(unquote(revision))
        ]
        answer = []
        for file in json.loads(body)["files"]:
            path = file["path"]
            mode = "lfs" if _is_large(path) else "regular"
            oid = None
            if path in files:
                oid = hashlib.sha256(files[path]).hexdigest() if mode == "lfs" else _blob_id(files[path])
            answer.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": answer}

    def batch(self, user, kind, name, query, body):
        self.authorise(user, name)
        objects = []
        for wanted in json.loads(body)["objects"]:
            if wanted["oid"] not in self.large:
                wanted["actions"] = {"upload": {"href": f"{self.url}/large/{wanted['oid']}"}}
            objects.append(wanted)
        return {"transfer": "basic", "objects": objects}

    def upload(self, user, oid, query, body):
        assert hashlib.sha256(body).hexdigest() == oid
        self.large[oid] = body
        return {}

    def commit(self, user, kind, name, revision, query, body):
        self.authorise(user, name)
        repository = self.repository(kind, name, user)
        head = repository.resolve(unquote(revision))
        files = dict(repository.commits[head])
        received = []
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                if value.get("parentCommit", head) != head:
                    raise RefusalError(412, "A commit has happened since. Please refresh and try again.")
                continue
            if entry["key"] == "file":
                assert not _is_large(value["path"])
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                if value["oid"] not in self.large:
                    raise RefusalError(400, f"LFS object {value['oid']} was not uploaded")
                files[value["path"]] = self.large[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise AssertionError(entry["key"])
            content = files.get(value["path"])
            received.append((value["path"], None if content is None else len(content)))
        sha = repository.commit(files)
        self.received.append(received)
        return {"commitUrl": f"{self.url}/{kind}/{name}/commit/{sha}", "commitOid": sha}

    def tag(self, user, kind, name, revision, query, body):
        self.authorise(user, name)
        repository = self.repository(kind, name, user)
        tag = json.loads(body)["tag"]
        if tag in repository.tags:
            raise RefusalError(409, "Tag reference exists already")
        repository.tags[tag] = repository.resolve(unquote(revision))
        return {}

    def authorise(self, user, name):
        if user is None:
            raise RefusalError(401, "Invalid username or password.")
        if not self.may_write(user, name):
            raise RefusalError(403, f"You don't have the rights to write to {name}")

    def resolve(self, user, kind, name, revision, path):
        """The content of a file, and the headers that clients know it by."""
        repository = self.repository(kind or "models", name, user)
        sha = repository.resolve(unquote(revision))
        content = repository.commits[sha].get(unquote(path))
        if content is None:
            refusal = RefusalError(404, "Entry not found", "EntryNotFound")
            refusal.headers["X-Repo-Commit"] = sha
            raise refusal
        headers = {"X-Repo-Commit": sha, "ETag": f'"{_blob_id(content)}"', "Accept-Ranges": "bytes"}
        if _is_large(path):
            headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            headers["X-Linked-Size"] = str(len(content))
        return content, headers


def _is_large(path):
    return path.endswith((".parquet", ".safetensors"))


def _blob_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _entry(path, content):
    entry = {"type": "file", "path": path, "size": len(content), "oid": _blob_id(content)}
    if _is_large(path):
        sha256 = hashlib.sha256(content).hexdigest()
        entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return entry


_REPO = r"(datasets|models)/([^/]+/[^/]+)"
_ROUTES = [
    ("POST", r"/api/repos/create", "create"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("GET", rf"/api/{_REPO}/refs", "refs"),
    ("GET", rf"/api/{_REPO}/tree/([^/]+)(?:/(.+))?", "tree"),
    ("POST", rf"/api/{_REPO}/preupload/([^/]+)", "preupload"),
    ("POST", rf"/api/{_REPO}/commit/([^/]+)", "commit"),
    ("POST", rf"/api/{_REPO}/tag/([^/]+)", "tag"),
    ("GET", rf"/api/{_REPO}(?:/revision/([^/]+))?", "info"),
    ("POST", r"(?:/(datasets))?/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "batch"),
    ("PUT", r"/large/([0-9a-f]{64})", "upload"),
]
_FILE = re.compile(r"(?:/(datasets))?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")  # those of a model name no kind


def _handler(hub):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: two would wait for each other

        def log_message(self, *args):
            pass

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            with hub.lock:
                hub.log.append((self.command, url.path, bool(token)))
                try:
                    self.reply(*self.route(url, token, body))
                except RefusalError as refusal:
                    self.reply(refusal.status, str(refusal).encode(), refusal.headers)

        do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

        def route(self, url, token, body):
            for (method, part), status in hub.fail.items():
                if method == self.command and part in url.path:
                    raise RefusalError(status, "injected")
            user = hub.tokens.get(token)
            if token and user is None:
                raise RefusalError(401, "Invalid credentials in Authorization header")
            if self.command in ("GET", "HEAD") and (match := _FILE.fullmatch(url.path)):
                content, headers = hub.resolve(user, *match.groups())
                asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
                if asked is None:
                    return 200, content, headers
                first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                return 206, content[first : last + 1], headers
            for method, pattern, name in _ROUTES:
                if method == self.command and (match := re.fullmatch(pattern, url.path)):
                    query = parse_qs(url.query)
                    answer = getattr(hub, name)(user, *match.groups(), query=query, body=body)
                    return 200, json.dumps(answer).encode(), {"Content-Type": "application/json"}
            raise RefusalError(404, f"no route for {self.command} {url.path}")

        def reply(self, status, content, headers):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    return Handler
