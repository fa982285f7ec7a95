// The commands as a person types them: what is printed where, and the exit status.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { commandLine, Program, runProgram } from "../support/program.ts";
import { HAS_TERMINALS, inTerminal } from "../support/terminal.ts";
import { waitFor } from "../support/wait.ts";

const ANY_PORTS = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];

// It started, answered 503 to everything, and a newcomer did not know what to do about it.
Deno.test("a start with nothing to serve is wrong usage, and shows how to begin", async () => {
  using empty = new TemporaryDirectory();
  const { code, stdout, stderr } = await runProgram(ANY_PORTS, { cwd: empty.path });
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^roundhouse: nothing to serve/);
  assertStringIncludes(stderr, "\n  roundhouse -b http://");
  assertStringIncludes(stderr, "config.json");
  const missing = await runProgram(["-c", "none.json"], { cwd: empty.path });
  assertEquals([missing.code, missing.stderr], [1, "none.json: can't be read: no such file\n"]);
});

Deno.test("help, COMMAND --help and version print to standard output and exit 0", async () => {
  const cases: [args: string[], stdout: RegExp][] = [
    [["help"], /Usage: roundhouse \[COMMAND\]/],
    [["help", "top"], /^roundhouse top - /],
    [["top", "--help"], /^roundhouse top - /],
    [["version"], /^roundhouse \d+\.\d+\.\d+/],
    [["-V"], /^roundhouse \d+\.\d+\.\d+/],
  ];
  await Promise.all(cases.map(async ([args, expected]) => {
    const { code, stdout, stderr } = await runProgram(args);
    assertEquals([code, stderr], [0, ""], args.join(" "));
    assertMatch(stdout, expected);
  }));
});

Deno.test("a mistyped command, option or value names the nearest, with status 2", async () => {
  const cases: [args: string[], line: string][] = [
    [["chek"], "roundhouse: unknown command chek; did you mean check?"],
    [["--prot", "80"], "roundhouse: unknown option --prot; did you mean --port?"],
    [["--engine", "wier"], "roundhouse: --engine wants one of fetch, wire, got wier; did you mean wire?"],
  ];
  await Promise.all(cases.map(async ([args, line]) => {
    const { code, stdout, stderr } = await runProgram(args);
    assertEquals([code, stdout, stderr], [2, "", `${line}\nTry roundhouse --help.\n`]);
  }));
});

Deno.test("-b HOST:PORT and --config - do what they seem to do", async () => {
  await using backend = HttpBackend.named("one");
  await using program = await Program.start(["-b", new URL(backend.url).host, ...ANY_PORTS]);
  assertEquals(await (await fetch(program.url)).text(), "one");
  const checked = await runProgram(["check", "--config", "-"], { stdin: `{ "backends": ["http://127.0.0.1:9001"] }` });
  assertEquals([checked.code, checked.stderr], [0, ""]);
  assertStringIncludes(checked.stdout, "http://127.0.0.1:9001");
});

Deno.test("reload and ready refuse the port of the proxy, whose backend answers 200", async () => {
  // One who mixed up the two ports was told "ready" by a backend, and "undefined" by a reload with status 0.
  await using backend = HttpBackend.named("one");
  await using program = await Program.start(["-b", backend.url, ...ANY_PORTS]);
  for (const command of ["reload", "ready", "top"]) {
    const { code, stdout, stderr } = await runProgram([command, "--admin", new URL(program.url).host]);
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^http:\S+: this is not the admin API of roundhouse\n$/);
  }
});

Deno.test("a reader that leaves early is no failure", async () => {
  // "roundhouse schema | head -1" printed "Broken pipe (os error 32)".
  const [executable, ...args] = commandLine(["schema"]);
  const child = new Deno.Command(executable, { args, stdin: "null", stdout: "piped", stderr: "piped" }).spawn();
  await child.stdout.cancel();
  const [{ code }, stderr] = await Promise.all([child.status, child.stderr.text()]);
  assertEquals([code, stderr.includes("pipe")], [0, false]);
});

Deno.test("reload prints the report, or each error; ready tells whether requests can be served", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  using folder = new TemporaryDirectory();
  const config = folder.write("config.json", JSON.stringify({ backends: [one.url], proxy: { port: 0 } }));
  await using program = await Program.start(["-c", config, "--host", "127.0.0.1", "--admin-port", "0"], {
    env: { ROUNDHOUSE_ADMIN_TOKEN: "s3cret" },
  });
  const admin = new URL(program.adminUrl).host;
  const call = (command: string, token = "s3cret") =>
    runProgram([command, "--admin", admin], { env: { ROUNDHOUSE_ADMIN_TOKEN: token } });

  const ready = await call("ready", "");
  assertEquals([ready.code, ready.stdout, ready.stderr], [0, "ready\n", ""]);

  folder.write("config.json", JSON.stringify({ backends: [two.url], proxy: { port: 1 } }));
  const reloaded = await call("reload");
  assertEquals([reloaded.code, reloaded.stderr], [0, ""]);
  assertEquals(JSON.parse(reloaded.stdout), {
    added: [two.url],
    removed: [one.url],
    changed: [],
    restartNeeded: ["proxy.port"],
  });

  folder.write("config.json", JSON.stringify({ backends: ["ftp://a"], strategi: "x" }));
  const refused = await call("reload");
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertMatch(refused.stderr, /^strategi: unknown setting, did you mean "strategy"\?$/m);
  assertMatch(refused.stderr, /^backends\[0\]: got "ftp:\/\/a"/m);
  assertEquals(refused.stderr.split("\n").length, 3);

  const denied = await call("reload", "wrong");
  assertEquals(denied.code, 1);
  assertMatch(denied.stderr, /^http:\S+: the admin server refuses the token in ROUNDHOUSE_ADMIN_TOKEN\n$/);

  await (await fetch(`${program.adminUrl}/backends`, {
    method: "PATCH",
    body: JSON.stringify({ url: two.url, state: "disabled" }),
    headers: { "content-type": "application/json", authorization: "Bearer s3cret" },
  })).text();
  const unready = await call("ready");
  assertEquals([unready.code, unready.stdout], [1, ""]);
  assertMatch(unready.stderr, /^http:\S+: got status 503: no backend is eligible\n$/);
});

Deno.test({
  name: "log lines on a terminal are short, with colours unless NO_COLOR is set; JSON stays JSON",
  ignore: !HAS_TERMINALS,
  fn: async () => {
    await using backend = HttpBackend.named("one");
    const cases: [env: Record<string, string>, args: string[], line: RegExp][] = [
      [{ NO_COLOR: "" }, [], /\d\d:\d\d:\d\d\p{Cc}\[0m \p{Cc}\[32mINFO \p{Cc}\[0m \p{Cc}\[1mready\p{Cc}\[0m/u],
      [
        { NO_COLOR: "1" },
        [],
        /^\d\d:\d\d:\d\d INFO {2}ready proxy=http:\S+ admin=http:\S+ config=config.json version=\S+\r$/m,
      ],
      [{ NO_COLOR: "" }, ["--log-format", "json"], /^\{"time":"[^"]+","level":"info","message":"ready",/m],
    ];
    for (const [env, args, line] of cases) {
      const program = commandLine(["-b", backend.url, ...ANY_PORTS, ...args]);
      await using terminal = inTerminal(program, { rows: 20, columns: 80, env });
      await waitFor(() => line.test(terminal.stdout), { what: `${line} in the terminal`, timeoutMs: 30_000 });
      await terminal.type("\x03");
      assertEquals(await terminal.ended(), 0);
      assertStringIncludes(terminal.stdout, "status 0");
    }
  },
});
