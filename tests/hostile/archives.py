"""Hostile, broken and unlucky archives: a generator each, and what the engine must say: TAKEN, or words of the reason.

Every generator gets the bytes of a right notebook and module, and gives the bytes of an archive.
"""
import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable

NOTEBOOK, MODULE = "05_attention.ipynb", "gptlib/attention.py"
TAKEN = "TAKEN"
Make = Callable[[bytes, bytes], bytes]
CASES: dict[str, tuple[Make, str]] = {}


def case(says: str) -> Callable[[Make], Make]:
    """Enter a generator under its name."""

    def enter(make: Make) -> Make:
        CASES[make.__name__] = make, says
        return make

    return enter


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name, data in entries:
            archive.writestr(name, data)
    return out.getvalue()


def tarred(*entries: tuple[str | tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    """A tar file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in entries:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def linked(name: str, target: str) -> tuple[zipfile.ZipInfo, bytes]:
    """A symbolic link in a zip file."""
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target.encode()


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    """A link, pipe or device in a tar file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


# --- right ones, in all the ways that honest people pack


@case(TAKEN)
def as_submit_makes_it(book, module):
    return zipped((f"05_attention/{NOTEBOOK}", book), (f"05_attention/{MODULE}", module))


@case(TAKEN)
def flat(book, module):
    return zipped((NOTEBOOK, book), (MODULE, module))


@case(TAKEN)
def tar_gz(book, module):
    return tarred(("./" + NOTEBOOK, book), ("./" + MODULE, module))


@case(TAKEN)
def tar_xz_in_two_folders(book, module):
    return tarred(("home/work/" + NOTEBOOK, book), ("home/work/" + MODULE, module), mode="w:xz")


@case(TAKEN)
def plain_tar(book, module):
    return tarred((NOTEBOOK, book), (MODULE, module), mode="w")


@case(TAKEN)
def tar_bz2(book, module):
    return tarred((NOTEBOOK, book), (MODULE, module), mode="w:bz2")


@case(TAKEN)
def noise_of_a_mac(book, module):
    return zipped((f"a/{NOTEBOOK}", book), (f"a/{MODULE}", module), ("__MACOSX/a/._05_attention.ipynb", b"x"),
                  (f"a/.ipynb_checkpoints/{NOTEBOOK}", b"{"), ("a/.DS_Store", b"x"))  # fmt: skip


@case(TAKEN)
def other_case(book, module):
    return zipped((NOTEBOOK, book), ("Gptlib/Attention.PY", module))


@case(TAKEN)
def only_the_module(book, module):
    return zipped((MODULE, module))


@case(TAKEN)
def files_that_shadow_modules(book, module):
    names = ("torch.py", "sitecustomize.py", "conftest.py", "usercustomize.py", "gptlib/math.py", "numpy/__init__.py")
    return zipped((NOTEBOOK, book), (MODULE, module), *((name, b"raise SystemExit") for name in names))


@case(TAKEN)
def a_link_beside(book, module):
    return zipped((NOTEBOOK, book), (MODULE, module), linked("notes.txt", "/etc/passwd"))


@case(TAKEN)
def a_forged_time(book, module):
    return zipped((NOTEBOOK, book), (MODULE, module), ("timestamp.txt", b"1999-01-01 00:00:00 UTC"))


# --- names


@case("not a plain one")
def path_out(book, module):
    return zipped((NOTEBOOK, book), ("../../../submitted/bob/x.ipynb", book))


@case("not a plain one")
def path_out_in_the_middle(book, module):
    return zipped((NOTEBOOK, book), (f"a/../../{MODULE}", module))


@case("not a plain one")
def absolute_path(book, module):
    return tarred((NOTEBOOK, book), ("/etc/cron.d/x", module))


@case("not a plain one")
def drive(book, module):
    return zipped((NOTEBOOK, book), ("C:/Windows/x.py", module))


@case("not a plain one")
def backslashes(book, module):
    return zipped((NOTEBOOK, book), ("gptlib\\attention.py", module))


@case("not a plain one")
def line_break_in_a_name(book, module):
    return zipped((NOTEBOOK, book), ("a\nREJECTED bob.py", module))


@case("not a plain one")
def right_to_left_override(book, module):
    return zipped((NOTEBOOK, book), ("gptlib/\u202eyp.noitnetta", module))


@case("not a plain one")
def terminal_codes(book, module):
    return zipped((NOTEBOOK, book), ("\x1b[2J\x1b[31m", module))


@case("too long or too deep")
def long_name(book, module):
    return zipped((NOTEBOOK, book), ("x" * 5000, module))


@case("too long or too deep")
def deep_folder(book, module):
    return zipped((NOTEBOOK, book), ("d/" * 100 + "x", module))


@case("twice")
def the_same_name_twice(book, module):
    return zipped((NOTEBOOK, book), (MODULE, b"first"), (MODULE, module))


@case("several times")
def two_assignments(book, module):
    return zipped((f"old/{NOTEBOOK}", book), (f"new/{NOTEBOOK}", book), (f"new/{MODULE}", module))


@case("neither")
def look_alikes_that_are_two(book, module):
    return zipped(("gptlib/Attention.py", module), ("gptlib/ATTENTION.py", module))


# --- kinds


@case("neither")
def a_link_in_the_place_of_the_file(book, module):
    return zipped(linked(MODULE, "/etc/passwd"), linked(NOTEBOOK, "/etc/passwd"))


@case("neither")
def links_in_a_tar(book, module):
    return tarred(special(MODULE, tarfile.SYMTYPE, "/etc/passwd"), special(NOTEBOOK, tarfile.LNKTYPE, "/etc/passwd"))


@case("neither")
def pipe_and_device(book, module):
    return tarred(special(MODULE, tarfile.FIFOTYPE), special(NOTEBOOK, tarfile.CHRTYPE))


@case("neither")
def a_folder_in_the_place_of_the_file(book, module):
    return tarred(special(MODULE, tarfile.DIRTYPE), special(NOTEBOOK, tarfile.DIRTYPE))


@case("not opened")
def an_archive_in_the_archive(book, module):
    return zipped(("ada.zip", flat(book, module)))


@case("holds neither")
def empty_zip(book, module):
    return zipped()


@case("holds neither")
def something_else(book, module):
    return zipped(("holiday.jpg", b"x"))


# --- sizes


@case("unpacks to")
def zip_bomb(book, module):
    return zipped((NOTEBOOK, book), (MODULE, bytes(300 << 20)))


@case("unpacks to")
def zip_bomb_beside(book, module):
    return zipped((NOTEBOOK, book), (MODULE, module), *((f"{i}", bytes(30 << 20)) for i in range(4)))


@case("damaged")
def zip_that_lies_about_its_size(book, module):
    data = bytearray(zipped((MODULE, bytes(8 << 20)), method=zipfile.ZIP_STORED))
    real, small = struct.pack("<L", 8 << 20), struct.pack("<L", 100)
    return bytes(data.replace(real + real, real + small))  # stored: the packed size, then a small unpacked one


@case("unpacks to")
def tar_bomb(book, module):
    return tarred((MODULE, bytes(100 << 20)))


@case("unpacks to")
def tar_xz_bomb(book, module):
    return tarred(("x", bytes(100 << 20)), (MODULE, module), mode="w:xz")


@case(TAKEN)
def zeros_without_end_after_the_end(book, module):
    return gzip.compress(tarred((NOTEBOOK, book), (MODULE, module), mode="w") + bytes(200 << 20))


@case("unpacks to")
def tar_with_an_endless_header(book, module):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 8 << 30
    return gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(150 << 20))


@case("more than 2000 files")
def many_files(book, module):
    return zipped((NOTEBOOK, book), *((f"f{i}", b"") for i in range(3000)))


@case("more than")
def many_folders(book, module):
    return tarred((NOTEBOOK, book), *(special(f"d{i}", tarfile.DIRTYPE) for i in range(5000)))


@case("larger than")
def large_module(book, module):
    return zipped((NOTEBOOK, book), (MODULE, b"#" * (2 << 20)))


@case("larger than 64 MB")
def large_archive(book, module):
    return flat(book, module) + bytes(65 << 20)


# --- damage


@case("damaged")
def cut_zip(book, module):
    return flat(book, module)[:-30]


@case("damaged")
def cut_tar(book, module):
    return tar_gz(book, module)[:-40]


@case("damaged")
def wrong_checksum(book, module):
    data = bytearray(zipped((MODULE, module), method=zipfile.ZIP_STORED))
    data[60] ^= 1
    return bytes(data)


@case("password")
def locked(book, module):
    data = bytearray(flat(book, module))
    for magic, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = -1
        while (place := data.find(magic, place + 1)) >= 0:
            data[place + at] |= 1
    return bytes(data)


@case("unusual way")
def lzma_in_a_zip(book, module):
    return zipped((MODULE, module), method=zipfile.ZIP_LZMA)


@case("neither a zip nor a tar")
def no_archive(book, module):
    return b"%PDF-1.7"


@case("neither a zip nor a tar")
def nothing(book, module):
    return b""


@case("RAR")
def rar(book, module):
    return b"Rar!\x1a\x07\x01\x00"


@case("neither a zip nor a tar")
def bare_notebook(book, module):
    return book


@case("damaged")
def gzip_of_something_else(book, module):
    return gzip.compress(module)


@case("damaged")
def bz2_of_noise(book, module):
    return bz2.compress(b"x" * 9999)[:40] + b"noise" * 100


@case("damaged")
def xz_of_noise(book, module):
    return lzma.compress(b"x" * 9999)[:30] + b"noise" * 100


@case("damaged")
def negative_size_in_a_tar(book, module):
    """A size below zero once made Python's tarfile turn in circles."""
    data = bytearray(tarred((MODULE, module), mode="w"))
    data[124:136] = b"\xff" * 12
    data[148:156] = b"        "
    data[148:156] = b"%06o\0 " % sum(data[:512])
    return bytes(data)
