"""A demo in a process of its own, and a visitor who sends what he likes."""

import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager

import httpx

API = "/gradio_api"
NOWHERE = "this file is not here"


@contextmanager
def demo_of(folder, *command):
    """A demo; when it ends, nothing of it is left."""
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, env=environment) as demo:
        line = demo.stdout.readline()
        try:
            yield re.search(r"http://\S+/", line)[0]
        finally:
            demo.terminate()
            assert demo.wait(90) is not None
    assert not list(folder.glob("dyto-demo-*"))


class Visitor:
    """Whoever keeps the cookie, and sends requests by hand."""

    def __init__(self, address, page="page-of-mine"):
        self.page = page
        self.web = httpx.Client(base_url=address, timeout=60)
        self.config = self.web.get("/config").json()
        (self.asking,) = [d["id"] for d in self.config["dependencies"] if len(d["inputs"]) == 11 and d["backend_fn"]]

    def upload(self, content, name="film.mp4"):
        """The response to an upload."""
        return self.web.post(f"{API}/upload", files={"files": (name, content)})

    def join(self, video, **changes):
        """The response to a question."""
        data = [video, "", True, "what is it ?", "", "tiny", "dyto", "none", 0, "none", None]
        body = {
            "data": data,
            "fn_index": self.asking,
            "session_hash": self.page,
            "event_data": None,
            "trigger_id": None,
        }
        return self.web.post(f"{API}/queue/join", json={**body, **changes})

    def heard(self):
        """All that the queue says to the page until it has no more."""
        with self.web.stream("GET", f"{API}/queue/data", params={"session_hash": self.page}) as stream:
            return [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]

    def ask(self, video):
        """The text of the last message about a question."""
        joined = self.join(video)
        assert joined.status_code == 200, joined.text
        (end,) = [message for message in self.heard() if message["msg"] == "process_completed"]
        return json.dumps(end["output"]["data"])
