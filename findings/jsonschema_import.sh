#!/usr/bin/env bash
# jsonschema 4.25 and later, with the extra `format-nongpl` that jupyter-events asks for: `import jsonschema` compiles a
# grammar of IRIs with lark, whether a format is ever checked or not. Whatever reads a notebook (nbformat, nbclient,
# nbgrader, jupyter-book) imports jsonschema, so each such process begins with it.
#
# Expected of 4.26.0: `lark` is loaded by the import, and the import takes more than 3 times the CPU time of 4.24.1.
# Seen (Python 3.11.7, Linux): 4.24.1 0.2 s without lark, 4.26.0 1.4 s with lark 1.3.1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
pinned="attrs==25.4.0 referencing==0.37.0 rpds-py==0.30.0 jsonschema-specifications==2025.9.1 lark==1.3.1 rfc3987-syntax==1.1.0"
for version in 4.24.1 4.26.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/pip" install --quiet --disable-pip-version-check $pinned "jsonschema[format-nongpl]==$version"
done

measure='
import resource, sys
import jsonschema
used = resource.getrusage(resource.RUSAGE_SELF)
print("lark" in sys.modules, round(used.ru_utime + used.ru_stime, 2))
'
for version in 4.24.1 4.26.0; do
    "$folder/$version/bin/python" -c "$measure" >/dev/null  # the second start has compiled files
    "$folder/$version/bin/python" -c "$measure" >"$folder/$version.txt"
    echo "jsonschema $version: lark loaded, CPU seconds: $(cat "$folder/$version.txt")"
done
python3 - "$folder/4.24.1.txt" "$folder/4.26.0.txt" <<'PY'
import sys
(old_lark, old), (new_lark, new) = (open(path).read().split() for path in sys.argv[1:])
assert (old_lark, new_lark) == ("False", "True"), "lark is loaded otherwise than it was"
assert float(new) > 3 * float(old), "the import costs no more than it did"
print("as expected")
PY
