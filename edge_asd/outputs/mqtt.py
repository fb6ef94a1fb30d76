"""The section ``[sinks.mqtt]`` of a profile; what it opens is loaded only when it is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from edge_asd.doctor.verdict import Verdict
from edge_asd.outputs import Output
from edge_asd.outputs.output_section import OutputContext, OutputSection, reach_server
from edge_asd.settings import Port, TopicPrefix

__all__ = ["MqttSettings"]

_PORT, _TLS_PORT = 1883, 8883


class MqttSettings(OutputSection):
    """An MQTT broker."""

    name: ClassVar[str] = "mqtt"
    secrets: ClassVar[tuple[str, ...]] = ("password",)
    private: ClassVar[tuple[str, ...]] = ("username",)

    host: str
    port: Port
    username: str
    password_file: str
    password_env: str
    tls: bool
    ca_file: str
    cert_file: str
    key_file: str
    topic: TopicPrefix
    client_id: str
    discovery: bool
    discovery_prefix: TopicPrefix

    @property
    def enabled(self) -> bool:
        return bool(self.host)

    @property
    def used_port(self) -> int:
        """The port, or the usual one."""
        return self.port or (_TLS_PORT if self.tls else _PORT)

    def open(self, context: OutputContext) -> Output:
        from edge_asd.outputs.mqtt_transport import MqttTransport

        transport = MqttTransport(
            self,
            machine=context.machine,
            status=context.status,
            password=self.secret("password").read(context.environment) or None,
        )
        return context.delivery(transport)

    def reach(self, environment: Mapping[str, str]) -> Iterator[Verdict]:
        place = f"{self.host}:{self.used_port}"
        yield reach_server("MQTT", self.host, self.used_port, shown=place)
