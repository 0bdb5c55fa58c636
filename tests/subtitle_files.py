"""Texts of subtitle files, and videos with tracks of subtitles."""

from fractions import Fraction

import av

from video_files import picture

ASS = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname
Style: Default,Arial

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Comment: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,not said
Dialogue: 0,0:00:04.00,0:00:05.00,Default,Bob,0,0,0,,{\\an8\\i1}Then, {\\b1}what\\N is{\\i0} it?
Dialogue: 0,0:00:01.50,0:00:02.00,Default,Ann,0,0,0,,Hello, there.
Dialogue: 0,0:00:02.00,0:00:03.00,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
Dialogue: 0,0:00:08.00,0:00:07.00,Default,,0,0,0,,never
"""
SRT = "1\n00:00:01,000 --> 00:00:02,000\nThe password is swordfish.\n\n2\n00:00:05,000 --> 00:00:06,000\nGood night.\n"


HEAD = {"webvtt": "WEBVTT\n\n", "ass": ASS[: ASS.index("Comment")], "subrip": ""}
CUE = {
    "webvtt": "00:00:00.500 --> 00:00:00.900\nx\n\n",
    "ass": "Dialogue: 0,0:00:00.50,0:00:00.90,Default,,0,0,0,,x\n",
    "subrip": "1\n00:00:00,500 --> 00:00:00,900\nx\n\n",
}
ENDING = {"webvtt": "vtt", "ass": "ass", "subrip": "srt"}


def add_track(out, kind, folder):
    """Add a track of subtitles to a file that is being written."""
    if kind == "mov_text":
        track = out.add_stream("mov_text")
        track.codec_context.subtitle_header = HEAD["ass"].encode()
        return track, None
    model = folder / f"model.{ENDING[kind]}"
    model.write_text(HEAD[kind] + CUE[kind])
    source = av.open(str(model))
    return out.add_stream_from_template(source.streams[0]), source


def with_track(path, kind="subrip", texts=("Hello, there.", "Good <i>night</i>."), language="eng", late=0):
    """A video of three seconds with a track of subtitles, whose pictures begin `late` ticks of 0.1 s late."""
    folder = path.parent / "model"
    folder.mkdir(exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 64, "yuv420p"
        track, source = add_track(out, kind, folder)
        track.metadata["language"] = language
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number + late, Fraction(1, 10)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        for number, text in enumerate(texts):
            data = text.encode()
            if kind == "mov_text":
                data = len(data).to_bytes(2, "big") + data
            packet = av.Packet(data)
            packet.stream, packet.time_base = track, Fraction(1, 1000)
            packet.pts = packet.dts = 1000 * number + 500 + 100 * late
            packet.duration = 400
            out.mux(packet)
        if source is not None:
            source.close()
    return path
