// systemd opens the sockets (LISTEN_FDS). A small launcher stands for it.

import { assertEquals, assertStringIncludes } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { type Finished, Program } from "../support/program.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const MAIN = new URL("../../main.ts", import.meta.url).pathname;

/** Opens sockets at any free ports, writes the ports to a file, and becomes the program. */
const LAUNCHER = `
import os, socket, sys
names, ports, limit = sys.argv[1].split(":"), sys.argv[2], sys.argv[3]
sockets = []
for _ in names:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen(4096)
    sockets.append(one)
with open(ports, "w") as file:
    file.write(" ".join(str(one.getsockname()[1]) for one in sockets))
for index, one in enumerate(sockets):
    os.dup2(one.fileno(), 100 + index)
for index in range(len(sockets)):
    os.dup2(100 + index, 3 + index, inheritable=True)
    os.close(100 + index)
if limit != "0":
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(limit), int(limit)))
os.environ.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=sys.argv[1], LISTEN_PID=str(os.getpid()))
os.execvp(sys.argv[4], sys.argv[4:])
`;

const ignore = !hasCommand("python3");

class Activated implements AsyncDisposable {
  readonly program: Program;
  readonly #directory: TemporaryDirectory;

  /** @param names what each socket is for, joined by colons */
  constructor(names: string, args: readonly string[], limit = 0) {
    this.#directory = new TemporaryDirectory();
    const launcher = this.#directory.write("launch.py", LAUNCHER);
    const command = `${Deno.execPath()} run -A ${MAIN}`;
    const binary = this.#directory.write(
      "roundhouse",
      `#!/bin/sh\nexec python3 ${launcher} ${names} ${this.#directory.path}/ports ${limit} ${command} "$@"\n`,
    );
    Deno.chmodSync(binary, 0o755);
    this.program = new Program(args, { binary });
  }

  get ports(): number[] {
    return Deno.readTextFileSync(`${this.#directory.path}/ports`).split(" ").map(Number);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    this.#directory[Symbol.dispose]();
  }
}

async function refusal(names: string, args: readonly string[]): Promise<Pick<Finished, "code" | "stderr">> {
  await using activated = new Activated(names, args);
  const { code } = await activated.program.status;
  await activated.program.stdout();
  return { code, stderr: activated.program.log.map(({ message }) => message).join("\n") };
}

const BASE = ["--host", "127.0.0.1", "--admin-port", "0", "--health", "none"];

for (const workers of ["1", "2"]) {
  Deno.test({
    name: `systemd's sockets are the proxy's and the admin API's, whatever their settings say (${workers} workers)`,
    ignore,
    async fn() {
      await using backend = HttpBackend.named("served");
      const args = ["-b", backend.url, "--engine", "wire", "--workers", workers, "--port", "1", ...BASE];
      await using activated = new Activated("roundhouse.socket:admin", args);
      const ready = await activated.program.logged("ready");
      const [proxy, admin] = activated.ports;
      assertEquals([ready["proxy"], ready["admin"]], [`http://127.0.0.1:${proxy}`, `http://127.0.0.1:${admin}`]);
      for (let request = 0; request < 20; request++) {
        assertEquals(await (await fetch(`http://127.0.0.1:${proxy}`)).text(), "served");
      }
      activated.program.kill("SIGTERM");
      assertEquals((await activated.program.status).code, 0);
    },
  });
}

Deno.test({
  name: "a client that connects before the program runs is served",
  ignore,
  async fn() {
    await using backend = HttpBackend.named("served");
    await using activated = new Activated("proxy", ["-b", backend.url, "--engine", "wire", ...BASE]);
    await waitFor(() => {
      try {
        return activated.ports.length === 1 && (activated.ports[0] ?? 0) > 0;
      } catch {
        return false; // the launcher has not written the file yet
      }
    }, { what: "the socket" });
    using client = await RawClient.connect(activated.ports[0] ?? 0);
    assertEquals((await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))?.status, 200);
  },
});

Deno.test({
  name: "sockets that do not fit are refused, with the setting that has to change",
  ignore,
  async fn() {
    const backend = ["-b", "http://127.0.0.1:1999"];
    const fetch = await refusal("proxy", [...backend, "--engine", "fetch", ...BASE]);
    assertEquals(fetch.code, 1);
    assertStringIncludes(fetch.stderr, `engine: "fetch" can't accept clients at a socket that it has not opened`);
    const two = await refusal("one:two", [...backend, "--engine", "wire", ...BASE]);
    assertEquals(two.code, 1);
    assertStringIncludes(two.stderr, "LISTEN_FDS: got 2 sockets for proxy, want one");
    const redirect = await refusal("redirect", [...backend, "--engine", "wire", "--port", "0", ...BASE]);
    assertEquals(redirect.code, 1);
    assertStringIncludes(redirect.stderr, "proxy.tls.redirectFrom");
    // The proxy served the unix socket alone, and clients of systemd's socket waited for ever.
    const unixArgs = ["--host", "unix:/tmp/no-such.sock", "--workers", "1", "--admin-port", "0", "--health", "none"];
    const unix = await refusal("proxy", [...backend, "--engine", "wire", ...unixArgs]);
    assertEquals(unix.code, 1);
    assertStringIncludes(unix.stderr, "proxy.host: got unix:/tmp/no-such.sock, want an address");
  },
});

Deno.test({
  name: "when descriptors run out, systemd's socket accepts again as soon as there are some",
  ignore,
  async fn() {
    // The runtime's listener at such a socket stops for good, and does not say so.
    await using backend = HttpBackend.named("served");
    await using activated = new Activated("proxy", ["-b", backend.url, "--engine", "wire", ...BASE], 120);
    await activated.program.logged("ready");
    const [port = 0] = activated.ports;
    const idle = await Promise.all(Array.from({ length: 200 }, () => RawClient.connect(port)));
    await activated.program.logged("connection not accepted");
    for (const client of idle) client[Symbol.dispose]();
    for (let round = 0; round < 5; round++) {
      using client = await RawClient.connect(port);
      assertEquals((await client.request("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))?.status, 200);
    }
    const readyz = async () => (await fetch(`${activated.program.adminUrl}/readyz`).then(async (answer) => {
      await answer.body?.cancel();
      return answer.status;
    }));
    await waitFor(async () => await readyz() === 200, { what: "/readyz to be 200 again" });
  },
});
