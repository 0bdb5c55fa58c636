"""Photographs that packages ship, and what they show: the truth by which the model is measured.

`photos.tsv` names each: package, path inside it, what is shown ("*animal": a kind only, for the noun is none of the
eye's), "scene" or "plain" (a cut-out on plain ground), its half and the first 16 digits of its SHA-256. The thresholds
of `dyto.nouns` were set on the half "calibration"; the half "held out" comes from other packages, was listed later,
and only measures. `people.tsv` lists photographs of people: package, path, SHA-256.

`load` takes them from packages that lie in a folder, each in a folder of its name: Debian packages (`apt-get download`)
unpacked with `dpkg -x`, wheels unpacked, and archives of `npm pack` unpacked (`@tabler/preview` as `tabler-preview`).

| half | package | from | licence that the package states |
|---|---|---|---|
| calibration | gcompris-qt-data | Debian | AGPL-3+, GPL-3+, CC BY-SA, public domain, by picture (its README files) |
| | tuxpaint-stamps-default | Debian | GPL-2+, public domain |
| | scikit-image 0.25 | PyPI | CC0 (Chelsea, coffee) |
| | opencv-doc | Debian | Apache-2.0 |
| | lomiri-wallpapers-16.04, mate-backgrounds | Debian | CC BY-SA 3.0; GPL-2+ |
| held out | darknet | Debian | public domain |
| | dde-account-faces, gnome-taquin | Debian | GPL-3+; CC BY-SA 3.0, GPL-3+ |
| | gnome-control-center-data | Debian | GPL-2+, CC0 |
| | plasma-workspace-data | Debian | CC0 (avatars) |
| | plasma-workspace-wallpapers, palapeli-data, kphotoalbum, tuxpaint-data | Debian | GPL-2+ |
| | qtbase5-examples, qtdeclarative5-examples, pyqt6-examples | Debian | BSD, GPL, LGPL |
| | python-kivy-examples | Debian | MIT |
| | scikit-learn 1.5 | PyPI | CC BY 2.0 |
| | gradio 6.31, imgaug 0.4 | PyPI | Apache-2.0; CC0 |
| | ultralytics 8.4 | PyPI | AGPL-3.0 |
| | tabler-ui 0.0.34, @tabler/preview 1.2, admin-lte 3.2, material-kit 2.0, now-ui-kit 1.3 | npm | MIT |
| | startbootstrap-business-casual 7.0 | npm | MIT (photographs of Unsplash) |
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from dyto.nouns.table import nouns

LIST = Path(__file__).resolve().parents[1] / "photos.tsv"
PEOPLE = LIST.with_name("people.tsv")

HALVES = ("calibration", "held out")


@dataclass(frozen=True)
class Photo:
    """A photograph.

    Attributes:
        package: That ships it.
        path: Inside the package.
        shows: A noun or a kind of `dyto.nouns`.
        known: Whether the eye has a noun for it, and not just the kind.
        ground: "scene" or "plain".
        half: One of `HALVES`.
        digest: First 16 digits of the SHA-256 of the file.
    """

    package: str
    path: str
    shows: str
    known: bool
    ground: str
    half: str
    digest: str

    @property
    def things(self) -> list[frozenset[int]]:
        """The classes of each thing that it shows; "dog or mountain bike" shows both."""
        return [nouns().concepts(thing)[0].classes for thing in self.shows.split(" or ")]

    @property
    def classes(self) -> frozenset[int]:
        """The classes that are right."""
        return frozenset().union(*self.things)


def listed(half: str | None = None) -> list[Photo]:
    """All photographs of the list, or those of one half."""
    photos = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        package, path, shows, *others = line.split("\t")
        photos.append(Photo(package, path, shows.lstrip("*"), shows[0] != "*", *others))
    return [photo for photo in photos if half in (None, photo.half)]


def people() -> list[Photo]:
    """Photographs of people; `shows` is "groom", for which the eye has a noun."""
    rows = (line.split("\t") for line in PEOPLE.read_text(encoding="utf-8").splitlines())
    return [Photo(package, path, "groom", False, "scene", "held out", digest) for package, path, digest in rows]


def load(photo: Photo, packages: Path) -> npt.NDArray[np.uint8] | None:
    """The picture, (H, W, 3), transparency on a light ground; None where the package is not there.

    Raises:
        ValueError: The package holds another picture than the one that was listed.
    """
    if photo.package == "gcompris":
        held = packages / "gcompris-qt-data/usr/share/gcompris-qt/rcc"
        content = _resources(held / f"{photo.path.split('/')[3]}.rcc").get("/" + photo.path) if held.is_dir() else None
    else:
        path = packages / photo.package / photo.path
        content = path.read_bytes() if path.is_file() else None
    if content is None:
        return None
    if (found := sha256(content).hexdigest()[: len(photo.digest)]) != photo.digest:
        raise ValueError(f"{photo.package}/{photo.path} has sha256 {found}, expected {photo.digest}: another version?")
    picture = Image.open(io.BytesIO(content)).convert("RGBA")
    picture.thumbnail((960, 960))
    ground = Image.new("RGBA", picture.size, (240, 240, 236, 255))
    ground.alpha_composite(picture)
    return np.asarray(ground.convert("RGB"))


@cache
def _resources(path: Path) -> dict[str, bytes]:
    """The files in a resource file of Qt (.rcc, versions 1 to 3), by path; what is compressed by zstd is left out."""
    content = path.read_bytes()
    version, tree, data, names = struct.unpack(">4xIIII", content[:20])
    return dict(_walk(content, (tree, data, names, 22 if version >= 2 else 14), 0, ""))


def _walk(content: bytes, where: tuple[int, int, int, int], node: int, path: str) -> Iterator[tuple[str, bytes]]:
    tree, data, names, size = where
    at = tree + node * size
    name_at, flags, one, two = struct.unpack(">IHII", content[at : at + 14])
    length = struct.unpack(">H", content[names + name_at : names + name_at + 2])[0]
    name = content[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16-be")
    full = f"{path}/{name}" if node else ""
    if flags & 2:
        for child in range(two, two + one):
            yield from _walk(content, where, child, full)
    elif not flags & 4:
        start = data + two
        held = content[start + 4 : start + 4 + struct.unpack(">I", content[start : start + 4])[0]]
        yield full, zlib.decompress(held[4:]) if flags & 1 else held
