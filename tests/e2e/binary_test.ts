// The built file, as one who copied it to another machine meets it. ROUNDHOUSE_BINARY names it, else it is built here.

import { DatabaseSync } from "node:sqlite";
import { assert, assertEquals, assertMatch, assertNotMatch, assertStringIncludes } from "@std/assert";
import DENO_JSON from "../../deno.json" with { type: "json" };
import { clientFor, keptCertificate } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { type Finished, Program, type ProgramOptions, runProgram } from "../support/program.ts";

const ANY_PORTS = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];
const COMPILE = new URL("../../scripts/compile.ts", import.meta.url).pathname;
const VERSION_LINE = /^roundhouse \d+\.\d+\.\d+ \(([0-9a-f]{7,}(-dirty)?, )?(self-extracting|compiled)\)\n$/;
const PATH = Deno.env.get("PATH") ?? "/usr/bin:/bin";

const folder = await Deno.makeTempDir({ prefix: "roundhouse binary " });
const given = Deno.env.get("ROUNDHOUSE_BINARY");
const binary = given ?? `${folder}/roundhouse`;
const isHere = Deno.build.os !== "windows";

/** Runs the built file with an environment of its own; the cache is in `folder` unless said otherwise. */
function run(args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
  return runProgram(args, { binary, ...ownEnvironment(options) });
}

function ownEnvironment(options: ProgramOptions): ProgramOptions {
  return { ...options, clearEnv: true, env: { PATH, XDG_CACHE_HOME: `${folder}/cache`, ...options.env } };
}

function start(args: readonly string[], options: ProgramOptions = {}): Promise<Program> {
  return Program.start(args, { binary, ...ownEnvironment(options) });
}

async function compile(args: readonly string[], env: Record<string, string> = {}) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", COMPILE, ...args],
    env: { NO_COLOR: "1", ...env },
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

async function newFolder(name: string): Promise<string> {
  return await Deno.makeTempDir({ dir: folder, prefix: `${name} ` });
}

function names(directory: string): string[] {
  return Array.from(Deno.readDirSync(directory), ({ name }) => name).sort();
}

/** The one directory that a first start left under `cache`. */
function unpacked(cache: string): string {
  const [name, ...others] = names(`${cache}/roundhouse`);
  assertEquals(others, []);
  assertMatch(String(name), /^[0-9a-f]{64}$/);
  return `${cache}/roundhouse/${name}`;
}

function test(name: string, body: () => Promise<void>) {
  Deno.test({ name, ignore: !isHere, fn: body });
}

/** Only what the self-extracting form does; the other unpacks nothing. */
function selfExtractingTest(name: string, body: () => Promise<void>) {
  test(name, async () => {
    if ((await run(["--version"])).stdout.includes("self-extracting")) await body();
  });
}

Deno.test.beforeAll(async () => {
  if (!isHere || given !== undefined) return;
  const { code, stderr } = await compile(["--self-contained", "-o", binary]);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^checking and bundling…\ncompressing the program and its runtime…\n$/);
});

Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

test("the built file is one executable of less than 60 MB", async () => {
  const { size, mode } = await Deno.stat(binary);
  assert(size < 60e6, `${size} bytes`);
  assertEquals((mode ?? 0) & 0o111, 0o111);
});

test("--version says which commit and which form, schema and --help print what they print from source", async () => {
  assertMatch((await run(["--version"])).stdout, VERSION_LINE);
  const schema = await run(["schema"]);
  assertEquals(schema.stdout, (await runProgram(["schema"])).stdout);
  assertMatch((await run(["--help"])).stdout, /Usage:/);
});

test("-b is enough: it proxies, logs its own pid, and SIGTERM and SIGINT end it with status 0", async () => {
  await using backend = HttpBackend.named("here");
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using program = await start(["-b", backend.url, ...ANY_PORTS]);
    assertEquals((await program.logged("ready"))["pid"], program.pid);
    assertEquals(await (await fetch(program.url)).text(), "here");
    program.kill(signal);
    assertEquals((await program.status).code, 0);
    assertEquals(await program.stdout(), "");
  }
});

test("several workers serve from one file, all of them", async () => {
  await using backend = HttpBackend.named("here");
  await using program = await start(["-b", backend.url, "--workers", "2", ...ANY_PORTS]);
  const answers = await Promise.all(Array.from({ length: 20 }, async () => await (await fetch(program.url)).text()));
  assertEquals(new Set(answers), new Set(["here"]));
  program.kill("SIGTERM");
  assertEquals((await program.status).code, 0);
});

