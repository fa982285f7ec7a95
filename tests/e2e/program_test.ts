// The program as a person starts it: configuration, signals, exit statuses.

import { assert, assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import { makePair, TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program, runProgram } from "../support/program.ts";
import { RawClient, textOf } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const ANY_PORTS = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];

async function configFile(config: unknown): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempFile({ suffix: ".json" });
  await Deno.writeTextFile(path, typeof config === "string" ? config : JSON.stringify(config));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

/** A backend whose answers wait until told to go on. */
function slowBackend() {
  const gate = Promise.withResolvers<void>();
  const paths: string[] = [];
  const backend = new HttpBackend((request) => {
    paths.push(new URL(request.url).pathname);
    if (request.method === "POST") return request.text().then((text) => new Response(text));
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode("first "));
        await gate.promise;
        controller.enqueue(new TextEncoder().encode("last"));
        controller.close();
      },
    });
    return new Response(body);
  });
  return { backend, paths, release: () => gate.resolve() };
}

Deno.test("-b is enough to start; requests take turns; SIGTERM ends with status 0", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  await using program = await Program.start(["-b", one.url, "-b", two.url, ...ANY_PORTS]);
  const ready = await program.logged("ready");
  assertMatch(String(ready["proxy"]), /^http:\/\/127\.0\.0\.1:\d+$/);
  assertMatch(String(ready["admin"]), /^http:\/\/127\.0\.0\.1:\d+$/);
  const answers = [];
  for (let request = 0; request < 4; request++) answers.push(await (await fetch(program.url)).text());
  assertEquals(answers, ["one", "two", "one", "two"]);
  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
  assertEquals(await program.stdout(), "");
});

Deno.test("--health says how backends are checked", async () => {
  for (const [health, line] of [["/up", "GET /up every"], ["tcp", "a TCP connection every"], ["none", "no checks"]]) {
    const { code, stdout } = await runProgram(["check", "-b", "http://a", "--health", health ?? ""]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, `health     ${line}`);
  }
  const { code, stderr } = await runProgram(["check", "-b", "http://a", "--health", "udp"]);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "--health wants a path that begins with /, tcp or none, got udp");
});

Deno.test("a configuration file with comments, ${NAME} and durations is used whole", async () => {
  await using backend = HttpBackend.named("from the file");
  await using file = await configFile(`{
    // comments and trailing commas are allowed
    "proxy": { "host": "127.0.0.1", "port": 0 },
    "admin": { "port": 0, "token": "\${TOKEN:-fallback}" },
    "backends": ["\${BACKEND}",],
    "health": { "interval": "1m30s" },
  }`);
  await using program = await Program.start(["--config", file.path], { env: { BACKEND: backend.url } });
  assertEquals((await program.logged("ready"))["config"], file.path);
  assertEquals(await (await fetch(program.url)).text(), "from the file");
  const denied = await fetch(`${program.adminUrl}/status`);
  assertEquals(denied.status, 401);
  await denied.body?.cancel();
  const status = await fetch(`${program.adminUrl}/status`, { headers: { authorization: "Bearer fallback" } });
  assertEquals((await status.json()).backends[0].url, backend.url);
});

Deno.test("a backend that dies and returns is out and in again, without one failed GET", async () => {
  await using one = HttpBackend.named("one");
  const two = HttpBackend.named("two");
  await using file = await configFile({
    proxy: { host: "127.0.0.1", port: 0 },
    admin: { port: 0 },
    backends: [one.url, two.url],
    health: { interval: 50 },
  });
  await using program = await Program.start(["-c", file.path]);
  let stop = false;
  const statuses: Record<number, number> = {};
  const load = Promise.all(Array.from({ length: 8 }, async () => {
    while (!stop) {
      const response = await fetch(program.url);
      await response.text();
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
    }
  }));
  await waitFor(() => two.requests > 50, { what: "traffic" });
  await two[Symbol.asyncDispose]();
  await program.logged("backend down", { backend: two.url });
  await using again = HttpBackend.named("two", two.port);
  await program.logged("backend up", { backend: two.url });
  await waitFor(() => again.requests > 50, { what: "traffic at the returned backend" });
  stop = true;
  await load;
  assertEquals(Object.keys(statuses), ["200"]);
});

