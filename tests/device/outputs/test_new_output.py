"""A new kind of output is a module of its own and a line in the registry, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from places import ROOT

MODULE = '''
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from edge_asd.doctor.verdict import Verdict, ok
from edge_asd.outputs import Output
from edge_asd.outputs import Envelope
from edge_asd.outputs.output_section import OutputContext, OutputSection


class PrinterSettings(OutputSection):
    """A printer."""

    name: ClassVar[str] = "printer"
    secrets: ClassVar[tuple[str, ...]] = ("pin",)
    private: ClassVar[tuple[str, ...]] = ("owner",)

    paper: str = ""
    owner: str = ""
    pin_file: str = ""
    pin_env: str = ""

    @property
    def enabled(self) -> bool:
        return bool(self.paper)

    def open(self, context: OutputContext) -> Output:
        pin = self.secret("pin").read(context.environment)
        return context.delivery(PrinterTransport(Path(self.paper), pin))

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        yield ok("printer", f"there is paper: {self.paper}")


class PrinterTransport:
    name = "printer"

    def __init__(self, paper: Path, pin: str) -> None:
        self.paper, self.pin = paper, pin

    def send(self, envelope: Envelope) -> None:
        with self.paper.open("a") as paper:
            paper.write(f"{self.pin} {envelope.event}\\n")

    def close(self) -> None:
        pass
'''

PROGRAM = """
import json, sys
from dataclasses import astuple
from pathlib import Path
from device.made_events import NOTICE, SCORE
from device.installations import installation_of
from device.reports import a_status
from edge_asd.doctor import reach
from edge_asd.doctor.archive import profile_text, secrets_in
from edge_asd.outputs.output_section import OutputContext
from edge_asd.outputs.registry import open_outputs

folder = Path(sys.argv[1])
profile = f'[sinks.printer]\\npaper = "{folder}/paper"\\nowner = "Ada"\\npin_env = "PIN"\\n'
installation = installation_of(folder, profile=profile, environment={"PIN": "1234"})
environment = installation.environment
context = OutputContext(
    machine="pump", status=a_status, report=print, environment=environment, outbox=None
)
outputs = open_outputs(installation.profile.sinks, context)
for output in outputs:
    output.emit(NOTICE)
    output.emit(SCORE)
    output.close()
print(json.dumps({
    "names": [output.name for output in outputs],
    "verdicts": [astuple(verdict)[:2] for verdict in reach.outputs(installation)],
    "archive": "Ada" in profile_text(installation.profile),
    "secrets": "1234" in secrets_in(installation),
}))
"""


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """The device package with a new module and two new lines in the registry."""
    folder = tmp_path / "edited"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "edge_asd", folder / "edge_asd", ignore=ignored)
    shutil.copytree(ROOT / "firmware_config", folder / "firmware_config")
    outputs = folder / "edge_asd" / "outputs"
    (outputs / "printer.py").write_text(MODULE)
    registry = outputs / "registry.py"
    last = "    http: HttpSettings\n"
    text = registry.read_text()
    assert last in text
    text = text.replace(last, f"{last}    printer: PrinterSettings = PrinterSettings()\n")
    imported = "from edge_asd.settings import"
    text = text.replace(
        imported, f"from edge_asd.outputs.printer import PrinterSettings\n{imported}"
    )
    registry.write_text(text)
    return folder


def test_a_new_output_is_opened_examined_and_kept_secret_without_any_other_change(
    edited: Path, tmp_path: Path
) -> None:
    others = [path for path in sys.path if Path(path or ".").resolve() != ROOT]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(edited), *others])}

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "names": ["printer"],
        "verdicts": [["printer.pin", "ok"], ["printer", "ok"]],
        "archive": False,
        "secrets": True,
    }
    assert (tmp_path / "paper").read_text() == "1234 notice\n1234 score\n"
