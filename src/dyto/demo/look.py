"""The style of the page, where it differs from gradio's own, and the little that the browser does by itself."""

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
"""Pictures in their own proportions, as many beside each other as fit, none in a box that scrolls; the editor of
videos hidden, because it would fetch parts from elsewhere; nothing laid over the line of the status."""

ANNOUNCED = """() => {
    document.querySelector('#status [data-testid=markdown]').setAttribute('role', 'status');
}"""
"""As the page opens: what is told in the line of the status is read out to those who do not see it."""

BUSY = """() => {
    document.getElementById('answers').setAttribute('aria-busy', 'true');
    document.getElementById('status').scrollIntoView({block: 'nearest'});
}"""
"""As a question begins: Stop is there as long as there is something to stop, and the status is in view."""

IDLE = """() => {
    document.getElementById('answers').setAttribute('aria-busy', 'false');
    const show = () => document.querySelector('#status strong')?.scrollIntoView({block: 'nearest'});
    requestAnimationFrame(() => requestAnimationFrame(show));
}"""
"""As it ends: an error, which may be longer than what was told before, is in view as a whole."""

TOKEN = "(video) => video ? video.path : ''"
"""As another video is shown: what the server calls it, and nothing else, is what a question is asked about."""

JUMP = """(second) => {
    const video = document.querySelector('#video video');
    if (video && Number.isFinite(second)) video.currentTime = second;
}"""
"""As a key frame is chosen: the video goes there."""


def sample_script(name: str, question: str, options: str) -> str:
    """What a button does that takes a sample; the browser needs nobody for it.

    Args:
        name: What the server calls the clip.
        question: To ask.
        options: To choose from.

    Returns:
        A function in JavaScript that gives the video, the question and the options.
    """
    values = json.dumps([name, question, options])
    return f"""() => {{
    const [name, question, options] = {values};
    const url = new URL('gradio_api/file=' + name, document.baseURI).href;
    const meta = {{_type: 'gradio.FileData'}};
    return [{{path: name, url, orig_name: name, mime_type: 'video/mp4', meta}}, question, options];
}}"""
