"""The page's style, where it differs from gradio's, and a few browser scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dyto.demo.samples import SampleVideo

CSS = """
footer { display: none !important; }
.gradio-container { width: 100%; max-width: 1180px !important; margin: 0 auto !important; }
.gradio-container h1 { font-size: 1.6rem; font-weight: 700; margin: 0 0 4px; }
.gradio-container h4 { font-size: .95rem; font-weight: 600; margin: 0 0 4px; }
body:not(:has(#talk[aria-busy="true"])) #stop { display: none; }
#past:not(:has(.turn)), #now:not(:has(.turn)) { display: none; }
#line:not(:has(.line)), #video:not(:has(.film)):not(:has(.unshown)) { display: none; }
#status:not(:has(p)) { position: absolute; height: 0; overflow: hidden; }
.gradio-container .html-container { padding: 0 !important; }
#talk:not([aria-busy="true"]) .said:has(.writing), #turns:not(:has(.turn)), #seen:not(:has(.shot)) { display: none; }
#status [data-testid="status-tracker"] { display: none; }
#said:not(:has(bdi)):not(:has(strong)) { display: none; }
#said { font-size: .85rem; }
#subtitles a { pointer-events: none; text-decoration: none; color: inherit; }
#status strong, #said strong { color: #b91c1c; }
.dark #status strong { color: #fca5a5; }
.dark #said strong { color: #fca5a5; }
#video .film { display: block; width: 100%; max-height: 340px; object-fit: contain; background: #0b0b0d;
  border-radius: var(--block-radius); }
#video .unshown { padding: 12px; border: 1px solid var(--border-color-primary); border-radius: var(--block-radius); }
.line { display: flex; gap: 2px; height: 30px; border-radius: 5px; overflow: hidden; }
.line button { min-width: 3px; flex: 1 1 0; padding: 0; border: 0; cursor: pointer; }
.line button:hover, .line button:focus-visible { box-shadow: inset 0 0 0 3px var(--color-accent); }
.marks { position: relative; height: 8px; margin: 2px 0; }
.marks i { position: absolute; width: 3px; height: 8px; margin-left: -1px; background: var(--color-accent); }
.ends { display: flex; justify-content: space-between; gap: 10px; white-space: nowrap; font-size: .78rem; }
.ends span:nth-child(2) { white-space: normal; text-align: center; }
.download { margin: 10px 0 0; font-size: .9rem; }
.download a { color: var(--link-text-color); text-decoration: underline; }
#samples { flex-wrap: nowrap; gap: 10px; }
.sample { height: 84px; padding: 0 6px 6px; align-items: flex-end; color: #fff !important; font-size: .82rem;
  background-size: cover !important; background-position: 50% 30% !important; border: 2px solid transparent;
  text-shadow: 0 1px 3px #000; }
.sample:hover, .sample:focus-visible { border-color: var(--color-accent); }
#turns { max-height: min(58vh, 520px); overflow-y: auto; gap: 14px; }
.turn { display: grid; gap: 8px; }
.turn + .turn { margin-top: 14px; }
.turn .question { justify-self: end; max-width: 88%; padding: 8px 12px; background: var(--color-accent-soft);
  color: var(--body-text-color); border-radius: 14px 14px 3px 14px; }
.dark .turn .question { background: #43302a; }
.turn .asked { margin: 0; overflow-wrap: anywhere; }
.turn .options { margin: 4px 0 0; padding-left: 18px; list-style: disc; font-size: .9rem; }
.sides { display: grid; gap: 14px; grid-template-columns: repeat(auto-fit, minmax(min(230px, 100%), 1fr)); }
.said { padding: 10px 14px; background: var(--block-background-fill); border: 1px solid var(--border-color-primary);
  border-radius: 14px 14px 14px 3px; overflow-wrap: anywhere; }
.said .words { margin: 0; font-size: 1.15rem; font-weight: 600; white-space: pre-wrap; }
.said .remark { margin: 0 0 6px; color: var(--body-text-color); border-left: 3px solid #d97706; padding-left: 8px; }
.said .facts, .said .notes { margin: 6px 0 0; }
.said .facts, .said .facts strong, .said .notes li { font-size: .85rem; color: var(--body-text-color); opacity: .8; }
.said .notes { padding: 0; list-style: none; }
.said .by, .side .by { color: var(--color-accent); }
.shots { display: grid; gap: 8px; grid-template-columns: repeat(auto-fill, minmax(min(150px, 30%), 1fr)); }
.shots.many { grid-template-columns: repeat(auto-fill, minmax(min(104px, 22%), 1fr)); }
.shots.maps { grid-template-columns: repeat(auto-fill, minmax(min(250px, 100%), 1fr)); }
.shot { display: block; padding: 0; border: 1px solid var(--border-color-primary); border-radius: 6px; overflow: hidden;
  background: var(--block-background-fill); cursor: pointer; text-align: center; }
.shot:hover, .shot:focus-visible { border-color: var(--color-accent); outline: 2px solid var(--color-accent); }
.shot img { display: block; width: 100%; height: auto; margin: 0; }
.shot span { display: block; padding: 2px 4px; font-size: .78rem; font-weight: 400;
  color: var(--body-text-color); }
@media (max-width: 720px) { #turns { max-height: none; overflow: visible; } .gradio-container main { padding: 12px; }
  #video .film { max-height: 46vh; } }
"""
"""Style sheet: empty parts take no room, and pictures lie side by side in their own proportions."""

OPENED = """() => {
    document.querySelector('#status [data-testid=markdown]').setAttribute('role', 'status');
    document.querySelector('#turns').setAttribute('aria-live', 'polite');
    document.addEventListener('click', event => {
        const shot = event.target.closest('[data-second]'), video = document.querySelector('#video video');
        if (!shot || !video) return;
        video.currentTime = Number(shot.dataset.second);
        video.scrollIntoView({block: 'nearest', behavior: 'smooth'});
    });
    document.addEventListener('error', event => {
        if (!event.target.matches?.('#video video')) return;
        event.target.hidden = true;
        event.target.nextElementSibling.hidden = false;
    }, true);
}"""
"""Script for an opening page: screen readers read status and answers aloud, a picture moves the video to its moment,
and a video that the browser does not play gives way to a sentence."""

BUSY = """() => {
    document.getElementById('talk').setAttribute('aria-busy', 'true');
    document.getElementById('status').scrollIntoView({block: 'nearest'});
}"""
"""Script for the start of a question: show Stop while there is something to stop, and scroll to the status."""

IDLE = """() => {
    document.getElementById('talk').setAttribute('aria-busy', 'false');
    const show = () => {
        const turns = document.getElementById('turns'), error = document.querySelector('#status strong');
        turns.scrollTop = turns.scrollHeight;
        (error || document.querySelector('#now .turn'))?.scrollIntoView({block: 'nearest'});
    };
    requestAnimationFrame(() => requestAnimationFrame(show));
}"""
"""Script for the end of a question: scroll to the answer, or bring an error, which may be long, fully into view."""

UPLOADED = "(file) => file ? file.path : ''"
"""Script for a new file: a question refers only to the server's token of it."""

CLEARED = "() => ['', null, '']"
"""Script for a video that was taken away: its subtitles go with it."""


def sample_script(sample: SampleVideo, models: Sequence[str]) -> str:
    """Return the script of a sample's button, which runs in the browser alone.

    Args:
        sample: The sample.
        models: Names in the menu of models.

    Returns:
        A JavaScript function from the chosen model to the token of the clip, no file, the question, the options, the
        model, and no subtitles.
    """
    values = json.dumps([sample.path.name, None, sample.question, "\n".join(sample.options)])
    return f"(model) => [...{values}, {json.dumps(sample.model) if sample.model in models else 'model'}, null, '']"


def sample_style(samples: Sequence[SampleVideo]) -> str:
    """Return the style sheet that shows on each sample's button what the sample is."""
    shade = "linear-gradient(rgba(0,0,0,0) 30%, rgba(0,0,0,.75))"
    rules = (
        f"#sample-{number} {{ background-image: {shade}, url({sample.poster()}) !important; }}"
        for number, sample in enumerate(samples, start=1)
    )
    return "\n".join(rules)
