"""What a wheel holds: the complete library, from solutions/ and what is given; an editable install shows the stubs."""
import sys
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompleteLibrary(BuildHookInterface):
    """Put the reference, markers off, into the wheel as `gptlib`."""

    def initialize(self, version, build_data):
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from autograder.strip import build_reference

        self.folder = tempfile.TemporaryDirectory()
        library = Path(self.folder.name) / "gptlib"
        build_reference(library)
        for path in sorted(library.rglob("*.*")):
            build_data["force_include"][str(path)] = str(Path("gptlib") / path.relative_to(library))

    def finalize(self, version, build_data, artifact_path):
        if hasattr(self, "folder"):
            self.folder.cleanup()
