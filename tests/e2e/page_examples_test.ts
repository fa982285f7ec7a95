// What the pages show is what the program does. Each page begins with an example, which is started as the page says; each
// command below it is run by a shell and has to print what the page shows. Of some pages, whose backends answer with their
// port and the path that they got, every example is run. The other pages have the sample backends.

import { assertEquals } from "@std/assert";
import { applyEdits, modify } from "jsonc-parser";
import { TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { readingOrder } from "../../scripts/schema/reading_order.ts";
import { startBackend } from "../../scripts/backend.ts";
import { type Example, examplesOf, filesOf, type FirstExample, firstExampleOf, readPage } from "../support/page.ts";
import { commandLine, type LogEntry, Program } from "../support/program.ts";
import { RawClient } from "../support/raw_client.ts";
import { RedisServer } from "../support/redis_server.ts";
import { waitFor } from "../support/wait.ts";

/** Pages of which every example is run. */
const WHOLE = ["docs/guards.md", "docs/replicas.md", "docs/routing.md"];

/** Pages whose first example another test runs: `migrating_test.ts` and `release_test.ts`. */
const RUN_ELSEWHERE = ["docs/migrating.md", "docs/releasing.md"];

const ANY_PORTS = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];
const COMMANDS = ["sh", "curl", "jq"];

/** The store of the replicas. A page that has it has two of them. */
const REDIS = "redis://127.0.0.1:6379";

/** A backend of the pages. */
const BACKEND = /(?:http:\/\/)?127\.0\.0\.1:(3\d\d\d|900\d)\b/g;
const NAMES = ["one", "two", "three", "four"];