test("a configuration file, relative to the current directory, is used; so is one on standard input", async () => {
  await using backend = HttpBackend.named("configured");
  const cwd = await newFolder("configuration");
  const config = { proxy: { host: "127.0.0.1", port: 0 }, admin: { port: 0 }, backends: ["${BACKEND}"] };
  await Deno.writeTextFile(`${cwd}/config.json`, JSON.stringify(config));
  await using program = await start([], { cwd, env: { BACKEND: backend.url } });
  assertEquals(await (await fetch(program.url)).text(), "configured");
  const cache = await newFolder("cache");
  const check = await run(["check", "-c", "-"], {
    stdin: JSON.stringify({ backends: [backend.url] }),
    env: { XDG_CACHE_HOME: cache }, // standard input must outlast the unpacking
  });
  assertEquals([check.code, check.stderr], [0, ""]);
  assertStringIncludes(check.stdout, backend.url);
});

test("the built file makes a self-signed certificate too, and speaks HTTP/2 with it", async () => {
  // The library loads the runtime's crypto by `require`, which a bundle has not: the file ended with status 1.
  await using backend = HttpBackend.named("over HTTP/2");
  const state = await newFolder("tls");
  const path = `${state}/config.json`;
  await Deno.writeTextFile(path, JSON.stringify({ proxy: { tls: { selfSigned: ["127.0.0.1"] } } }));
  await using program = await start(["-c", path, "-b", backend.url, "--engine", "fetch", ...ANY_PORTS], {
    env: { STATE_DIRECTORY: state },
  });
  const ready = await program.logged("ready");
  using client = clientFor("HTTP/2", { cert: keptCertificate(state) });
  assertEquals(await (await fetch(String(ready["proxy"]), { client })).text(), "over HTTP/2");
});

test("the built file checks passwords, with one worker and with two", async () => {
  await using backend = HttpBackend.named("in");
  const path = `${await newFolder("passwords")}/config.json`;
  const made = await run(["hash-password"], { stdin: "open sesame" });
  const users = {
    Aladdin: made.stdout.trim(),
    Ali: "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW", // of "secret"
  };
  await Deno.writeTextFile(path, JSON.stringify({ backends: [backend.url], auth: { basic: { users } } }));
  for (const workers of ["1", "2"]) {
    await using program = await start(["-c", path, "--workers", workers, ...ANY_PORTS]);
    for (const [credentials, status] of [["Aladdin:open sesame", 200], ["Ali:secret", 200], ["Ali:sesame", 401]]) {
      const headers = { authorization: `Basic ${btoa(String(credentials))}` };
      const response = await fetch(program.url, { headers });
      await response.body?.cancel();
      assertEquals(response.status, status, `${credentials}, ${workers} workers`);
    }
  }
});

test("exit statuses are the program's: 1 for a bad configuration, 2 for wrong use", async () => {
  const bad = await run(["check", "-c", "-"], { stdin: `{ "proxy": { "prot": 1 } }` });
  assertEquals([bad.code, bad.stdout], [1, ""]);
  assertMatch(bad.stderr, /^proxy\.prot: /);
  const wrong = await run(["--prot", "80"]);
  assertEquals([wrong.code, wrong.stdout], [2, ""]);
  assertNotMatch(wrong.stderr, /at file:/);
  const weird = await run(["it's", "$(exit 3)", "two  words"]);
  assertEquals(weird.code, 2);
  assertStringIncludes(weird.stderr, "it's");
});

test("a read-only current directory full of a stranger's files changes nothing and stays as it is", async () => {
  const cwd = await newFolder("read-only");
  for (const name of ["deno.json", "package.json", "deno.lock", ".npmrc", ".env", "import_map.json"]) {
    await Deno.writeTextFile(`${cwd}/${name}`, "}{ not what anyone wants");
  }
  const before = names(cwd);
  await Deno.chmod(cwd, 0o555);
  const { code, stdout, stderr } = await run(["--version"], { cwd });
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, VERSION_LINE);
  assertEquals(names(cwd), before);
});

test("a moved, renamed or linked file works, and one found in PATH", async () => {
  const bin = await newFolder("it's $HOME; ");
  await Deno.copyFile(binary, `${bin}/rh`);
  await Deno.symlink(`${bin}/rh`, `${bin}/linked`);
  for (const name of ["rh", "linked"]) {
    assertMatch((await run(["--version"], { binary: `${bin}/${name}` })).stdout, VERSION_LINE);
    const found = await run(["-c", `${name} --version`], { binary: "/bin/sh", env: { PATH: `${bin}:${PATH}` } });
    assertMatch(found.stdout, VERSION_LINE);
    const relative = await run(["-c", `./${name} --version`], {
      binary: "/bin/sh",
      cwd: bin,
      env: { XDG_CACHE_HOME: await newFolder("cache") },
    });
    assertMatch(relative.stdout, VERSION_LINE, relative.stderr);
  }
});

