"""Packs published data for embedding and for the tests of it. Needs PyYAML and zstd.

    python3 pack.py agents UAP_CORE                   a checkout of uap-core
    python3 pack.py bots crawler-user-agents.json     crawler-user-agents
    python3 pack.py corpora ISBOT user-agents.json    a checkout of isbot, and the data of user-agents
    python3 pack.py countries dbip-country.mmdb       DB-IP Country Lite
"""

import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def zstd(data: bytes, name: str) -> None:
    # The size in the frame lets the program unpack it into exactly as much memory.
    command = ["zstd", "--ultra", "-22", "-q", "-f", f"--stream-size={len(data)}", "-o", os.path.join(HERE, name)]
    subprocess.run(command, input=data, check=True)


def lines(agents, name: str) -> None:
    texts = sorted({agent for agent in agents if agent and "\n" not in agent})
    zstd("\n".join(texts).encode(), name)
    print(f"{name}: {len(texts)} user agents")


def yaml_of(*path: str):
    import yaml

    with open(os.path.join(*path)) as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def agents(checkout: str) -> None:
    data = yaml_of(checkout, "regexes.yaml")
    # The device rules name models, which nobody asks for.
    rules = {part: data[part] for part in ("user_agent_parsers", "os_parsers")} | {"device_parsers": []}
    zstd(json.dumps(rules, separators=(",", ":")).encode(), "agents.json.zst")
    print("agents.json.zst:", {part: len(list_) for part, list_ in rules.items()})

    # The published tests: what a user agent is, as `[agent, family, major, minor]`.
    def cases(name: str):
        found = yaml_of(checkout, "tests", name)["test_cases"]
        return [[case["user_agent_string"], case["family"], case.get("major"), case.get("minor")] for case in found]

    tests = {"browsers": cases("test_ua.yaml"), "systems": cases("test_os.yaml")}
    zstd(json.dumps(tests, separators=(",", ":"), ensure_ascii=False).encode(), "tests/uap-core.json.zst")
    print("tests/uap-core.json.zst:", {part: len(list_) for part, list_ in tests.items()})
    devices = yaml_of(checkout, "tests", "test_device.yaml")["test_cases"]
    people = (case["user_agent_string"] for case in devices if case["family"] != "Spider")
    lines(people, "tests/uap-core-devices.txt.zst")


def decisions() -> tuple[dict, list]:
    """What `bot-decisions.tsv` changes: new patterns (or None) by old ones, and added lines."""
    changed, added = {}, []
    with open(os.path.join(HERE, "bot-decisions.tsv")) as file:
        for line in file:
            if line.startswith("#"):
                continue
            action, first, second, why = line.rstrip("\n").split("\t")
            if not why:
                raise SystemExit(f"bot-decisions.tsv: {first}: no reason")
            if action == "add":
                added.append((first, second))
            else:
                changed[first] = {"out": None, "to": second}[action]
    return changed, added


def bots(path: str) -> None:
    with open(path) as file:
        data = json.load(file)
    changed, rules = decisions()
    unknown = changed.keys() - {entry["pattern"] for entry in data}
    if unknown:
        raise SystemExit(f"bot-decisions.tsv: crawler-user-agents has no pattern {sorted(unknown)}")
    listed = [("library" if "http-library" in entry.get("tags", []) else "crawler", entry["pattern"]) for entry in data]
    listed = [(kind, changed.get(pattern, pattern)) for kind, pattern in listed]
    rules = sorted({rule for rule in listed + rules if rule[1] is not None}, key=lambda rule: (rule[1].lower(), rule))
    with open(os.path.join(HERE, "bots.txt"), "w") as out:
        out.write("# crawler-user-agents, MIT licence, as changed by bot-decisions.tsv. Class (crawler, library), kind of\n")
        out.write("# pattern (text, regex), pattern.\n")
        for kind, pattern in rules:
            text = re.sub(r"\\([^\w\s])", r"\1", pattern)
            literal = re.escape(text).replace("\\", "") == pattern.replace("\\", "") and not re.search(
                r"(?<!\\)[\[\]^$()|*+?.]|\\[\w]", pattern
            )
            out.write(f"{kind} {'text' if literal else 'regex'} {text if literal else pattern}\n")
    print(f"bots.txt: {len(rules)} patterns")
    lines((agent for entry in data for agent in entry["instances"]), "tests/crawler-user-agents.txt.zst")


def corpora(isbot: str, user_agents: str) -> None:
    for name in ("browsers", "crawlers"):
        groups = yaml_of(isbot, "fixtures", f"{name}.yml").values()
        lines((agent for group in groups for agent in group), f"tests/isbot-{name}.txt.zst")
    with open(user_agents) as file:
        lines((entry["userAgent"] for entry in json.load(file)), "tests/user-agents.txt.zst")


def countries(path: str) -> None:
    with open(path, "rb") as file:
        zstd(file.read(), "countries.mmdb.zst")


if __name__ == "__main__":
    {"agents": agents, "bots": bots, "corpora": corpora, "countries": countries}[sys.argv[1]](*sys.argv[2:])
