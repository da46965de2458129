"""Run the mathematics of a figure's module in node."""
import json
import subprocess
from typing import Any

from tests.conftest import needs_tool

# JSON, but with the infinities and NaN that Python's reader knows.
SHOW = """
const show = (v) => Array.isArray(v) ? `[${v.map(show)}]`
  : v && typeof v === "object" ? `{${Object.entries(v).map(([k, x]) => `${JSON.stringify(k)}:${show(x)}`)}}`
  : typeof v === "number" ? String(v) : JSON.stringify(v ?? null);
process.stdout.write(show(%s));
"""


def run_js(module_text: str, expression: str) -> Any:
    """Return the value of a JavaScript expression in which the module's functions can be called."""
    command = [needs_tool("node"), "--input-type=module", "-"]
    program = module_text + SHOW % expression
    done = subprocess.run(command, input=program, capture_output=True, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
