"""nginx, the HTTP server at the far end."""

import subprocess

import loopback
import works
from processes import Program
from setting import Setting, installed

# One process, which ends with its only one.
_CONFIGURATION = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{
    worker_connections 4096;
}}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            default_type text/plain;
            return 200 "{body}";
        }}
    }}
}}
"""


def version() -> str:
    words = [installed("nginx", "nginx-light"), "-v"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stderr
    return said.rpartition("/")[2].strip()


def start(setting: Setting) -> Program:
    """Running. Its port is the setting's `far_ports["http"]`."""

    def start_on(ports: list[int]) -> Program:
        (port,) = ports
        path = setting.folder / "nginx.conf"
        path.write_text(_CONFIGURATION.format(port=port, body="x" * works.HTTP_BODY_BYTES))
        nginx = installed("nginx", "nginx-light")
        program = Program(setting.folder, "nginx", [nginx, "-p", setting.folder, "-e", "stderr", "-c", path])
        try:
            program.wait_until(lambda: loopback.listens(port), f"listens on port {port}")
        except BaseException:
            program.stop()
            raise
        setting.far_ports["http"] = port
        return program

    return loopback.start_on_free_ports(1, start_on)
