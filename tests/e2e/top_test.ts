// `roundhouse top`, piped and in a terminal.

import { assert, assertEquals, assertMatch, assertStringIncludes, fail } from "@std/assert";
import { HttpBackend } from "../support/http_backend.ts";
import { commandLine, Program, runProgram } from "../support/program.ts";
import { HAS_TERMINALS, inTerminal, Watched } from "../support/terminal.ts";
import { waitFor } from "../support/wait.ts";

const PORTS = ["--host", "127.0.0.1", "-p", "0"];

Deno.test("top, piped: a line a second for each backend; it outlives a restart; SIGINT ends it with status 0", async () => {
  await using backend = HttpBackend.named("one");
  const first = await Program.start(["-b", backend.url, ...PORTS, "--admin-port", "0"]);
  const { adminUrl, url } = first;
  for (let request = 0; request < 3; request++) await (await fetch(url)).text();
  await using top = new Watched(commandLine(["top", "--admin", adminUrl]));
  const lines = () => top.stdout.split("\n").slice(1, -1).map((line) => line.split("\t"));
  await waitFor(() => lines().length >= 2, { what: "two looks", timeoutMs: 30_000 });
  const [time, ...rest] = lines()[0] ?? [];
  assertMatch(time ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assertEquals([rest[0], rest[1], rest[2], rest[3], rest[9]], ["default", backend.url, "up", "active", "3"]);
  assert(!top.stdout.includes("\x1b"));

  await first[Symbol.asyncDispose]();
  await waitFor(() => top.stderr.includes("trying again"), { what: "the loss to be told", timeoutMs: 20_000 });
  await using _second = await Program.start(["-b", backend.url, ...PORTS, "--admin-port", new URL(adminUrl).port]);
  await waitFor(() => lines().at(-1)?.[10] === "0", { what: "the new one's counts", timeoutMs: 20_000 });
  top.kill("SIGINT");
  assertEquals(await top.ended(), 0);
});

Deno.test({
  name: "top in a terminal redraws a screen of its own; Ctrl-C leaves the terminal as it was",
  ignore: !HAS_TERMINALS,
  fn: async () => {
    await using backend = HttpBackend.named("one");
    await using program = await Program.start(["-b", backend.url, ...PORTS, "--admin-port", "0"]);
    const watch = commandLine(["top", "--admin", program.adminUrl]);
    await using terminal = inTerminal(watch, { rows: 20, columns: 120 });
    const frames = () => terminal.stdout.split("\x1b[H").length - 1;
    await waitFor(() => frames() >= 2, { what: "two frames", timeoutMs: 30_000 });
    await terminal.type("\x03");
    assertEquals(await terminal.ended(), 0);
    const [before = "", shown = "", after = ""] = terminal.stdout.split("\x1b[?1049").map((part) =>
      part.replace(/^[hl]/, "")
    );
    assertStringIncludes(shown, "The backend is up and takes traffic");
    assertMatch(after, /^status 0\r\n/);
    const settings = (text: string) => /^[0-9a-f:]{40,}\r$/m.exec(text)?.[0] ?? fail(`no settings in ${text}`);
    assertEquals(settings(after), settings(before));
    for (const [taken, given] of [["\x1b[?25l", "\x1b[?25h"], ["\x1b[?7l", "\x1b[?7h"]] as const) {
      assert(terminal.stdout.indexOf(given) > terminal.stdout.indexOf(taken));
    }
  },
});

Deno.test({
  name: "top in a terminal says so when the server is gone; q ends it with status 0",
  ignore: !HAS_TERMINALS,
  fn: async () => {
    await using backend = HttpBackend.named("one");
    const program = await Program.start(["-b", backend.url, ...PORTS, "--admin-port", "0"]);
    await using terminal = inTerminal(commandLine(["top", "--admin", program.adminUrl]), { rows: 20, columns: 80 });
    const lastFrame = () => terminal.stdout.split("\x1b[H").at(-1) ?? "";
    await waitFor(() => lastFrame().includes("takes traffic"), { what: "the verdict", timeoutMs: 30_000 });
    for (const title of ["HEALTH", "REQ/S", "5XX", "FAILURES", "P95"]) assertStringIncludes(lastFrame(), title);
    await program[Symbol.asyncDispose]();
    await waitFor(() => lastFrame().includes("Not connected. Trying again…"), { what: "the loss", timeoutMs: 30_000 });
    assert(!lastFrame().includes("takes traffic"));
    await terminal.type("x");
    await terminal.type("q");
    assertEquals(await terminal.ended(), 0);
    assertMatch(terminal.stdout, /\[\?1049lstatus 0\r\n/);
  },
});

Deno.test("top says in one line what is wrong, with status 1, and 2 for wrong usage", async () => {
  await using backend = HttpBackend.named("one");
  await using program = await Program.start(["-b", backend.url, ...PORTS, "--admin-port", "0"], {
    env: { ROUNDHOUSE_ADMIN_TOKEN: "s3cret" },
  });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  closed.close();
  const cases: [args: string[], env: Record<string, string>, code: number, stderr: RegExp][] = [
    [
      ["--admin", program.adminUrl],
      {},
      1,
      /^http:\S+: the admin server requires a token: set ROUNDHOUSE_ADMIN_TOKEN\n$/,
    ],
    [
      ["--admin", program.adminUrl],
      { ROUNDHOUSE_ADMIN_TOKEN: "x" },
      1,
      /^http:\S+: .* refuses the token in .*\n$/,
    ],
    [["--admin", `127.0.0.1:${closed.addr.port}`], {}, 1, /^http:\S+: Connection refused \(os error \d+\)\n$/],
    [["--admin", backend.url], {}, 1, /^http:\S+: this is not the admin API of roundhouse\n$/],
    [["--admin", "ftp://a"], {}, 2, /^roundhouse: --admin wants an http:.* or HOST:PORT, got ftp:/],
    [["-p", "80"], {}, 2, /^roundhouse: top has no option --port\n/],
  ];
  await Promise.all(cases.map(async ([args, env, code, stderr]) => {
    const result = await runProgram(["top", ...args], { env: { ROUNDHOUSE_ADMIN_TOKEN: "", ...env } });
    assertEquals([result.code, result.stdout], [code, ""], result.stderr);
    assertMatch(result.stderr, stderr);
  }));
});
