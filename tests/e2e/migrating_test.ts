// docs/migrating.md: each set-up does the same in every proxy that is installed here, and in ours.

import { assert, assertEquals } from "@std/assert";
import { configSchema } from "../../src/config/schema.ts";
import { TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";
import { hasCommand } from "../support/has_command.ts";
import { waitFor } from "../support/wait.ts";

const WHOLE = await Deno.readTextFile(new URL("../../docs/migrating.md", import.meta.url));

/** The set-ups, and the table after them. */
const [PAGE = "", TABLE = ""] = WHOLE.split("\n## Settings side by side\n");

/** The blocks of each section, by language. */
const SECTIONS: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map(
  PAGE.split(/^## /m).slice(1).map((section) => {
    const blocks = section.matchAll(/^```(\w+)\n(.*?)^```$/gms);
    return [
      section.slice(0, section.indexOf("\n")),
      new Map(Array.from(blocks, ([, language = "", text = ""]) => [language, text])),
    ];
  }),
);

/** Asks the proxy for a path; the answer of a backend tells what it got. */
type Ask = (path: string, headers?: Record<string, string>) => Promise<Answer>;

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: { readonly name?: string; readonly path?: string; readonly env?: string | null };
}

/** What each set-up must do, by the title of its section. */
const CASES: Readonly<Record<string, (ask: Ask) => Promise<void>>> = {
  "Backends in turn": async (ask) => assertEquals(await counts(ask, 8), { one: 4, two: 4 }),
  "Weights": async (ask) => assertEquals(await counts(ask, 16), { one: 12, two: 4 }),
  "A backend that is down": async (ask) => assertEquals(await counts(ask, 8), { one: 8 }),
  "Sessions": async (ask) => {
    const first = await ask("/");
    const cookie = first.headers.getSetCookie().map((line) => line.split(";")[0]).join("; ");
    for (let request = 0; request < 6; request++) {
      assertEquals((await ask("/", cookie === "" ? {} : { cookie })).body.name, first.body.name);
    }
  },
  "A path of its own": async (ask) => {
    assertEquals(pick(await ask("/api/users?a=b")), ["two", "/users?a=b"]);
    assertEquals(pick(await ask("/users")), ["one", "/users"]);
    assertEquals(pick(await ask("/apix")), ["one", "/apix"]);
  },
  "Two hosts": async (ask) => {
    assertEquals((await ask("/", { host: "a.example" })).body.name, "one");
    assertEquals((await ask("/", { host: "b.example" })).body.name, "two");
  },
  "A redirect": async (ask) => {
    const { status, headers } = await ask("/a/b?c=d");
    assertEquals([status, headers.get("location")], [308, "https://www.example.com/a/b?c=d"]);
  },
  "Headers": async (ask) => {
    const { body, headers } = await ask("/");
    assertEquals([body.env, headers.get("x-powered-by")], ["prod", null]);
  },
  "A password": async (ask) => {
    const authorization = (credentials: string) => ({ authorization: `Basic ${btoa(credentials)}` });
    const { status, headers } = await ask("/");
    assertEquals([status, headers.get("www-authenticate")?.startsWith('Basic realm="team"')], [401, true]);
    assertEquals((await ask("/", authorization("grace:battery"))).status, 401);
    assertEquals((await ask("/", authorization("grace:battery-staple"))).body.name, "one");
  },
};

function pick({ body }: Answer) {
  return [body.name, body.path];
}

async function counts(ask: Ask, requests: number): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (let request = 0; request < requests; request++) {
    const { status, body } = await ask("/");
    assertEquals(status, 200);
    found[String(body.name)] = (found[String(body.name)] ?? 0) + 1;
  }
  return found;
}

/** How a proxy is started with a file of the page. */
interface Starter {
  readonly program: string;
  /** The whole file, from a block of the page. */
  readonly file: (block: string, directory: string) => string;
  readonly args: (file: string, directory: string) => readonly string[];
}

const STARTERS: Readonly<Record<string, Starter>> = {
  haproxy: {
    program: "haproxy",
    file: (block) =>
      `defaults\n  mode http\n  timeout connect 2s\n  timeout client 10s\n  timeout server 10s\n${block}`,
    args: (file) => ["-db", "-f", file],
  },
  nginx: {
    program: "nginx",
    file: (block, directory) => {
      // The page says in a comment what stands in another file.
      for (const [, name, text] of block.matchAll(/^# (\S+): (\S+)$/gm)) {
        Deno.writeTextFileSync(`${directory}/${name}`, `${text}\n`);
      }
      const folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) =>
        `${name}_temp_path ${directory}/${name};`
      );
      return `daemon off; user root; worker_processes 1; error_log ${directory}/error.log; pid ${directory}/pid;
        events {} http { access_log off; ${folders.join(" ")}\n${block}\n}`;
    },
    args: (file, directory) => ["-p", directory, "-c", file],
  },
  caddy: {
    program: "caddy",
    file: (block) => `{\n  admin off\n  auto_https off\n}\n${block}`,
    args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
  },
};

