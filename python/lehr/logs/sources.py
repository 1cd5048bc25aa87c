"""Where logs lie: files, folders, globs and URLs, compressed or not."""

from __future__ import annotations

import glob
import io
import os
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from lehr._extras import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO, TextIO

# How much of a file its format is told by.
HEAD = 1 << 16
_PIECE = 1 << 10

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_LINK = "is a link to a folder, and is followed only where it is named itself"
_SUFFIXES = (".gz", ".gzip", ".bz2", ".zst", ".zstd", ".lz4")


class Unread(ValueError):  # noqa: N818 (what a source is, not what went wrong)
    """A source, or the rest of it, cannot be read; the message says why.

    Args:
        reason: Why.
        place: Where, as in `Skip`; the source itself by default.
    """

    def __init__(self, reason: str, place: str | None = None) -> None:
        super().__init__(reason)
        self.place = place


def encodable(text: str) -> str:
    """Return a text with "?" for what UTF-8 cannot hold: half a pair, bytes of a file's name."""
    return text.encode("utf-8", "replace").decode()


class Local:
    """The files of this machine."""

    def kind(self, path: str) -> str | None:
        """Return "file", "folder", or `None` where there is nothing."""
        return "folder" if os.path.isdir(path) else "file" if os.path.exists(path) else None  # noqa: PTH110, PTH112

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that a glob matches, hidden ones left out."""
        return glob.glob(pattern, recursive=True)  # noqa: PTH207 (the paths as they were given)

    def children(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files in a folder, links to folders apart."""
        with os.scandir(folder) as entries:
            found = list(entries)
        folders = [one.name for one in found if one.is_dir(follow_symlinks=False)]
        return folders, [one.name for one in found if one.is_file()]

    def links(self, folder: str) -> dict[str, str]:
        """Return the links in a folder that are not followed, and why."""
        with os.scandir(folder) as entries:
            links = [one for one in entries if one.is_symlink() and not one.is_file()]
        return {one.name: _LINK if one.is_dir() else "is a link to nothing" for one in links}

    def place(self, path: str) -> str:
        """Return what is the same of all paths that lead to one file, with "/" between parts."""
        return os.path.realpath(path).replace(os.sep, "/")

    def join(self, folder: str, name: str) -> str:
        """Return the path of what lies in a folder."""
        return os.path.join(folder, name)  # noqa: PTH118

    def size(self, path: str) -> int:
        """Return the bytes of a file."""
        return os.path.getsize(path)  # noqa: PTH202

    def open(self, path: str) -> BinaryIO:
        """Return a file, open to be read."""
        return open(path, "rb")  # noqa: PTH123

    def name(self, path: str) -> str:
        """Return what a path is called in tables and reports."""
        return encodable(path)


class Remote(Local):
    """The files behind URLs.

    Args:
        url: One of them.

    Raises:
        ImportError: fsspec, or the package that it needs for this kind of URL, is not installed.
    """

    def __init__(self, url: str) -> None:
        self.fs: Any = need("fsspec", repr(url)).url_to_fs(url)[0]

    def kind(self, path: str) -> str | None:
        """Return "file", "folder", or `None` where there is nothing."""
        path = self.fs._strip_protocol(path)  # noqa: SLF001 (fsspec has no other name for it)
        return "folder" if self.fs.isdir(path) else "file" if self.fs.exists(path) else None

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that a glob matches, hidden ones left out."""
        found = self.fs.glob(pattern)
        return [path for path in found if not path.rpartition("/")[2].startswith(".")]

    def children(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the names of the folders and of the files in a folder."""
        found: tuple[list[str], list[str]] = ([], [])
        for one in self.fs.ls(folder, detail=True):
            name = one["name"].rstrip("/").rpartition("/")[2]
            found[one["type"] != "directory"].append(name)
        return found

    def links(self, folder: str) -> dict[str, str]:  # noqa: ARG002 (fsspec follows all)
        """Return no links."""
        return {}

    def place(self, path: str) -> str:
        """Return the URL of a path: what is the same of all paths that lead to one file."""
        return self.name(path)

    def join(self, folder: str, name: str) -> str:
        """Return the path of what lies in a folder."""
        return f"{folder.rstrip('/')}/{name}"

    def size(self, path: str) -> int:
        """Return the bytes of a file."""
        return int(self.fs.size(path) or 0)

    def open(self, path: str) -> BinaryIO:
        """Return a file, open to be read."""
        file: BinaryIO = self.fs.open(path, "rb")
        return file

    def name(self, path: str) -> str:
        """Return the URL of a path."""
        return str(self.fs.unstrip_protocol(path))