test("the runtime's variables in the environment change nothing, but a file of authorities, and its own directory is not made", async () => {
  const elsewhere = `${folder}/never`;
  const env = {
    DENO_DIR: elsewhere,
    DENO_V8_FLAGS: "--no-such-flag",
    DENO_COVERAGE_DIR: elsewhere,
    DENO_CERT: "/no/such/file",
    DENO_AUTH_TOKENS: "x",
    NODE_OPTIONS: "--require /no/such/file",
  };
  const home = await newFolder("home");
  const { code, stdout, stderr } = await run(["--version"], { env: { ...env, HOME: home } });
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, VERSION_LINE);
  assertEquals(names(home), []);
  assert(!names(folder).includes("never"));
});

selfExtractingTest(
  "the cache is $XDG_CACHE_HOME, else $HOME/.cache, else a private directory under $TMPDIR",
  async () => {
    const home = await newFolder("home");
    assertMatch((await run(["--version"], { env: { XDG_CACHE_HOME: "", HOME: home } })).stdout, VERSION_LINE);
    unpacked(`${home}/.cache`);

    const temporary = await newFolder("tmp");
    const env = { XDG_CACHE_HOME: "relative/is/ignored", TMPDIR: temporary };
    assertMatch((await run(["--version"], { env })).stdout, VERSION_LINE);
    const name = `roundhouse-${Deno.uid()}`;
    assertEquals(names(temporary), [name]);
    assertEquals(((await Deno.stat(`${temporary}/${name}`)).mode ?? 0) & 0o777, 0o700);
  },
);

selfExtractingTest("starts at once with an empty cache all work and leave one copy", async () => {
  const cache = await newFolder("cache");
  const all = await Promise.all([1, 2, 3, 4].map(() => run(["--version"], { env: { XDG_CACHE_HOME: cache } })));
  for (const { code, stdout, stderr } of all) {
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, VERSION_LINE);
  }
  const files = names(unpacked(cache));
  assertEquals(files.filter((name) => !name.endsWith(".js")), ["complete", "deno", "roundhouse"]);
  for (const entry of ["main.js", "worker.js", "bcrypt_worker.js"]) assert(files.includes(entry), entry);
});

selfExtractingTest("what the runtime keeps for the next start has all functions compiled", async () => {
  // Each start compiled the 1,400 functions that it calls, and took 12 ms more: only what runs at the top was kept.
  const cache = await newFolder("cache");
  await using program = await start(["-b", "http://127.0.0.1:9001", ...ANY_PORTS], { env: { XDG_CACHE_HOME: cache } });
  program.kill("SIGTERM");
  await program.status;
  const directory = unpacked(cache);
  const database = new DatabaseSync(`${directory}/deno/v8_code_cache_v2`);
  const kept = database.prepare("SELECT length(data) AS size FROM codecache WHERE specifier LIKE '%/main.js'").get();
  database.close();
  // What runs at the top is about as long as the text, and all functions three times as long.
  assert(Number(kept?.["size"]) > 2 * Deno.statSync(`${directory}/main.js`).size, JSON.stringify(kept));
});

selfExtractingTest("a cache that is whole is left as it is, wherever one lives", async () => {
  const cache = await newFolder("cache");
  const env = { XDG_CACHE_HOME: cache };
  await run(["--version"], { env });
  const directory = unpacked(cache);
  const { ino } = await Deno.stat(`${directory}/main.js`);
  for (const own of [{}, { TZ: "America/Los_Angeles" }, { LC_ALL: "C.UTF-8", POSIXLY_CORRECT: "1" }]) {
    assertEquals((await run(["--version"], { env: { ...env, ...own } })).code, 0);
    assertEquals((await Deno.stat(`${directory}/main.js`)).ino, ino, JSON.stringify(own));
  }
});

selfExtractingTest("a damaged cache is rebuilt, also under a program that runs from it", async () => {
  await using backend = HttpBackend.named("still here");
  const cache = await newFolder("cache");
  const env = { XDG_CACHE_HOME: cache };
  await using program = await start(["-b", backend.url, ...ANY_PORTS], { env });
  const directory = unpacked(cache);
  const damages: (() => Promise<void>)[] = [
    () => Deno.truncate(`${directory}/main.js`, 1000),
    () => Deno.writeTextFile(`${directory}/main.js`, "x".repeat(Deno.statSync(`${directory}/main.js`).size)),
    () => Deno.remove(`${directory}/worker.js`),
    async () => {
      await Deno.rename(`${directory}/main.js`, `${directory}/other.js`);
      await Deno.symlink(`${directory}/other.js`, `${directory}/main.js`);
    },
    () => Deno.remove(`${directory}/roundhouse`),
    () => Deno.chmod(`${directory}/roundhouse`, 0o600),
    () => Deno.remove(`${directory}/complete`),
  ];
  for (const damage of damages) {
    await damage();
    const { code, stdout, stderr } = await run(["--version"], { env });
    assertEquals([code, stderr], [0, ""], String(damage));
    assertMatch(stdout, VERSION_LINE);
  }
  assertEquals(unpacked(cache), directory);
  assertEquals(await (await fetch(program.url)).text(), "still here");
});