/** `text` with the ports of this test in place of those of the page. */
function withPorts(text: string, port: number, backends: readonly number[]): string {
  return text.replaceAll(/\b900([123])\b/g, (_, number) => String(backends[Number(number) - 1]))
    .replaceAll(/\b8080\b/g, String(port));
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

function asker(port: number, client: Deno.HttpClient): Ask {
  return async (path, headers = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers, redirect: "manual", client });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text.startsWith("{") ? JSON.parse(text) : {} };
  };
}

/** A backend at 127.0.0.1 that says what it got. */
function backend(name: string): HttpBackend {
  return new HttpBackend(
    ({ url, headers }) => {
      const { pathname, search } = new URL(url);
      const body = { name, path: pathname + search, env: headers.get("x-env") };
      return new Response(JSON.stringify(body), { headers: { "x-powered-by": "test" } });
    },
    0,
    "127.0.0.1",
  );
}

async function check(title: string, language: string, port: number): Promise<void> {
  using client = Deno.createHttpClient({ allowHost: true });
  try {
    await CASES[title]?.(asker(port, client));
  } catch (error) {
    throw new Error(`${title}, ${language}`, { cause: error });
  }
}

Deno.test("the page on migrating has the nine set-ups in all five words", () => {
  assertEquals([...SECTIONS.keys()], Object.keys(CASES));
  for (const blocks of SECTIONS.values()) {
    assertEquals([...blocks.keys()], ["haproxy", "nginx", "caddy", "traefik", "jsonc"]);
  }
});

Deno.test("the page on migrating: the settings in the table are valid", () => {
  const cells = TABLE.split("\n").flatMap((line) => /\| `("(?:[^`])*)` \|$/.exec(line)?.[1] ?? []);
  assertEquals(cells.length, 12);
  const others = { backends: ["http://127.0.0.1:9001"], pools: { next: { backends: ["http://127.0.0.1:9002"] } } };
  for (const cell of cells) {
    const { success, error } = configSchema.safeParse({ ...others, ...JSON.parse(`{${cell}}`) });
    assert(success, `${cell}: ${error}`);
  }
});

for (const [language, { program, file, args }] of Object.entries(STARTERS)) {
  Deno.test({
    name: `the page on migrating: ${language} does what the page says`,
    ignore: !hasCommand(program),
    fn: async () => {
      await using one = backend("one");
      await using two = backend("two");
      const ports = [one.port, two.port, freePort()];
      for (const [title, blocks] of SECTIONS) {
        using directory = new TemporaryDirectory();
        const port = freePort();
        const text = file(withPorts(blocks.get(language) ?? "", port, ports), directory.path);
        const path = directory.write("file.conf", text);
        const env = { HOME: directory.path, XDG_DATA_HOME: directory.path, XDG_CONFIG_HOME: directory.path };
        const child = new Deno.Command(program, {
          args: [...args(path, directory.path)],
          env,
          stdin: "null",
          stdout: "null",
          stderr: "null",
        }).spawn();
        try {
          const answers = () => Deno.connect({ port }).then((connection) => (connection.close(), true), () => false);
          await waitFor(answers, { what: `${language} for "${title}"`, timeoutMs: 20_000 });
          await check(title, language, port);
        } finally {
          child.kill("SIGTERM");
          await child.status;
        }
      }
    },
  });
}

Deno.test("the page on migrating: roundhouse does what the page says", async () => {
  await using one = backend("one");
  await using two = backend("two");
  const ports = [one.port, two.port, freePort()];
  for (const [title, blocks] of SECTIONS) {
    using directory = new TemporaryDirectory();
    const path = directory.write("config.json", withPorts(blocks.get("jsonc") ?? "", 0, ports));
    await using program = await Program.start(["-c", path, "--host", "127.0.0.1", "-p", "0", "--admin-port", "0"]);
    await check(title, "roundhouse", Number(new URL(program.url).port));
    assert(!program.log.some(({ level }) => level === "error"), JSON.stringify(program.log));
  }
});