Deno.test("SIGTERM lets downloads and uploads finish, closes the port, and answers 503 only while an upload arrives", async () => {
  const { backend, paths, release } = slowBackend();
  await using _backend = backend;
  await using program = await Program.start(["-b", backend.url, ...ANY_PORTS]);
  const port = Number(new URL(program.url).port);
  using download = await RawClient.connect(port);
  using upload = await RawClient.connect(port);
  using idle = await RawClient.connect(port);
  assertEquals((await idle.request("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"))?.status, 200);
  await download.send("GET /download HTTP/1.1\r\nHost: x\r\n\r\n");
  await download.chunk();
  await upload.send("POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
  await waitFor(() => paths.includes("/download") && paths.includes("/upload"), { what: "both requests to arrive" });

  program.kill("SIGTERM");
  await program.logged("stopping");
  await waitFor(async () => {
    const readyz = await fetch(`${program.adminUrl}/readyz`);
    await readyz.body?.cancel();
    return readyz.status === 503;
  }, { what: "/readyz to be 503" });
  const refused = await idle.request("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  assertEquals(refused?.status, 503);
  assert(refused?.headers.some(([name, value]) => name.toLowerCase() === "connection" && value === "close"));

  await upload.send("def");
  const uploaded = await upload.response();
  assertEquals(uploaded && textOf(uploaded), "abcdef");
  await waitFor(() => Deno.connect({ hostname: "127.0.0.1", port }).then((c) => (c.close(), false), () => true), {
    what: "the port to be closed",
  });
  release();
  assertStringIncludes(new TextDecoder().decode(await download.rest()), "last");
  assertEquals((await program.status).code, 0);
});

Deno.test("requests that outlast timeouts.shutdown are cut, and the status is still 0", async () => {
  const { backend, paths, release } = slowBackend();
  await using _backend = backend;
  await using file = await configFile({
    proxy: { host: "127.0.0.1", port: 0 },
    admin: { port: 0 },
    backends: [backend.url],
    timeouts: { shutdown: 100 },
  });
  await using program = await Program.start(["-c", file.path]);
  using client = await RawClient.connect(Number(new URL(program.url).port));
  const response = client.request("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  await waitFor(() => paths.includes("/slow"), { what: "the request to arrive" });
  program.kill("SIGINT");
  assertEquals((await program.status).code, 0);
  const cut = await response;
  assert(cut === undefined || !cut.complete);
  assertEquals((await program.logged("requests cut"))["active"], 1);
  release();
});

Deno.test("engine fetch: WebSockets that outlast timeouts.shutdown are told that the proxy goes away, by every worker", async () => {
  await using backend = new HttpBackend((request) => Deno.upgradeWebSocket(request).response);
  await using file = await configFile({
    backends: [backend.url],
    health: { type: "none" },
    timeouts: { shutdown: 200 },
  });
  for (const workers of ["1", "2"]) {
    const flags = ["--engine", "fetch", "--workers", workers, ...ANY_PORTS];
    await using program = await Program.start(["-c", file.path, ...flags]);
    const codes = Array.from({ length: 8 }, async () => {
      const socket = new WebSocket(program.url.replace("http", "ws"));
      const closed = new Promise<number>((resolve) => socket.onclose = ({ code }) => resolve(code));
      await new Promise((resolve) => socket.onopen = resolve);
      return { closed };
    });
    const closed = (await Promise.all(codes)).map(({ closed }) => closed);
    program.kill("SIGTERM");
    assertEquals(new Set(await Promise.all(closed)), new Set([1001]));
    assertEquals((await program.status).code, 0);
  }
});

Deno.test("a second signal ends the program at once with status 1", async () => {
  const { backend, release } = slowBackend();
  await using _backend = backend;
  await using program = await Program.start(["-b", backend.url, ...ANY_PORTS]);
  using client = await RawClient.connect(Number(new URL(program.url).port));
  await client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  await client.chunk();
  program.kill("SIGTERM");
  await program.logged("stopping");
  program.kill("SIGINT");
  assertEquals((await program.status).code, 1);
  release();
});

Deno.test("a configuration with five different mistakes prints five lines and exits 1", async () => {
  await using file = await configFile({
    proxy: { prot: 80 },
    backends: ["ftp://a", { url: "http://b", weight: -1 }],
    strategy: "roulette",
    health: { interval: "soon" },
  });
  for (const command of ["run", "check"]) {
    const { code, stdout, stderr } = await runProgram([command, "--config", file.path]);
    assertEquals([code, stdout], [1, ""]);
    const lines = stderr.trimEnd().split("\n");
    assertEquals(lines.length, 5, stderr);
    for (const path of ["proxy.prot", "backends[0]", "backends[1].weight", "strategy", "health.interval"]) {
      assert(lines.some((line) => line.startsWith(`${path}: `)), `${path} in ${stderr}`);
    }
    assertNotMatch(stderr, /at file:|\.ts:\d/);
  }
});

Deno.test("check reads the files of certificates: the lines and the warnings of a start", async () => {
  using directory = new TemporaryDirectory();
  const other = await makePair({ days: 5 });
  const junk = directory.write("junk.pem", "");
  const cases = [
    {
      tls: { ...directory.writePair(await makePair()), key: directory.write("other.key", other.key) },
      ca: junk,
      code: 1,
      stderr: [/^proxy\.tls\.key: .* does not belong to/, /^backends\[0\]\.tls\.ca: .* has no certificate/],
    },
    {
      tls: { cert: directory.write("soon.crt", other.cert), key: `${directory.path}/other.key` },
      ca: directory.write("ca.crt", other.cert),
      code: 0,
      stderr: [/^warning: proxy\.tls\.cert: .* expires at/],
    },
  ];
  for (const { tls, ca, code, stderr } of cases) {
    await using file = await configFile({ proxy: { tls }, backends: [{ url: "https://a.invalid", tls: { ca } }] });
    const check = await runProgram(["check", "-c", file.path]);
    assertEquals(check.code, code, check.stderr);
    const lines = check.stderr.trimEnd().split("\n");
    assertEquals(lines.length, stderr.length, check.stderr);
    for (const [index, line] of stderr.entries()) assertMatch(lines[index] ?? "", line);
  }
});

Deno.test("wrong use exits 2 and says what is wrong", async () => {
  const wrong: [string[], RegExp][] = [
    [["--prot", "80"], /--prot/],
    [["fly"], /unknown command fly/],
    [["--port", "abc"], /--port wants a whole number/],
    [["--port"], /--port wants a value/],
    [["check", "extra"], /extra/],
    [["-b"], /--backend wants a value/],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await runProgram(args);
    assertEquals([code, stdout], [2, ""], stderr);
    assertMatch(stderr, message);
    assertNotMatch(stderr, /at file:|\.ts:\d/);
  }
});

Deno.test("--help, --version, schema, check and routes print to standard output and exit 0", async () => {
  assertMatch((await runProgram(["--help"])).stdout, /Usage:/);
  assertMatch((await runProgram(["--version"])).stdout, /^roundhouse \d+\.\d+\.\d+( \(.+\))?\n$/);
  const schema = await runProgram(["schema"]);
  assertEquals(schema.stdout, await Deno.readTextFile(new URL("../../config.schema.json", import.meta.url)));
  const check = await runProgram(["check", "-c", "-"], { stdin: `{ "backends": ["http://127.0.0.1:9001"] }` });
  assertEquals([check.code, check.stderr], [0, ""]);
  assertStringIncludes(check.stdout, "http://127.0.0.1:9001");
  const file = `{ "backends": ["http://a"], "routes": { "*/*": { "respond": 404 }, "a.example/*": "default" } }`;
  const routes = await runProgram(["routes", "-c", "-"], { stdin: file });
  assertEquals([routes.code, routes.stderr], [0, ""]);
  assertEquals(routes.stdout, "a.example/*  0  default\n*/*          0  respond 404\n");
});

Deno.test("a port that is in use is one line and status 1, for a second roundhouse too", async () => {
  await using backend = HttpBackend.named("ok");
  await using program = await Program.start(["-b", backend.url, ...ANY_PORTS]);
  const { port } = new URL(program.url);
  const second = await runProgram(["-b", backend.url, "--host", "127.0.0.1", "-p", port, "--admin-port", "0"]);
  assertEquals(second.code, 1);
  assertMatch(second.stderr, new RegExp(`proxy\\.port: .*${port}`));
  assertNotMatch(second.stderr, /at file:|\.ts:\d/);
  const admin = await runProgram(["-b", backend.url, "-p", "0", "--admin-port", new URL(program.adminUrl).port]);
  assertEquals(admin.code, 1);
  assertMatch(admin.stderr, /admin\.port/);
});

Deno.test("SIGHUP and --watch-config read the file again; a bad one changes nothing and says why", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  const folder = await Deno.makeTempDir();
  const path = `${folder}/roundhouse.json`;
  const write = (backends: unknown) =>
    Deno.writeTextFile(`${path}.new`, JSON.stringify({ backends })).then(() => Deno.rename(`${path}.new`, path));
  await write([one.url]);
  await using program = await Program.start(["-c", path, "--watch-config", ...ANY_PORTS]);
  assertEquals(await (await fetch(program.url)).text(), "one");
  await write([two.url]);
  await program.logged("reload");
  assertEquals(await (await fetch(program.url)).text(), "two");
  await write(["nonsense"]);
  await program.logged("reload failed");
  assertEquals(await (await fetch(program.url)).text(), "two");
  program.kill("SIGHUP");
  await waitFor(() => program.log.filter(({ message }) => message === "reload failed").length === 2, {
    what: "the second failure",
  });
  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
  await Deno.remove(folder, { recursive: true });

  const nothing = await runProgram(["-c", "-", "--watch-config", ...ANY_PORTS], { stdin: "{}" });
  assertEquals(nothing.code, 1);
  assertMatch(nothing.stderr, /--watch-config: got no file/);
});

Deno.test("environment proxies and DENO_SERVE_ADDRESS change nothing", async () => {
  await using backend = HttpBackend.named("direct");
  const env = {
    HTTP_PROXY: "http://127.0.0.1:1",
    http_proxy: "http://127.0.0.1:1",
    ALL_PROXY: "http://127.0.0.1:1",
    DENO_SERVE_ADDRESS: "tcp:127.0.0.1:1",
  };
  await using program = await Program.start(["-b", backend.url, ...ANY_PORTS], { env });
  assertEquals(await (await fetch(program.url)).text(), "direct");
});