class _Pieces(io.RawIOBase):
    """A decompressing stream in small pieces, since one that breaks off loses what it asked for."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(min(len(buffer), _PIECE))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._stream.close()
        super().close()


class Folder(NamedTuple):
    """A folder, as a format is asked whether any of it belongs together.

    Attributes:
        path: Its path within `files`.
        folders: The sorted names of the folders in it, hidden ones left out.
        names: The sorted names of the files in it, hidden ones left out.
        files: What opens them.
    """

    path: str
    folders: list[str]
    names: list[str]
    files: Local

    def head(self, name: str) -> bytes:
        """Return the beginning of a file in it, nothing of one that cannot be read."""
        try:
            return Source(self.files.join(self.path, name), self.files).head
        except (OSError, EOFError, ValueError):
            return b""  # What is wrong is told where the file is read.


class Source:
    """What one reader reads: a file, or a folder of files that belong together.

    Args:
        path: The path of the file or folder within `files`.
        files: What opens it.
        members: The names of the files and folders of a folder that belong together; none for a
            file.
        claimed_by: The format that took the folder for its own.
        unread: Why it cannot be read, where that showed when it was found.

    Attributes:
        name: The path or URL.
        path: As given.
        files: As given.
        members: As given.
        claimed_by: As given.
        unread: As given.
        row_groups: The row groups to read, of a file that is read in parts; `None` for all.
    """

    def __init__(
        self,
        path: str,
        files: Local,
        members: Sequence[str] = (),
        claimed_by: Any = None,
        unread: str = "",
    ) -> None:
        self.path = path
        self.files = files
        self.members = tuple(members)
        self.claimed_by = claimed_by
        self.unread = unread
        self.name = files.name(path)
        self.row_groups: tuple[int, ...] | None = None
        self._kept: dict[str, Any] = {}

    @property
    def local(self) -> str | None:
        """The path on this machine, `None` for a URL."""
        return None if isinstance(self.files, Remote) else self.path

    @property
    def base(self) -> str:
        """The last part of the path, in lower case, without the suffix of a compression."""
        base = self.path.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
        for suffix in _SUFFIXES:
            base = base.removesuffix(suffix)
        return base

    @cached_property
    def compression(self) -> str | None:
        """What the file is compressed by: "gzip", "bz2", "zstd", "lz4", or `None`; by content."""
        with self.raw() as file:
            start = file.read(4)
        return next((name for magic, name in _MAGIC.items() if start.startswith(magic)), None)

    @cached_property
    def head(self) -> bytes:
        """The first 64 KiB, decompressed; nothing of a folder."""
        if self.members:
            return b""
        head = b""
        with self.open() as file:
            try:
                while len(head) < HEAD and (more := file.read1(HEAD - len(head))):
                    head += more
            except (OSError, EOFError):
                if not head:
                    raise
        return head

    @property
    def size(self) -> int:
        """The bytes of the file as it lies there."""
        return self.files.size(self.path)

    def member(self, name: str) -> Source:
        """Return the file of that name in this folder."""
        return Source(self.files.join(self.path, name), self.files)

    def raw(self) -> BinaryIO:
        """Return the file as it lies there, seekable."""
        return self.files.open(self.path)

    def open(self) -> io.BufferedReader:
        """Return the file decompressed, from its beginning; not seekable if it is compressed.

        Where it is cut off within what is compressed, `read1` and reading lines give what comes
        before; then, as every `read`, they raise an `OSError`.
        """
        if self.compression is None:
            file: Any = self.raw()
            return file if hasattr(file, "read1") else io.BufferedReader(file)
        arrow = need("pyarrow", "a compressed file")
        raw = arrow.PythonFile(self.raw(), mode="r")
        return io.BufferedReader(_Pieces(arrow.CompressedInputStream(raw, self.compression)))

    def text(self, errors: str = "strict") -> TextIO:
        """Return the file decompressed and decoded: UTF-8, or UTF-16 where a mark says so."""
        utf16 = self.head[:2] in {b"\xff\xfe", b"\xfe\xff"}
        return io.TextIOWrapper(
            self.open(), encoding="utf-16" if utf16 else "utf-8-sig", errors=errors
        )

    def kept(self, key: str, make: Callable[[Source], Any]) -> Any:
        """Return `make(self)`, made once for all formats that ask, until `forget`."""
        if key not in self._kept:
            self._kept[key] = make(self)
        return self._kept[key]

    def forget(self) -> None:
        """Let go of all that was kept."""
        self._kept.clear()
        self.__dict__.pop("head", None)

    def __repr__(self) -> str:
        return f"<Source {self.name}>"


def sources(paths: Any, claims: Sequence[Any] = ()) -> list[Source]:
    """Return what is to be read, sorted by name, each once.

    Args:
        paths: A path, glob, folder or URL, or several.
        claims: Formats with a `claim(folder) -> names`, which says which files and folders in a
            folder it reads as one source.

    Raises:
        TypeError: A path is none.
        FileNotFoundError: There is nothing at a path.
        ImportError: There is a URL, and fsspec is not installed.
    """
    one = isinstance(paths, (str, os.PathLike)) or not isinstance(paths, Iterable)
    # One folder can be several sources: the event files in it, and the exports beside them.
    found: dict[tuple[str, tuple[str, ...]], Source] = {}
    for path in [paths] if one else paths:
        if not isinstance(path, (str, os.PathLike)):
            message = f"`paths` must be paths, globs, folders or URLs, got {path!r}"
            raise TypeError(message)
        for source in _expand(os.fspath(path), claims):
            found.setdefault((source.files.place(source.path), source.members), source)
    held = {f"{place}/{name}" for place, members in found for name in members}
    above = {
        folder
        for (place, _), source in found.items()
        if not source.unread
        for folder in _with_folders(place)
    }
    free = [
        source
        for (place, _), source in found.items()
        if held.isdisjoint(_with_folders(place)) and not (source.unread and place in above)
    ]
    return sorted(free, key=lambda source: (source.name, source.members))


def _with_folders(place: str) -> Iterator[str]:
    """Yield a place and the folders above it."""
    while place:
        yield place
        place = place.rpartition("/")[0]


def _expand(path: str, claims: Sequence[Any]) -> Iterator[Source]:
    files = Remote(path) if "://" in path else Local()
    kind = files.kind(path)
    if kind is None and glob.has_magic(path):
        found = files.glob(path)
    else:
        found = [files.fs._strip_protocol(path) if isinstance(files, Remote) else path]  # noqa: SLF001
    if kind is None and (not glob.has_magic(path) or not found):
        message = f"`paths` must exist, got {path!r}, where there is nothing"
        raise FileNotFoundError(message)
    for one in found:
        if files.kind(one) == "folder":
            yield from _walk(one, files, claims)
        else:
            yield Source(one, files)


def _walk(path: str, files: Local, claims: Sequence[Any]) -> Iterator[Source]:
    try:
        found = files.children(path)
        links = files.links(path)
    except OSError as error:
        yield Source(path, files, unread=f"cannot be read: {error}")
        return
    folders, names = (sorted(name for name in some if not name.startswith(".")) for some in found)
    for name, reason in sorted(links.items()):
        if not name.startswith("."):
            yield Source(files.join(path, name), files, unread=reason)
    taken: set[str] = set()
    for one in claims:
        free = [name for name in names if name not in taken]
        inner = [name for name in folders if name not in taken]
        if members := one.claim(Folder(path, inner, free, files)):
            taken.update(members)
            yield Source(path, files, members, one)
    for name in names:
        if name not in taken:
            yield Source(files.join(path, name), files)
    for name in folders:
        if name not in taken:
            yield from _walk(files.join(path, name), files, claims)
