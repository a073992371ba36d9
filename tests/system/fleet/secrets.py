"""Secrets: what the operator's machine has, what the hive says, and what is on the nodes."""

import json
import os
import shutil
import subprocess
import uuid

from fleet.machine import FILES

STATE = "/var/lib/waggle-agent/secrets"
# Where files/secrets.nix puts secrets. /far and /late are not always mounted.
PLACES = {
    "disk": "/var/lib/kept/keys/disk",
    "far": "/far/keys/far",
    "late": "/late/keys/late",
    "one": "/run/keys/one",
    "text": "/run/keys/text",
    "two": "/run/keys/two",
}


class Secrets:
    """The secrets on the operator's machine: files in `folder`.

    A secret contains a word that is nowhere else, and `words` has those of all secrets that there ever were, by which a
    search finds them.
    """

    def __init__(self, fleet):
        self.fleet = fleet
        self.folder = fleet.run / "secrets"
        self.words = []
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        for name in [*PLACES, "three"]:
            self.renew(name)
        password = subprocess.run(["openssl", "passwd", "-6", uuid.uuid4().hex], stdout=subprocess.PIPE, check=True)
        self.write("password", password.stdout.decode().strip())

    # --- the operator's machine ---

    def read(self, name):
        return (self.folder / name).read_text()

    def write(self, name, content):
        (self.folder / name).write_text(content)

    def renew(self, name):
        """Gives the secret another content; its previous one, or None."""
        previous = self.read(name) if (self.folder / name).exists() else None
        self.words.append(str(uuid.uuid4()))
        self.write(name, f"secret-{name}-{self.words[-1]}\n")
        return previous

    def key_file(self, name):
        """The setting of deployment.keys, as Nix text, that takes a secret from its file here."""
        return f'keyFile = "{self.folder}/{name}";'

    # --- the hive ---

    def describe(self, node, keys="", module="{ }"):
        """Describes a node with files/secrets.nix, further deployment.keys and a further module, as Nix text.

        On beta, a unit creates the users.
        """
        self.fleet.configure(
            node,
            f"""
            {{ lib, ... }}: {{
              imports = [
                (import {FILES}/secrets.nix {{
                  folder = "{self.folder}";
                  text = {json.dumps(self.read("text"))};
                  userborn = {"true" if str(node) == "beta" else "false"};
                }})
                ({module})
              ];
              deployment.keys = {{ {keys} }};
            }}
            """,
        )

    def three(self):
        """deployment.keys with one secret more."""
        return f"three = {{ {self.key_file('three')} }};"

    # --- the nodes ---

    def is_at(self, node, name, path):
        return node.read(path) == self.read(name)

    def wrong_on(self, node):
        """What is not in place, or has another owner or mode, of the secrets whose file systems are always mounted."""
        always = ("one", "two", "text", "disk")
        wrong = [f"{PLACES[name]} is not {name}" for name in always if not self.is_at(node, name, PLACES[name])]
        for path, wanted in [("/run/keys/two", "web:web 440"), ("/run/keys/one", "root:root 600")]:
            if (actual := owner_and_mode(node, path)) != wanted:
                wrong.append(f"{path} is {actual}, not {wanted}")
        return wrong

    def password_works(self, node):
        """Whether the user admin has the password from its secret."""
        return node.succeed("getent shadow admin").split(":")[1] == self.read("password")

    def bundle(self, node):
        """The file of the bundle that is in force on the node."""
        return f"{STATE}/{self.bundle_id(node)}.age"

    def bundle_id(self, node):
        """The deployment whose bundle is in force on the node."""
        state = self.fleet.state(node)
        newest = state["deployment"]
        committed = newest["bundle"] if newest["state"] == "committed" else None
        return (committed or state["secrets"])["id"]


def owner_and_mode(node, path):
    """As in "root:root 600"."""
    return node.execute(f"stat -c '%U:%G %a' {path}")[1]


def starts(node, unit):
    """How often a unit of files/secrets.nix was started since the boot."""
    return _lines(node, unit).count("it is there")


def reloads(node, unit):
    return _lines(node, unit).count("it is read again")


def _lines(node, unit):
    return node.journal(f"-b -u {unit} -o cat").splitlines()


# --- where the bytes of secrets are ---


def files_with(node, words):
    """The node's files that contain one of the words."""
    search = "grep -rlaFf - / --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev 2>/dev/null"
    return sorted(node.execute(search, stdin="\n".join(words))[1].splitlines())


def words_in_journal(node, words):
    """Those of the words that the node's journal has, as journalctl reads it."""
    journal = node.succeed("journalctl -q -o export")
    return [word for word in words if word in journal]


def words_in_output(fleet, words):
    """Those of the words that a run of waggle has printed."""
    files = [file for kind in ("out", "err") for file in fleet.run.glob(f"waggle-*.{kind}")]
    text = "".join(file.read_text(errors="replace") for file in files)
    return [word for word in words if word in text]


def laptop_files_with(fleet, words):
    """The files with one of the words in the operator's store and home, of those that are as young as this fleet."""
    find = ["find", "/nix/store", "/nix/var", os.environ["HOME"], "-type", "f", "-cnewer", fleet.operator, "-print0"]
    young = subprocess.run(find, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    patterns = fleet.run / "patterns"
    patterns.write_text("\n".join(words) + "\n")
    grep = ["xargs", "-0", "-r", "grep", "-laFf", patterns]
    return subprocess.run(grep, input=young, stdout=subprocess.PIPE).stdout.decode().splitlines()


def check_secrecy(subtest, secrets):
    """After any deployments: the secrets that are or were have left nothing outside their own files."""
    fleet = secrets.fleet
    for node in fleet:
        with subtest(f"{node}: secrets are in their files and nowhere else"):
            expected = sorted(path for path in PLACES.values() if node.exists(path))
            assert files_with(node, secrets.words) == expected
        with subtest(f"{node}: the journal, read by journalctl, has no secret"):
            assert words_in_journal(node, secrets.words) == []
    with subtest("the trigger's output has no secret"):
        assert words_in_output(fleet, secrets.words) == []
    with subtest("the laptop's store has no secret"):
        assert laptop_files_with(fleet, secrets.words) == []
