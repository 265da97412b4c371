"""Packs published data for embedding. Needs PyYAML and zstd.

    python3 pack.py agents regexes.yaml               uap-core
    python3 pack.py bots crawler-user-agents.json     crawler-user-agents
    python3 pack.py countries dbip-country.mmdb       DB-IP Country Lite
"""

import json
import re
import subprocess
import sys


def zstd(data: bytes, name: str) -> None:
    # The size in the frame lets the program unpack it into exactly as much memory.
    subprocess.run(["zstd", "-19", "-q", "-f", f"--stream-size={len(data)}", "-o", name], input=data, check=True)


def agents(path: str) -> None:
    import yaml

    with open(path) as file:
        data = yaml.safe_load(file)
    parts = ("user_agent_parsers", "os_parsers", "device_parsers")
    zstd(json.dumps({part: data[part] for part in parts}, separators=(",", ":")).encode(), "agents.json.zst")


def bots(path: str) -> None:
    with open(path) as file:
        data = json.load(file)
    with open("bots.txt", "w") as out:
        out.write("# crawler-user-agents, MIT licence. Class (crawler, library), kind of pattern (text, regex), pattern.\n")
        for entry in data:
            text = re.sub(r"\\([^\w\s])", r"\1", entry["pattern"])
            literal = re.escape(text).replace("\\", "") == entry["pattern"].replace("\\", "") and not re.search(
                r"(?<!\\)[\[\]^$()|*+?]|\\[\w]", entry["pattern"]
            )
            kind = "library" if "http-library" in entry.get("tags", []) else "crawler"
            out.write(f"{kind} {'text' if literal else 'regex'} {text if literal else entry['pattern']}\n")
    examples = sorted({line for entry in data for line in entry["instances"] if "\n" not in line})
    zstd("\n".join(examples).encode(), "bot-examples.txt.zst")


def countries(path: str) -> None:
    with open(path, "rb") as file:
        zstd(file.read(), "countries.mmdb.zst")


{"agents": agents, "bots": bots, "countries": countries}[sys.argv[1]](sys.argv[2])
