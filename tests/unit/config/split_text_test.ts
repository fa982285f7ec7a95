import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { loadConfig } from "../../../src/config/load.ts";
import { ConfigPersistence } from "../../../src/config/persist.ts";
import { withWeights } from "../../../src/config/split_text.ts";
import { ConfigError } from "../../../src/errors.ts";

const env = (name: string) => name === "SHARE" ? "5" : undefined;

interface Place {
  readonly route?: string;
  readonly entry?: number;
}

function edit(text: string, weights: Record<string, number>, { route = "a/*", entry = 0 }: Place = {}): string {
  return withWeights(text, { kind: "split", route, entry, weights }, { env, source: "c.json" });
}

const COMMENTED = `{
  "routes": {
    "b/*": "api", // all of it
    "a/*": [
      { "when": { "method": "GET" }, "pool": "api" },
      {
        "pool": { "api": 95, /* the new one */ "api-v2": "\${SHARE}" }, // canary
        "stripPrefix": "/v1"
      }
    ]
  }
}
`;

Deno.test("withWeights() changes the weights that differ, and nothing beside them", () => {
  assertEquals(edit(COMMENTED, { api: 95, "api-v2": 5 }, { entry: 1 }), COMMENTED);
  assertEquals(edit(COMMENTED, { api: 50 }, { entry: 1 }), COMMENTED.replace("95", "50"));
  assertEquals(
    edit(COMMENTED, { api: 0, "api-v2": 100 }, { entry: 1 }),
    COMMENTED.replace("95", "0").replace('"${SHARE}"', "100"),
  );
  assertEquals(edit(COMMENTED, { c: 1 }, { entry: 1 }), COMMENTED.replace('"${SHARE}" }', '"${SHARE}", "c": 1 }'));
});

Deno.test("withWeights() makes a split of a pool alone, in each form of a route", () => {
  const weights = { api: 9, "api-v2": 1 };
  const split = '{ "api": 9, "api-v2": 1 }';
  assertEquals(
    edit(`{ "routes": { "a/*": "api" } } // x`, weights),
    `{ "routes": { "a/*": { "pool": ${split} } } } // x`,
  );
  assertEquals(edit(`{ "routes": { "a/*": ["api"] } }`, weights), `{ "routes": { "a/*": [{ "pool": ${split} }] } }`);
  assertEquals(
    edit(`{ "routes": { "a/*": { "pool": "api" } } }`, weights),
    `{ "routes": { "a/*": { "pool": ${split} } } }`,
  );
  assertEquals(edit(COMMENTED, weights), COMMENTED.replace('"pool": "api" }', `"pool": ${split} }`));
  assertEquals(edit(COMMENTED, { api: 1 }), COMMENTED);
  assertEquals(edit(COMMENTED, { api: 1 }, { route: "b/*" }), COMMENTED);
});

Deno.test("withWeights() refuses a file that has no such entry any more", () => {
  const refused = (text: string, place: Place, line: string) =>
    assertThrows(() => edit(text, { api: 1 }, place), ConfigError, `c.json: ${line}`);
  refused("{}", {}, 'routes["a/*"][0]: leads to no pool there');
  refused(COMMENTED, { entry: 2 }, 'routes["a/*"][2]: leads to no pool there');
  refused(COMMENTED, { route: "b/*", entry: 1 }, 'routes["b/*"][1]: leads to no pool there');
  refused(`{ "routes": { "a/*": { "respond": 404 } } }`, {}, 'routes["a/*"][0]: leads to no pool there');
  assertThrows(() => edit(`{ "routes": `, { api: 1 }), ConfigError, "c.json:1:13: want a value");
});

// Whatever stands around a split stays, and the file reads with the new weights.

const gap = fc.constantFrom("", " ", "\n  ", "/* , } */", "// }\n");
const weight = fc.integer({ min: 0, max: 1000 });
const sides = fc.record({ api: weight, "api-v2": weight }).filter(({ api, "api-v2": other }) => api + other > 0);

Deno.test("what withWeights() writes reads as the wanted weights, the rest of the file unchanged to the byte", () => {
  const gaps = fc.tuple(gap, gap, gap, gap);
  fc.assert(fc.property(sides, sides, gaps, fc.constantFrom("", ","), (was, is, [a, b, c, d], comma) => {
    const before = `{${a}"pools": { "api": {}, "api-v2": {} }, "routes": {${b}"a/x": [${c}{ "pool": `;
    const after = `${d}}${comma}] }${a}}`;
    const split = `{${a}"api":${b}${was.api}${c},${d}"api-v2": ${was["api-v2"]}${a}${comma}${b}}`;
    const text = edit(before + split + after, is, { route: "a/x" });
    assertEquals([text.slice(0, before.length), text.slice(-after.length)], [before, after]);
    const file = loadConfig({ path: "c.json", flags: {}, env, readFile: () => text, readStdin: () => "" });
    assertEquals(file.config.routes?.["a/x"]?.[0]?.pool, is);
    const comments = (text: string) => text.match(/\/\/[^\n]*|\/\*.*?\*\//g);
    assertEquals(comments(text), comments(before + split + after));
  }));
});

Deno.test("ConfigPersistence.save() keeps changes of a pool and of a split, one after the other", async () => {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, `{ "pools": { "p": {}, "q": {} }, /* where to */ "routes": { "*/*": "p" } }`);
    const persistence = new ConfigPersistence({ path, env });
    const spec = {
      url: "http://a",
      weight: 1,
      maxConnections: null,
      backup: false,
      tls: { ca: null, insecure: false, serverName: null, cert: null, key: null },
    };
    await Promise.all([
      persistence.save({ kind: "backends", pool: "p", change: { kind: "add", spec } }),
      persistence.save({ kind: "split", route: "*/*", entry: 0, weights: { p: 1, q: 2 } }),
      persistence.save({ kind: "backends", pool: "q", change: { kind: "replace", specs: [spec], drainMs: 0 } }),
      persistence.save({ kind: "backends", pool: "p", change: { kind: "remove", url: "http://a" } }),
    ]);
    assertEquals(
      await Deno.readTextFile(path),
      `{ "pools": { "p": { "backends": [] }, "q": { "backends": ["http://a"] } }, /* where to */ ` +
        `"routes": { "*/*": { "pool": { "p": 1, "q": 2 } } } }`,
    );
  } finally {
    await Deno.remove(path);
  }
});
