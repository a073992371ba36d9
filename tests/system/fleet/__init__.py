"""Booted test nodes and the laptop that deploys to them; the methods have the names of NixOS' test driver."""

from fleet.fleet import AGENT_PORT, Fleet
from fleet.machine import AGENT, Machine
from fleet.waggle import Exit, Run
from fleet.waiting import comes_true, wait_until

__all__ = ["AGENT", "AGENT_PORT", "Exit", "Fleet", "Machine", "Run", "comes_true", "wait_until"]
