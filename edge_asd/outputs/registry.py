"""All kinds of outputs: a line in :class:`OutputSettings` for each."""

from __future__ import annotations

from contextlib import ExitStack

from edge_asd.outputs import Output
from edge_asd.outputs.http_endpoint import HttpSettings
from edge_asd.outputs.jsonl import JsonlSettings
from edge_asd.outputs.mqtt import MqttSettings
from edge_asd.outputs.output_section import OutputContext, OutputSection
from edge_asd.outputs.secrets_source import Secret
from edge_asd.outputs.webhook import WebhookSettings
from edge_asd.settings import Settings

__all__ = ["OutputSettings", "open_outputs"]


class OutputSettings(Settings):
    """``[sinks]`` of a profile: where events go, besides standard output."""

    jsonl: JsonlSettings
    mqtt: MqttSettings
    webhook: WebhookSettings
    http: HttpSettings

    @property
    def sections(self) -> list[OutputSection]:
        """The settings of every output, in the order in which they are opened."""
        return [getattr(self, name) for name in type(self).model_fields]

    @property
    def secrets(self) -> list[Secret]:
        """Every secret that the profile points at."""
        found = [section.secret(key) for section in self.sections for key in section.secrets]
        return [secret for secret in found if secret.file or secret.variable]


def open_outputs(sinks: OutputSettings, context: OutputContext) -> list[Output]:
    """Return the outputs that the profile asks for; close each after the last event.

    Raises
    ------
    ProfileError
        When a secret is missing, or an event or an address is impossible.
    OutputError
        When an output cannot be opened at all; an other side that is away is no error.
    """
    outputs: list[Output] = []
    with ExitStack() as undo:
        for section in sinks.sections:
            if section.enabled and (output := section.open(context)):
                outputs.append(output)
                undo.callback(output.close)
        undo.pop_all()
    return outputs