/** Stand for the backends of a page, by the addresses that the page shows. */
class Backends implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #addresses = new Map<string, string>();
  readonly #namesUsers: boolean;

  /**
   * Starts those of the ports that are shown.
   *
   * @param auth the address of the server in `auth.js`. With it, backends answer with the user that it names
   */
  constructor(shown: string, auth?: string) {
    this.#namesUsers = auth !== undefined;
    if (auth !== undefined) this.#addresses.set(AUTH_PORT, auth);
    for (const [, port = ""] of shown.matchAll(BACKEND)) {
      if (!this.#addresses.has(port)) this.#addresses.set(port, this.#start(port));
    }
  }

  #start(port: string): string {
    if (port.startsWith("900")) {
      const backend = startBackend({ name: NAMES[Number(port) - 9001] ?? port });
      this.#stack.defer(() => backend.stop());
      return `127.0.0.1:${backend.port}`;
    }
    const answer = (request: Request) => {
      const user = this.#namesUsers ? request.headers.get("x-user") : null;
      return new Response(`${port} ${new URL(request.url).pathname}${user === null ? "" : ` for ${user}`}\n`);
    };
    return new URL(this.#stack.use(new HttpBackend(answer)).url).host;
  }

  /** What the page shows, as it is here. */
  real(shown: string): string {
    return shown.replaceAll(BACKEND, (address, port: string) => {
      const real = this.#addresses.get(port);
      return real === undefined ? address : address.replace(/127.*/, real);
    });
  }

  /** What is here, as the page shows it. */
  shown(real: string): string {
    for (const [port, address] of this.#addresses) real = real.replaceAll(address, `127.0.0.1:${port}`);
    return real;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** The port of the server in `auth.js`, which a page shows. */
const AUTH_PORT = "3009";

/** The server in `auth.js`. */
class AuthScript implements AsyncDisposable {
  readonly address: string;
  readonly #process: Deno.ChildProcess;

  static async start(page: string): Promise<AuthScript> {
    using folder = new TemporaryDirectory();
    const script = filesOf(page).get("auth.js")?.replace(`port: ${AUTH_PORT}`, "port: 0") ?? "";
    const args = ["run", "--no-config", "--allow-net=127.0.0.1", folder.write("auth.js", script)];
    const process = new Deno.Command(Deno.execPath(), { args, stdin: "null", stdout: "null", stderr: "piped" }).spawn();
    let printed = "";
    for await (const text of process.stderr.pipeThrough(new TextDecoderStream())) {
      printed += text;
      const [, address] = /Listening on http:\/\/([\d.]+:\d+)\//.exec(printed) ?? [];
      if (address !== undefined) return new AuthScript(address, process);
    }
    throw new Error(`auth.js did not start: ${printed}`);
  }

  private constructor(address: string, process: Deno.ChildProcess) {
    this.address = address;
    this.#process = process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
  }
}

/** A folder with the files of a page, and with a program `roundhouse`. */
function folderOf(page: string, backends: Backends): TemporaryDirectory {
  const folder = new TemporaryDirectory();
  for (const [name, text] of filesOf(page)) folder.write(name, backends.real(text));
  const program = folder.write("roundhouse", `#!/bin/sh\nexec ${commandLine([]).join(" ")} "$@"\n`);
  Deno.chmodSync(program, 0o755);
  return folder;
}

/** What a page's commands and program run with: the folder is the reader's home and is searched for programs. */
function environmentIn(folder: string): Record<string, string> {
  const cache = Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno`;
  return { PATH: `${folder}:${Deno.env.get("PATH")}`, NO_COLOR: "1", HOME: folder, DENO_DIR: cache };
}

async function shell(command: string, folder: string): Promise<string> {
  const env = environmentIn(folder);
  const { stdout, stderr } = await new Deno.Command("sh", { args: ["-c", command], cwd: folder, env, stdin: "null" })
    .output();
  const notes = /^Warning Permissions in the config file.*\n/gm;
  const decoder = new TextDecoder();
  const printed = (decoder.decode(stdout) + decoder.decode(stderr)).replaceAll(notes, "");
  return printed === "" || printed.endsWith("\n") ? printed : `${printed}\n`;
}

/** Replaces what differs from one run to the next. */
function withoutChance(output: string): string {
  return output.replaceAll(/\b[0-9a-f]{32}\b/g, "REQUEST-ID").replaceAll(/\bb-[0-9a-f]{12}\b/g, "BACKEND-ID");
}

/** Sends a request such as `example.com/a`. Returns the key of its route as the access log tells it, else the status. */
async function routeOf(request: string, program: Program): Promise<string> {
  const slash = request.indexOf("/");
  const [authority, path] = [request.slice(0, slash), request.slice(slash)];
  using client = await RawClient.connect(Number(new URL(program.url).port));
  const before = program.log.length;
  const response = await client.request(`GET ${path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  const find = () => program.log.slice(before).find(({ message }) => message === "request");
  await waitFor(() => find() !== undefined, { what: "a line of the access log" });
  return String(find()?.["route"] ?? response?.status);
}

async function run(example: Example, page: string): Promise<void> {
  const commands = example.commands.map(({ command }) => command);
  const shown = [example.config, ...commands].join("\n");
  await using auth = shown.includes(`:${AUTH_PORT}/`) ? await AuthScript.start(page) : undefined;
  await using backends = new Backends(shown, auth?.address);
  using folder = folderOf(page, backends);
  await using redis = example.config.includes(REDIS) ? await RedisServer.start() : undefined;
  const config = backends.real(example.config).replaceAll(REDIS, redis?.url ?? REDIS);
  const logged = applyEdits(config, modify(config, ["log", "access"], true, {}));
  folder.write("config.json", logged);
  const options = { cwd: folder.path, env: { ROUNDHOUSE_STATE_DIR: `${folder.path}/state` } };
  await using program = await Program.start(argsFor(["-c", "config.json"], config), options);
  const proxy = program.url.slice("http://".length);
  // The second replica of the page.
  await using replica = redis && await Program.start(argsFor(["-c", "config.json"], config), options);
  const admins = [["localhost:8081", program], ["localhost:8091", replica ?? program]] as const;
  for (const { command, output } of example.commands) {
    const real = admins.reduce(
      (text, [shown, { adminUrl }]) => text.replaceAll(shown, adminUrl.slice("http://".length)),
      backends.real(command).replaceAll("localhost:8080", proxy),
    );
    const printed = backends.shown(await shell(real, folder.path)).replaceAll(proxy, "localhost:8080");
    assertEquals(withoutChance(printed), withoutChance(output), `$ ${command}`);
  }
  for (const [request, key] of example.requests) assertEquals(await routeOf(request, program), key, request);
}

/** Any ports, one worker, and the engine of the configuration rather than the one under test. */
function argsFor(args: readonly string[], config: string): string[] {
  const [, engine] = /"engine": "(\w+)"/.exec(config) ?? [];
  return [...args, "--workers", "1", "--engine", engine ?? "fetch", ...ANY_PORTS];
}

async function runFirst({ args, shown, commands }: FirstExample, page: string): Promise<void> {
  await using backends = new Backends(shown);
  using folder = folderOf(page.replace('"redirectFrom": 8080', '"redirectFrom": 0'), backends);
  const env = environmentIn(folder.path);
  const started = argsFor(args.map((arg) => backends.real(arg)), shown);
  await using program = await Program.start(started, { cwd: folder.path, env });
  const addresses = addressesOf(await program.logged("ready"));
  const real = (text: string) => {
    for (const [shown, address] of addresses) text = text.replaceAll(shown, address);
    return backends.real(text).replaceAll(/roundhouse (ready|reload|top)\b(?! --admin)/g, (command) => {
      return `${command} --admin ${addresses.get("localhost:8081")}`;
    });
  };
  const seen = (text: string) => {
    for (const [shown, address] of addresses) text = text.replaceAll(address, shown);
    return withoutChance(backends.shown(text));
  };
  for (const { command, output } of commands) {
    const print = async () => seen(await shell(real(command), folder.path));
    let printed = await print();
    // Where the page waits for something, a busy machine needs longer.
    for (let more = 0; command.startsWith("sleep ") && more < 5 && printed !== withoutChance(output); more++) {
      printed = await print();
    }
    assertEquals(printed, withoutChance(output), `$ ${command}`);
  }
}

/** What the pages call localhost:8080 and so on, as it is here. */
function addressesOf(ready: LogEntry): Map<string, string> {
  const proxy = new URL(String(ready["proxy"]));
  const addresses = new Map([["localhost:8081", new URL(String(ready["admin"])).host]]);
  if (proxy.protocol === "http:") return addresses.set("localhost:8080", proxy.host);
  addresses.set("localhost:8443", proxy.host);
  return addresses.set("localhost:8080", new URL(String(ready["redirect"])).host);
}

const ignore = !COMMANDS.every(hasCommand);

for (const path of readingOrder(readPage("README.md")).map(({ path }) => path)) {
  const page = readPage(path);
  if (RUN_ELSEWHERE.includes(path)) continue;
  if (!WHOLE.includes(path)) {
    Deno.test(`${path} begins with an example that does what it shows`, { ignore }, async () => {
      await runFirst(firstExampleOf(page), page);
    });
    continue;
  }
  for (const [index, example] of examplesOf(page).entries()) {
    const title = /^\/\/ ([\w.-]+)/.exec(example.config)?.[1] ?? `number ${index + 1}`;
    const lacksStore = example.config.includes(REDIS) && !hasCommand("redis-server");
    const options = { ignore: ignore || lacksStore };
    Deno.test(`${path}: the configuration ${title} does what the page shows`, options, () => run(example, page));
  }
}
