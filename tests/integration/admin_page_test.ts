// The examples of docs/admin-api.md about deployments, pools and routes: each command is run, and its output compared.

import { assert, assertEquals } from "@std/assert";
import type { ConfigFile } from "../../src/config/schema.ts";
import { hasCommand } from "../support/has_command.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { blocksOf, type Command, commandsOf, readPage } from "../support/page.ts";
import { TestProxy } from "../support/proxy.ts";

const PAGE = readPage("docs/admin-api.md");

/** The commands that a section shows. */
function examplesOf(heading: string): readonly Command[] {
  const start = PAGE.indexOf(`\n### ${heading}\n`);
  assert(start !== -1, `there is no section ${heading}`);
  const section = PAGE.slice(start, PAGE.indexOf("\n### ", start + 1));
  return blocksOf(section).filter(({ kind }) => kind === "console").flatMap(({ text }) => commandsOf(text));
}

/** Replaces what differs from run to run: ids and figures. */
function withoutFigures(output: string): string {
  return output
    .replace(/"b-[0-9a-f]{12}"/g, '"b-…"')
    .replace(/"latencyMs":(?:null|\{[^}]*\})/g, '"latencyMs":…')
    .replace(/"responses":\{[^}]*\}/g, '"responses":…')
    .replace(/"requests":\d+/g, '"requests":…');
}

/** What the examples say of the backends at these ports. */
const PORTS = [9001, 9002, 9003, 9004] as const;

/** The configuration of the examples. */
const SETTINGS: ConfigFile = {
  backends: ["http://127.0.0.1:9001", "http://127.0.0.1:9002"],
  health: { type: "http", path: "/up" },
  pools: {
    api: { backends: ["http://127.0.0.1:9002"], strategy: "least-latency" },
    "api-v2": { backends: ["http://127.0.0.1:9003"] },
  },
  routes: {
    "www.example.com/*": { redirect: "https://example.com{uri}" },
    "api.example.com/v1/*": [
      { name: "beta", when: { header: { "X-Beta": "1" } }, pool: "api-v2" },
      {
        pool: { api: 95, "api-v2": 5 },
        splitBy: "header:X-User",
        stripPrefix: "/v1",
        timeouts: { response: "5s" },
      },
    ],
    "*/*": "default",
  },
};

async function run(command: string): Promise<string> {
  const { stdout, stderr } = await new Deno.Command("bash", { args: ["-c", command] }).output();
  assertEquals(new TextDecoder().decode(stderr), "", command);
  return new TextDecoder().decode(stdout);
}

const hasTools = ["bash", "curl", "jq"].every(hasCommand);

for (
  const heading of [
    "`PUT /backends`",
    "`GET /pools`, `GET /pools/{pool}`",
    "`/pools/{pool}/backends`, `/pools/{pool}/backends/{id}`",
    "`GET /routes`",
    "`PATCH /routes`",
  ]
) {
  Deno.test(`the examples of ${heading} in docs/admin-api.md are what happens`, { ignore: !hasTools }, async () => {
    await checkExamples(examplesOf(heading));
  });
}

Deno.test("the examples of `GET /explain` with a URL are what happens", { ignore: !hasTools }, async () => {
  await checkExamples(examplesOf("`GET /explain`").filter(({ command }) => command.includes("url=")));
});

async function checkExamples(examples: readonly Command[]): Promise<void> {
  assert(examples.length > 0);
  await using stack = new AsyncDisposableStack();
  // The one at port 9004 is broken.
  const backends = PORTS.map((port) =>
    stack.use(new HttpBackend(() => new Response(null, { status: port === 9004 ? 503 : 200 })))
  );
  const urls = backends.map(({ url }, index) => [`http://127.0.0.1:${PORTS[index]}`, url] as const);
  const real = (text: string) => urls.reduce((text, [shown, url]) => text.replaceAll(shown, url), text);
  const shown = (text: string) => urls.reduce((text, [shown, url]) => text.replaceAll(url, shown), text);
  const proxy = stack.use(await TestProxy.start(JSON.parse(real(JSON.stringify(SETTINGS)))));
  for (const { command, output } of examples) {
    const admin = new URL(proxy.adminUrl).host;
    const got = await run(real(command).replaceAll("localhost:8081", admin));
    assertEquals(withoutFigures(shown(got)).trimEnd(), withoutFigures(output).trimEnd(), command);
  }
}
