// What the pages show is what the program does. Each configuration is started, and each command below it is run by a
// shell and has to print what the page shows. The backends of the pages answer with their port and the path that they got.

import { assert, assertEquals } from "@std/assert";
import { applyEdits, modify } from "jsonc-parser";
import { TemporaryDirectory } from "../support/certificates.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { type Example, examplesOf, filesOf, readPage } from "../support/page.ts";
import { commandLine, Program } from "../support/program.ts";
import { RawClient } from "../support/raw_client.ts";
import { waitFor } from "../support/wait.ts";

const PAGES = ["docs/guards.md", "docs/routing.md"];
const ANY_PORTS = ["--host", "127.0.0.1", "-p", "0", "--admin-port", "0"];
const COMMANDS = ["sh", "curl", "jq"];

/** A backend of the pages. */
const BACKEND = /http:\/\/127\.0\.0\.1:(3\d\d\d)\b/g;

/** Stand for the backends of a page, by the URLs that the page shows. */
class Backends implements AsyncDisposable {
  readonly #backends = new Map<string, HttpBackend>();

  constructor(example: Example) {
    const shown = [example.config, ...example.commands.map(({ command }) => command)].join("\n");
    for (const [url, port] of shown.matchAll(BACKEND)) {
      if (this.#backends.has(url)) continue;
      this.#backends.set(url, new HttpBackend((request) => new Response(`${port} ${new URL(request.url).pathname}\n`)));
    }
  }

  /** What the page shows, as it is here. */
  real(shown: string): string {
    return shown.replaceAll(BACKEND, (url) => this.#backends.get(url)?.url ?? url);
  }

  /** What is here, as the page shows it. */
  shown(real: string): string {
    for (const [url, backend] of this.#backends) real = real.replaceAll(backend.url, url);
    return real;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const backend of this.#backends.values()) await backend[Symbol.asyncDispose]();
  }
}

/** A folder with the files of a page, and with a program `roundhouse`. */
function folderOf(page: string): TemporaryDirectory {
  const folder = new TemporaryDirectory();
  for (const [name, text] of filesOf(page)) folder.write(name, text);
  const program = folder.write("roundhouse", `#!/bin/sh\nexec ${commandLine([]).join(" ")} "$@"\n`);
  Deno.chmodSync(program, 0o755);
  return folder;
}

async function shell(command: string, folder: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", command],
    cwd: folder,
    env: { PATH: `${folder}:${Deno.env.get("PATH")}`, NO_COLOR: "1" },
    stdin: "null",
  }).output();
  const notes = /^Warning Permissions in the config file.*\n/gm;
  const printed = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr).replaceAll(notes, "");
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
  using folder = folderOf(page);
  await using backends = new Backends(example);
  const config = backends.real(example.config);
  const logged = applyEdits(config, modify(config, ["log", "access"], true, {}));
  folder.write("config.json", logged);
  const [, engine] = /"engine": "(\w+)"/.exec(config) ?? [];
  const flags = ["--workers", "1", ...engine === undefined ? [] : ["--engine", engine], ...ANY_PORTS];
  await using program = await Program.start(["-c", "config.json", ...flags], { cwd: folder.path });
  const [proxy, admin] = [program.url, program.adminUrl].map((url) => url.slice("http://".length));
  assert(proxy !== undefined && admin !== undefined);
  for (const { command, output } of example.commands) {
    const real = backends.real(command).replaceAll("localhost:8080", proxy).replaceAll("localhost:8081", admin);
    const printed = backends.shown(await shell(real, folder.path)).replaceAll(proxy, "localhost:8080");
    assertEquals(withoutChance(printed), withoutChance(output), `$ ${command}`);
  }
  for (const [request, key] of example.requests) assertEquals(await routeOf(request, program), key, request);
}

for (const path of PAGES) {
  const page = readPage(path);
  const examples = examplesOf(page);
  for (const [index, example] of examples.entries()) {
    const title = /^\/\/ ([\w.-]+)/.exec(example.config)?.[1] ?? `number ${index + 1}`;
    Deno.test({
      name: `${path}: the configuration ${title} does what the page shows`,
      ignore: !COMMANDS.every(hasCommand),
      fn: () => run(example, page),
    });
  }
}
