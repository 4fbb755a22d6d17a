"""The programs under test, as processes on loopback: engine, enclave, gateway, verifying proxy.

Everything they write lies in one throwaway folder; every process ends with the `with` block.
"""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAMS = Path(os.environ.get("SEALGATE_PROGRAMS", ROOT / "target" / "debug"))
MAX_BODY = 256 * 1024
SEED = "07" * 32

MODELS = {
    # our name: (the engine's name, aliases)
    "demo-model": ("demo-model", ["gpt-demo"]),
    "demo-embed": ("demo-embed", []),
    # The engine misbehaves when it is asked for a model of such a name.
    "busy": ("fail-429", []),
    "broken": ("fail-500", []),
    "unauthorized": ("fail-401", []),
    "unpaid": ("fail-402", []),
    "missing": ("fail-404", []),
    "slow": ("slow-stream", []),
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def program(name):
    path = PROGRAMS / name
    if not path.is_file():
        raise SystemExit(f"{path} is not built: cargo build --workspace --bins")
    return str(path)


class Stack:
    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="sealgate-stack-")
        self.path = Path(self.folder.name)
        self.processes = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for _, process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for _, process in reversed(self.processes):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()

    def start(self):
        self.start_services()
        self.start_proxies()

    def start_services(self):
        engine, enclave, gateway = (free_port() for _ in range(3))
        self.enclave_port = enclave
        self.engine_stats = f"http://127.0.0.1:{engine}/_engine/stats"
        self.gateway_url = f"https://localhost:{gateway}/v1"

        self.spawn("engine", [program("demo-engine"), f"127.0.0.1:{engine}"], engine)

        enclave_file = self.configure("enclave", "direct", enclave, lambda model: f'''
            url = "http://127.0.0.1:{engine}/v1"
            model = "{MODELS[model][0]}"''')
        key_file = self.path / "enclave.key"
        key_file.touch(mode=0o600)  # A key that others may read is refused.
        key_file.write_text(self.create_key("enclave", enclave_file))
        self.serve("enclave", enclave_file, enclave)
        self.enclaves = self.write_trust("enclave", enclave)

        gateway_file = self.configure("gateway", "aggregator", gateway, lambda model: f'''
            url = "https://127.0.0.1:{enclave}"
            model = "{model}"
            api_key_file = "enclave.key"''')
        with gateway_file.open("a") as more:
            more.write(self.gateway_options())
        self.api_key = self.create_key("gateway", gateway_file)
        self.serve("gateway", gateway_file, gateway)
        self.trusted = self.write_trust("gateway", gateway)
        self.certificate = self.verify(self.gateway_url.removesuffix("/v1"), "gateway.pem")

    def gateway_options(self):
        """What else the gateway's configuration says, as TOML."""
        return ""

    def verify(self, service, name):
        """The certificate that the service shows, saved as `name` because it was accepted."""
        certificate = self.path / name
        verified = subprocess.run(
            [program("sealgate-verify"), "endpoint", service, *judged_by(self.trusted),
             "--save-cert", str(certificate)],
            capture_output=True, text=True, timeout=60)
        if verified.returncode != 0:
            raise SystemExit(f"{service} was not accepted:\n{verified.stdout}{verified.stderr}")
        return certificate

    def start_proxies(self):
        proxy, refusing = (free_port() for _ in range(2))
        self.proxy_url = f"http://127.0.0.1:{proxy}/v1"
        self.refusing_url = f"http://127.0.0.1:{refusing}/v1"
        service = self.gateway_url.removesuffix("/v1")
        self.proxy("proxy", proxy, service, *judged_by(self.trusted))
        # A policy for the enclave's image: the gateway runs another one.
        self.proxy("refusing proxy", refusing, service, "--wait", *judged_by(self.enclaves))

    def proxy(self, name, port, upstream, *options):
        self.spawn(name, [program("sealgate-verify"), "proxy", "--listen", f"127.0.0.1:{port}",
                          "--upstream", upstream, *options], port)

    def soft(self, name, *arguments):
        """The gateway's own command line, on the software platform; what is measured there follows from the name."""
        return [program("sealgate-soft"), "--platform-seed", SEED, "--measurement", name, *arguments]

    def write_trust(self, name, port):
        """What `--roots` and `--policy` want, as an operator would get it: pinned to what the service shows now.

        The root comes from the collateral beside the evidence. That would prove nothing about hardware; here there is
        none, and what these suites are about begins after the verdict.
        """
        trust = self.path / f"{name}-trust"
        trust.mkdir()
        status, text = get(port, f"/v1/aci/attestation?collateral=1&nonce={'5a' * 32}")
        if status != 200:
            raise SystemExit(f"{name} gave no report: {text}")
        collateral = json.loads(text)["attestation"]["evidence"]["collateral"]["tdx"]
        end = "-----END CERTIFICATE-----"
        chain = [part for part in collateral["pck_crl_issuer_chain"].split(end) if "BEGIN" in part]
        (trust / "intel-root.pem").write_text(chain[-1].strip() + "\n" + end + "\n")
        policy = subprocess.run(
            [program("sealgate-verify"), "endpoint", f"https://localhost:{port}", "--roots", str(trust),
             "--print-policy"],
            capture_output=True, text=True, timeout=60)
        (trust / "policy.toml").write_text(policy.stdout)
        return trust

    def configure(self, name, mode, port, upstream):
        attestation = '[attestation.enclave]\npolicy = "enclave-trust/policy.toml"\nroots = "enclave-trust"\n'
        text = f'''
[server]
listen = "127.0.0.1:{port}"
names = ["localhost", "127.0.0.1"]
state_dir = "{name}-state"
mode = "{mode}"

[tee]
kind = "tdx"

[limits]
max_body = "{MAX_BODY}B"
''' + (attestation if mode == "aggregator" else "")
        for model, (_, aliases) in MODELS.items():
            listed = ", ".join(f'"{alias}"' for alias in aliases)
            text += f'''
[[model]]
id = "{model}"
aliases = [{listed}]
confidential = true
''' + ('attestation = "enclave"\n' if mode == "aggregator" else "") + f'''
[[model.upstream]]
name = "{'engine' if mode == 'direct' else 'enclave'}"
''' + "\n".join(line.strip() for line in upstream(model).strip().splitlines()) + "\n"
        file = self.path / f"{name}.toml"
        file.write_text(text)
        return file

    def create_key(self, name, config):
        done = subprocess.run(self.soft(name, "keys", "create", str(config), "--tenant", "clients"),
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise SystemExit(f"{name} made no key: {done.stdout}{done.stderr}")
        return next(word for word in done.stdout.split() if word.startswith("sk-"))

    def serve(self, name, config, port):
        self.spawn(name, self.soft(name, "serve", str(config)), port)
        self.wait(name, lambda: ready(port))

    def spawn(self, name, command, port):
        log = open(self.path / f"{name}.log", "wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        self.processes.append((name, process))
        self.wait(name, lambda: listens(port))

    def wait(self, name, condition):
        process = dict(self.processes)[name]
        give_up = time.monotonic() + 60
        while not condition():
            if process.poll() is not None:
                raise SystemExit(f"{name} ended with {process.returncode}:\n{self.last_words(name)}")
            if time.monotonic() > give_up:
                raise SystemExit(f"{name} is not ready after 60 s:\n{self.last_words(name)}")
            time.sleep(0.05)

    def last_words(self, name):
        text = (self.path / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-20:])


def judged_by(trust):
    return ["--policy", str(trust / "policy.toml"), "--roots", str(trust)]


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def ready(port):
    try:
        return get(port, "/readyz")[0] == 200
    except OSError:
        return False


def get(port, path):
    """Status and text from our own service, whatever certificate it shows: verifying is the programs' task."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()
