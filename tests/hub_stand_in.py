"""A stand-in of the Hugging Face hub on this machine: what huggingface_hub asks of it to make a
repository, push to it and read it, over real sockets."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Hub:
    """Repositories as name -> file -> content; ``asked`` keeps the requests."""

    def __init__(self):
        self.repositories, self.large, self.asked = {}, {}, []
        self.refuses = False  # whether it answers everything with 403

    def commit_of(self, name):
        """A checksum of the content, as a commit's name."""
        files = self.repositories[name]
        told = json.dumps({k: hashlib.sha1(v).hexdigest() for k, v in sorted(files.items())})
        return hashlib.sha1(told.encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def hub(self):
        return self.server.hub

    def answer(self, status=200, content=None, body=b"", **headers):
        if content is not None:
            body = json.dumps(content).encode()
            headers.setdefault("Content-Type", "application/json")
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = b""
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            self.body = self.rfile.read(length)
        path = urlsplit(self.path).path
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.refuses:
            return self.answer(403, {"error": "forbidden"})
        parts = path.strip("/").split("/")
        if path == "/api/repos/create":
            asked = json.loads(self.body)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.hub.repositories.setdefault(name, {})
            return self.answer(content={"url": f"{self.base}/{name}"})
        if path == "/api/validate-yaml":
            return self.answer(content={"errors": [], "warnings": []})
        if path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(self.body)["objects"]
            found = [{**one, "actions": {"upload": {"href": f"{self.base}/lfs/{one['oid']}"}}}
                     for one in objects]  # fmt: skip
            return self.answer(content={"transfer": "basic", "objects": found})
        if parts[0] == "lfs":
            self.hub.large[parts[1]] = self.body
            return self.answer()
        if parts[:2] == ["api", "models"]:
            return self.of_model("/".join(parts[2:4]), parts[4:])
        if "resolve" in parts:
            return self.file("/".join(parts[:2]), "/".join(parts[4:]))
        return self.answer(404, {"error": f"not known here: {path}"})

    do_GET = do_POST = do_PUT = do_HEAD = handle_any

    @property
    def base(self):
        return f"http://{self.headers['Host']}"

    def of_model(self, name, rest):
        if name not in self.hub.repositories:
            return self.answer(404, {"error": "none"}, X_Error_Code="RepoNotFound")
        files = self.hub.repositories[name]
        if rest[:1] == ["preupload"]:
            asked = json.loads(self.body)["files"]
            kinds = [{"path": one["path"], "shouldIgnore": False,
                      "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular"}
                     for one in asked]  # fmt: skip
            return self.answer(content={"files": kinds})
        if rest[:1] == ["commit"]:
            for line in self.body.splitlines():
                one = json.loads(line)
                if one["key"] == "file":
                    content = base64.b64decode(one["value"]["content"])
                    files[one["value"]["path"]] = content
                elif one["key"] == "lfsFile":
                    files[one["value"]["path"]] = self.hub.large[one["value"]["oid"]]
            commit = self.hub.commit_of(name)
            url = f"{self.base}/{name}/commit/{commit}"
            return self.answer(content={"success": True, "commitOid": commit, "commitUrl": url,
                                        "hookOutput": ""})  # fmt: skip
        if rest[:1] == ["tree"]:
            found = [{"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
                     for path, content in files.items()]  # fmt: skip
            return self.answer(content=found)
        siblings = [{"rfilename": path} for path in files]
        about = {"id": name, "modelId": name, "private": False, "sha": self.hub.commit_of(name)}
        return self.answer(content={**about, "siblings": siblings, "tags": [], "downloads": 0})

    def file(self, name, path):
        found = self.hub.repositories.get(name, {}).get(path)
        if found is None:
            return self.answer(404, X_Error_Code="EntryNotFound")
        commit, tag = self.hub.commit_of(name), hashlib.sha256(found).hexdigest()
        return self.answer(body=found, ETag=f'"{tag}"', X_Repo_Commit=commit,
                           X_Linked_Size=str(len(found)))  # fmt: skip


@contextmanager
def stand_in():
    """Its address, and the hub behind it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub = Hub()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.hub
    finally:
        server.shutdown()
        server.server_close()
