"""Throw-away servers on loopback: the real programs, each in a folder that goes with it."""

from tests.servers.etcd import Etcd
from tests.servers.nginx import Nginx
from tests.servers.postgresql import PostgreSQL
from tests.servers.process import ServerError, ServerProcess
from tests.servers.redis import Redis
from tests.servers.rendering_service import RenderingService
from tests.servers.zookeeper import ZooKeeper

__all__ = ["Etcd", "Nginx", "PostgreSQL", "Redis", "RenderingService", "ServerError", "ServerProcess", "ZooKeeper"]
