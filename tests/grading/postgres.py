"""A PostgreSQL server of a test's own: in a temporary folder, reached by a socket in it, run by an ordinary user."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

USER = "postgres"


def tools() -> str | None:
    """The folder of PostgreSQL's programs; Debian keeps them out of PATH."""
    places = [*sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True), *os.environ.get("PATH", "").split(":")]
    return next((place for place in places if all(Path(place, name).exists() for name in ("initdb", "postgres"))), None)


class Postgres:
    """A server; `url` is what `--db` gets."""

    def __init__(self) -> None:
        place = tools()
        assert place, "PostgreSQL is not installed"
        self.bin, self.home = Path(place), Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self.who: dict = {}
        if not os.getuid():  # PostgreSQL does not run as root
            row = pwd.getpwnam(USER)
            os.chown(self.home, row.pw_uid, row.pw_gid)
            self.who = {"user": row.pw_uid, "group": row.pw_gid, "extra_groups": []}
        self.run("initdb", "-D", "data", "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.process: subprocess.Popen | None = None
        self.start()
        self.run("createdb", "-h", str(self.home), "-U", USER, "course")
        self.url = f"postgresql://{USER}@/course?host={self.home}"

    def run(self, tool: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the server's user."""
        subprocess.run([self.bin / tool, *arguments], cwd=self.home, check=True, capture_output=True, **self.who)

    def start(self) -> None:
        """Start the server, or start it again after a kill, when what is left of the old one has ended."""
        line = [self.bin / "postgres", "-D", "data", "-k", str(self.home), "-c", "listen_addresses=", "-F"]
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with (self.home / "log").open("ab") as log:
                self.process = subprocess.Popen(line, cwd=self.home, stdout=log, stderr=log, **self.who)
            while self.process.poll() is None and time.monotonic() < until:
                ready = [self.bin / "pg_isready", "-q", "-h", str(self.home)]
                if subprocess.run(ready, cwd="/", **self.who).returncode == 0:
                    return
                time.sleep(0.1)
            time.sleep(0.2)
        raise RuntimeError((self.home / "log").read_text("utf-8", "replace")[-2000:])

    def kill(self) -> None:
        """What kill -9 or a power cut does."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Stop the server and remove its folder."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)