selfExtractingTest("a cache that others can write to, or own, is never run from", async () => {
  const trap = `#!/bin/sh\necho trapped\n`;
  const cache = await newFolder("cache");
  const env = { XDG_CACHE_HOME: cache, TMPDIR: await newFolder("tmp") };
  await run(["--version"], { env });
  const directory = unpacked(cache);
  await Deno.writeTextFile(`${directory}/roundhouse`, trap);

  await Deno.chmod(`${cache}/roundhouse`, 0o777);
  assertMatch((await run(["--version"], { env })).stdout, VERSION_LINE);
  assertEquals(await Deno.readTextFile(`${directory}/roundhouse`), trap);
  await Deno.chmod(`${cache}/roundhouse`, 0o700);
  if (Deno.uid() !== 0) return; // only root can give files away

  await Deno.chown(`${cache}/roundhouse`, 65534, 65534);
  assertMatch((await run(["--version"], { env })).stdout, VERSION_LINE);
  assertEquals(await Deno.readTextFile(`${directory}/roundhouse`), trap);
  const squatted = `${env.TMPDIR}/roundhouse-0`;
  await Deno.chown(squatted, 65534, 65534);
  const refused = await run(["--version"], { env });
  assertEquals([refused.code, refused.stdout], [1, ""]);
  assertMatch(refused.stderr, /^roundhouse: no directory to unpack into: set XDG_CACHE_HOME .*\n$/);
});

selfExtractingTest(
  "a file that was copied in part says so in one line, with status 1, and leaves nothing",
  async () => {
    const part = `${await newFolder("part")}/roundhouse`;
    await Deno.copyFile(binary, part);
    await Deno.truncate(part, 20e6);
    const cache = await newFolder("cache");
    const { code, stdout, stderr } = await run(["--version"], {
      binary: part,
      env: { XDG_CACHE_HOME: cache, TMPDIR: `${cache}/none` },
    });
    assertEquals([code, stdout], [1, ""]);
    assertMatch(stderr, /^roundhouse: .*is damaged; copy it again.*\n$/);
    assertEquals(names(`${cache}/roundhouse`), []);
  },
);

test("where DENORT_BIN names a runtime, deno compile is used, with the program's permissions and no more", async () => {
  const runtime = `${folder}/denort`;
  await Deno.copyFile(Deno.execPath(), runtime); // stands in for the real one: an executable of this system
  const output = `${folder}/compiled`;
  const { code, stderr } = await compile(["-o", output], { DENORT_BIN: runtime });
  assertEquals(code, 0, stderr);
  // It said nothing for a quarter of a minute, so that it looked dead.
  assertEquals(stderr.split("\n"), [
    "checking and bundling…",
    "compiling, which fetches the runtime the first time…",
    "",
  ]);
  const bytes = new TextDecoder("latin1").decode(await Deno.readFile(output));
  assert(bytes.startsWith("\x7fELF") || Deno.build.os !== "linux");
  const permissions = /"permissions":(\{"allow_env":.*?\})/.exec(bytes.slice(-20e6))?.[1] ?? "";
  // Beside those of deno.json: it starts itself anew for an upgrade, from where it is installed.
  const run = ["/usr/local/bin/roundhouse", "/usr/bin/roundhouse"];
  const wanted: Record<string, unknown> = { ...DENO_JSON.permissions.default, run };
  for (const name of ["env", "net", "read", "write", "run", "ffi", "sys"]) {
    const value = wanted[name] === true ? [] : wanted[name] ?? null;
    assertStringIncludes(permissions, `"allow_${name}":${JSON.stringify(value)}`);
  }
  assertStringIncludes(bytes, "no-legacy-abort");
  assertMatch(bytes, /"([0-9a-f]{7,}(-dirty)?, )?compiled"/);
});

test("what can't be built is said in one line", async () => {
  const other = await compile(["--self-contained", "--target", "x86_64-pc-windows-msvc"]);
  assertEquals([other.code, other.stdout], [2, ""]);
  assertMatch(other.stderr, /^--self-contained builds for this system only\n/);
  assertMatch((await compile(["--target", "pdp11"])).stderr, /^unknown target pdp11\n/);
});
