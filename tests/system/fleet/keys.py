"""SSH keys."""

import subprocess


def make_key(file, comment):
    """Makes a key: its private half is in `file`, its public half in FILE.pub."""
    arguments = ["-t", "ed25519", "-N", "", "-C", comment, "-f", file]
    subprocess.run(["ssh-keygen", "-q", *arguments], check=True)
    return file


def fingerprint(public_key):
    """The fingerprint of a public key's line, such as "SHA256:…"."""
    command = ["ssh-keygen", "-lf", "-"]
    return subprocess.run(command, input=public_key, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[1]
