"""A hub on loopback: the calls by which huggingface_hub lists and downloads a repository."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

COMMIT = "c0ffee" + "0" * 34


@contextmanager
def serve_hub(folders, cut=""):
    """Serve folders as repositories; yield the address and the list of what was asked for.

    Args:
        folders: Folder by name ("somebody/model").
        cut: Name of a file of which only the first half is sent.
    """
    asked: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args):
            pass

        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body):
            path = urlsplit(self.path).path
            asked.append(f"{self.command} {path}")
            repository = next((name for name in folders if f"/{name}/" in f"{path}/"), None)
            if repository is None:
                return self.missing("RepoNotFound")
            folder = Path(folders[repository])
            if path.startswith("/api/models/"):
                return self.listing(repository, folder, path)
            name = path.partition("/resolve/")[2].partition("/")[2]
            file = folder / name
            if not file.is_file():
                return self.missing("EntryNotFound")
            content = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            if body and name == cut:
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
            elif body:
                self.wfile.write(content)

        def listing(self, repository, folder, path):
            files = sorted(file for file in folder.rglob("*") if file.is_file())
            names = [file.relative_to(folder).as_posix() for file in files]
            if "/tree/" in path:
                told = [
                    {"type": "file", "path": n, "size": f.stat().st_size, "oid": "0" * 40}
                    for n, f in zip(names, files, strict=True)
                ]
            else:
                told = {
                    "id": repository, "modelId": repository, "sha": COMMIT, "private": False, "tags": [],
                    "siblings": [{"rfilename": name} for name in names],
                }  # fmt: skip
            content = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def missing(self, code):
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", "not here")
            self.send_header("Content-Length", "0")
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
