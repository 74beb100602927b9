"""What clang-tidy is to analyse, of the preset "lint": a unit a line, and then the files that it consists of. Tests are left out."""

import json
import re
from pathlib import Path

for command in json.loads(Path("build/lint/compile_commands.json").read_text()):
    unit = command["file"]
    files = re.findall(r'^#include "(.*)"$', Path(unit).read_text(), re.MULTILINE) if "/Unity/" in unit else [unit]
    if "_test.dir/" not in command["command"] and not re.search("/fake_|/bench/|/generated/", "\n".join(files)):
        print(unit, *files)
