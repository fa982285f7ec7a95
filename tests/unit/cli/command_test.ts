// The command line as it is read: commands, options, what stands for what, and what a mistake is answered with.

import { assertEquals, assertThrows } from "@std/assert";
import { type Command, parseCommand } from "../../../src/cli/command.ts";
import { UsageError } from "../../../src/errors.ts";

type Run = Extract<Command, { readonly overrides: unknown }>;

function run(...args: string[]): Run {
  return parseCommand(args) as Run;
}

Deno.test("parseCommand() takes run for granted, and reads options before and after the command", () => {
  assertEquals(run().kind, "run");
  assertEquals(run("-p", "80", "check").kind, "check");
  assertEquals(run("check", "-p", "80").overrides, { port: 80 });
  assertEquals(run("routes", "-c", "a.json").kind, "routes");
  assertEquals(run("-c", "a.json", "--watch-config"), {
    kind: "run",
    configPath: "a.json",
    overrides: {},
    watchConfig: true,
  });
});

// `--config -` started with `-` taken for a command, and with an empty file name.
Deno.test("parseCommand() takes a lone dash for a file's name in every spelling", () => {
  for (const args of [["-c", "-"], ["-c-"], ["--config", "-"], ["--config=-"], ["check", "--config", "-"]]) {
    assertEquals(run(...args).configPath, "-", args.join(" "));
  }
  assertThrows(() => run("-"), UsageError, "unknown command -");
});

Deno.test("parseCommand() takes HOST:PORT for an http:// URL, as a backend and as the admin API", () => {
  const backends: [given: string, meant: string][] = [
    ["127.0.0.1:9001", "http://127.0.0.1:9001"],
    ["localhost:9001", "http://localhost:9001"],
    ["[::1]:9001", "http://[::1]:9001"],
    ["app.internal:80/base", "http://app.internal:80/base"],
    ["http://a", "http://a"],
    ["https://a:8443", "https://a:8443"],
    // Not HOST:PORT: the check of the configuration says what is wrong with them.
    ["9001", "9001"],
    ["app", "app"],
    ["user:80@app:90", "user:80@app:90"],
    ["unix:/run/app.sock", "unix:/run/app.sock"],
  ];
  for (const [given, meant] of backends) assertEquals(run("-b", given).overrides.backends, [meant]);
  for (const kind of ["top", "reload", "ready"] as const) {
    assertEquals(parseCommand([kind, "--admin", "10.0.0.7:8081"]), { kind, adminUrl: "http://10.0.0.7:8081" });
    assertEquals(parseCommand([kind]), { kind, adminUrl: "http://127.0.0.1:8081" });
  }
});

Deno.test("parseCommand() finds the help and the version in every spelling", () => {
  const whole: Command = { kind: "help", topic: undefined };
  const top: Command = { kind: "help", topic: "top" };
  for (const args of [["--help"], ["-h"], ["help"], ["help", "help"]]) assertEquals(parseCommand(args), whole);
  for (const args of [["top", "--help"], ["--help", "top"], ["top", "-h"], ["help", "top"]]) {
    assertEquals(parseCommand(args), top);
  }
  for (const args of [["--version"], ["-V"], ["version"], ["top", "-V"]]) {
    assertEquals(parseCommand(args), { kind: "version" });
  }
});

Deno.test("parseCommand() names the nearest command, option and value", () => {
  const wrong: [args: string[], message: string][] = [
    [["chek"], "unknown command chek; did you mean check?"],
    [["route"], "unknown command route; did you mean routes?"],
    [["help", "tpo"], "unknown command tpo; did you mean top?"],
    [["fly"], "unknown command fly"],
    [["--strategi", "x"], "unknown option --strategi; did you mean --strategy?"],
    [["--backend=x", "--prot=80"], "unknown option --prot=80; did you mean --port?"],
    [["-x"], "unknown option -x"],
    [["--strategy", "round-robn"], "got round-robn; did you mean round-robin?"],
    [["--strategy", "header-hsh:X"], "got header-hsh:X; did you mean header-hash:NAME?"],
    [["--engine", "wier"], "--engine wants one of fetch, wire, got wier; did you mean wire?"],
    [["--log-level", "warning"], "--log-level wants one of debug, info, warn, error, got warning; did you mean warn?"],
    [["--log-format", "jsn"], "did you mean json?"],
    [["--health", "tpc"], "--health wants a path that begins with /, tcp or none, got tpc; did you mean tcp?"],
  ];
  for (const [args, message] of wrong) assertThrows(() => parseCommand(args), UsageError, message);
  assertEquals(run("--strategy", "header-hash:X-User").overrides, { strategy: "header-hash:X-User" });
});

Deno.test("parseCommand() refuses what a command has no use for", () => {
  const wrong: [args: string[], message: string][] = [
    [["top", "-p", "80"], "top has no option --port"],
    [["top", "-b", "a"], "top has no option --backend"],
    [["schema", "--watch-config"], "schema has no option --watch-config"],
    [["--admin", "http://a"], "run has no option --admin"],
    [["check", "extra"], "unexpected argument extra"],
    [["help", "top", "extra"], "unexpected argument extra"],
    [["-p"], "--port wants a value"],
    [["-b"], "--backend wants a value"],
    [["--port", "abc"], "--port wants a whole number, got abc"],
    [["top", "--admin", "ftp://a"], "--admin wants an http:// or https:// URL, or HOST:PORT, got ftp://a"],
  ];
  for (const [args, message] of wrong) assertThrows(() => parseCommand(args), UsageError, message);
});
