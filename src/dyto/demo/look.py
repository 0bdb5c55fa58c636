"""The page's style, where it differs from gradio's, and a few browser scripts."""

from __future__ import annotations

import json

CSS = """
footer { display: none !important; }
.gradio-container { width: 100%; max-width: 1180px !important; margin: 0 auto !important; }
body:not(:has(#answers[aria-busy="true"])) #stop { display: none; }
.status { min-height: 1.6em; }
#status [data-testid="status-tracker"] { display: none; }
#status strong { color: #b91c1c; }
.dark #status strong { color: #fca5a5; }
#video button[aria-label^="Trim"], #video button[aria-label^="Reset"] { display: none; }
.seen .grid-wrap { max-height: none !important; height: auto !important; }
.seen .grid-container { grid-template-columns: repeat(auto-fill, minmax(min(150px, 30%), 1fr)) !important; }
.seen.maps .grid-container { grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)) !important; }
.seen .thumbnail-item { aspect-ratio: auto !important; height: auto !important; }
.seen .thumbnail-item img { object-fit: contain !important; height: auto !important; }
"""
"""Style sheet: pictures in their own proportions, side by side, without scrolling boxes; the video editor is hidden
because it would fetch parts from elsewhere; nothing covers the status line."""

ANNOUNCED = """() => {
    document.querySelector('#status [data-testid=markdown]').setAttribute('role', 'status');
}"""
"""Script for an opening page: screen readers read the status line aloud."""

BUSY = """() => {
    document.getElementById('answers').setAttribute('aria-busy', 'true');
    document.getElementById('status').scrollIntoView({block: 'nearest'});
}"""
"""Script for the start of a question: show Stop while there is something to stop, and scroll to the status."""

IDLE = """() => {
    document.getElementById('answers').setAttribute('aria-busy', 'false');
    const show = () => document.querySelector('#status strong')?.scrollIntoView({block: 'nearest'});
    requestAnimationFrame(() => requestAnimationFrame(show));
}"""
"""Script for the end of a question: scroll an error, which may be long, fully into view."""

TOKEN = "(video) => video ? video.path : ''"
"""Script for a new video: a question refers only to the server's token of the video."""

JUMP = """(second) => {
    const video = document.querySelector('#video video');
    if (video && Number.isFinite(second)) video.currentTime = second;
}"""
"""Script for a selected key frame: move the video there."""


def sample_script(name: str, question: str, options: str) -> str:
    """Return the script of a sample button, which runs in the browser alone.

    Args:
        name: Token of the clip.
        question: The sample's question.
        options: The sample's options.

    Returns:
        A JavaScript function that returns the video, the question and the options.
    """
    values = json.dumps([name, question, options])
    return f"""() => {{
    const [name, question, options] = {values};
    const url = new URL('gradio_api/file=' + name, document.baseURI).href;
    const meta = {{_type: 'gradio.FileData'}};
    return [{{path: name, url, orig_name: name, mime_type: 'video/mp4', meta}}, question, options];
}}"""
