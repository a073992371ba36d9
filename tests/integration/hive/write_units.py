#!/usr/bin/python3
"""write_units.py FOLDER FSTAB < JSON: writes the units of a machine, and its fstab, as systemd reads them.

The JSON, which ordering_test.sh evaluates, has `units` by name ({ text, wantedBy, requiredBy, aliases }) and `mounts`
([{ mountPoint, device, fsType }]).
"""
import json
import sys
from pathlib import Path

OF_SYSTEMD = Path("/usr/lib/systemd/system")


def main():
    folder, fstab = Path(sys.argv[1]), Path(sys.argv[2])
    machine = json.load(sys.stdin)
    folder.mkdir()
    for name, unit in machine["units"].items():
        file = folder / name
        if (OF_SYSTEMD / name).exists():  # a module extends a unit of systemd: write a drop-in
            file = folder / f"{name}.d" / "overrides.conf"
            file.parent.mkdir(exist_ok=True)
        file.write_text(unit["text"])
        for kind, targets in (("wants", unit["wantedBy"]), ("requires", unit["requiredBy"])):
            for target in targets:
                link = folder / f"{target}.{kind}" / name
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(f"../{name}")
        for alias in unit["aliases"]:
            (folder / alias).symlink_to(name)
    lines = [f"{mount['device']} {mount['mountPoint']} {mount['fsType']} defaults 0 0\n" for mount in machine["mounts"]]
    fstab.write_text("".join(lines))


main()
