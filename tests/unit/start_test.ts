// What a start loads. The built file took 128 ms to its `ready` line, because every start loaded discovery, the cluster,
// both engines, the dashboard's files and a good part of `node:*`. Time itself can't be tested on a busy machine.

import { assert, assertEquals, assertMatch } from "@std/assert";

import { loadConfig } from "../../src/config/load.ts";
import { configSchema } from "../../src/config/schema.ts";
import { settingsOf, settingsRead } from "../../src/config/setting.ts";

const ROOT = new URL("../../", import.meta.url);

/** The part of `deno info --json` that is used here. */
interface Info {
  readonly modules: readonly {
    readonly specifier: string;
    readonly size?: number;
    readonly dependencies?: readonly {
      readonly code?: { readonly specifier: string };
      readonly isDynamic?: boolean;
    }[];
  }[];
}

const info: Info = JSON.parse(
  new TextDecoder().decode(
    new Deno.Command(Deno.execPath(), { args: ["info", "--json", "main.ts"], cwd: ROOT }).outputSync().stdout,
  ),
);
const modules = new Map(info.modules.map((module) => [module.specifier, module]));

/** The modules that are loaded with these: what they import, but for `import()` and types. */
function loadedWith(...files: readonly string[]): ReadonlySet<string> {
  const loaded = new Set<string>();
  const left = files.map((file) => new URL(file, ROOT).href);
  for (let name = left.pop(); name !== undefined; name = left.pop()) {
    if (loaded.has(name)) continue;
    loaded.add(name);
    for (const { code, isDynamic } of modules.get(name)?.dependencies ?? []) {
      if (code !== undefined && isDynamic !== true) left.push(code.specifier);
    }
  }
  return loaded;
}

/** A start without a file, with the default engine. */
const loaded = loadedWith("main.ts", "src/engines/fetch/server.ts");

Deno.test("a start loads no package and no module of the runtime that only some configurations need", () => {
  const names = [...loaded].flatMap((name) => {
    const [, npm] = /^npm:\/?((?:@[^/]+\/)?[^@/]+)@/.exec(name) ?? [];
    return npm !== undefined ? [npm] : name.startsWith("node:") ? [name] : [];
  });
  assertEquals([...new Set(names)].sort(), [
    "@logtape/logtape",
    "@noble/hashes",
    "deno-std",
    "hono",
    "ipaddr.js",
    "jsonc-parser",
    "node:buffer",
    "zod",
  ]);
});

Deno.test("a start loads no source, no store of replicas, no other engine, no command's own module and no file of the dashboard", () => {
  const own = [...loaded].filter((name) => name.startsWith(ROOT.href)).map((name) => name.slice(ROOT.href.length));
  assert(own.length > 100, "the graph is there");
  const rare = [
    /^src\/sources\/(dns|docker|etcd|kubernetes)\//,
    /^src\/cluster\/(cluster|store|redis_link)\.ts$/,
    /^src\/engines\/wire\/(client\/|server\.ts|wire_exchange\.ts)/,
    /^src\/cli\/(top\/|clients|help)/,
    /^src\/workers\/supervisor\.ts$/,
    /^src\/admin\/(metrics\.ts$|dashboard\/(?!paths\.ts$))/,
  ];
  assertEquals(own.filter((name) => rare.some((pattern) => pattern.test(name))), []);
  const bytes = [...loaded].reduce((sum, name) => sum + (modules.get(name)?.size ?? 0), 0);
  assert(bytes < MOST_BYTES, `${bytes} bytes: is all of it needed at each start? import() loads the rest later`);
});

/** Of our own source texts, with comments. A megabyte of them takes 20 ms of a start. */
const MOST_BYTES = 1_600_000;

Deno.test("a start makes no part of the schema that its configuration says nothing of", () => {
  // All of it took 25 ms of a start.
  const read = (config: object) => {
    loadConfig({ path: "-", flags: {}, env: () => undefined, readStdin: () => JSON.stringify(config) });
    return new Set(settingsRead(configSchema).map(({ path }) => path.join(".")));
  };
  const backends = ["http://127.0.0.1:9001"];
  const [little, more] = [read({ backends }), read({ backends, rateLimit: { requests: 1 } })];
  const all = settingsOf(configSchema).map(({ path }) => path.join("."));
  const later = all.filter((path) => !little.has(path));
  for (
    const rare of ["discover.", "cluster.", "rateLimit.", "auth.", "mirror.", "proxy.tls.", "pools.[].", "routes.[]."]
  ) {
    assertEquals(all.filter((path) => path.startsWith(rare) && !later.includes(path)), []);
    assert(later.some((path) => path.startsWith(rare)), `${rare}: there are such settings`);
  }
  assertEquals([...more].filter((path) => !little.has(path) && !path.startsWith("rateLimit.")), []);
  assert(more.has("rateLimit.requests"));
  assertEquals(
    new Set(settingsRead(configSchema).map(({ path }) => path.join("."))),
    new Set(all),
    "when all were asked for",
  );
});

Deno.test("the program runs when its modules are through", () => {
  // Called from the main module, each error of the start cost 6 ms, and all of them 40: the runtime read all modules again
  // to find out where in the source the call stands.
  const text = Deno.readTextFileSync(new URL("main.ts", ROOT));
  assertMatch(text, /\n {2}queueMicrotask\(async \(\) => \{\n[^}]+await main\(/);
});
