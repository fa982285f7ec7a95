import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import fc from "fast-check";
import { findNodeAtLocation, parseTree } from "jsonc-parser";
import { afterChange, type BackendChange, type FileChange } from "../../../src/config/backend_change.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { withBackends } from "../../../src/config/backend_text.ts";
import { ConfigPersistence, writeAtomically } from "../../../src/config/persist.ts";
import { type BackendSpec, backendSpecSchema } from "../../../src/config/schema.ts";
import { ConfigError } from "../../../src/errors.ts";

const VARIABLES: Readonly<Record<string, string>> = { HOST: "b", WEIGHT: "2", ORIGIN: "http://c:9001" };
const env = (name: string) => VARIABLES[name];

function edit(text: string, ...backends: readonly (string | Record<string, unknown>)[]): string {
  return withBackends(text, () => backends.map(spec), { env, source: "config.json" });
}

function spec(backend: string | Record<string, unknown>): BackendSpec {
  return backendSpecSchema.parse(typeof backend === "string" ? { url: backend } : backend);
}

/** What the loader makes of a file with this text; settings that are not supported yet are none of its business here. */
function reread(text: string): readonly BackendSpec[] {
  return loadConfig({ path: "config.json", flags: {}, env, readFile: () => text, readStdin: () => "" }).config.backends;
}

const COMMENTED = `// the front door
{
  "proxy": { "port": 8080 }, // public
  /* the pool */
  "backends": [ // in order of age
    // the old one
    "http://a", // in the cellar

    "http://\${HOST}:9001/", // by name
    { "url": "\${ORIGIN}", /* heavy */ "weight": "\${WEIGHT}" } // last
    // "http://d"
  ],
  "engine": "fetch"
}
`;

Deno.test("withBackends() leaves a file alone that says the same already", () => {
  assertEquals(edit(COMMENTED, "http://a", "http://b:9001", { url: "http://c:9001", weight: 2 }), COMMENTED);
  assertEquals(edit("{}"), "{}");
  assertEquals(edit(`\uFEFF{ "backends": ["http://A:80/",] }`, "http://a"), `\uFEFF{ "backends": ["http://A:80/",] }`);
});

Deno.test("withBackends() removes an entry with what is on its line, and no other comment", () => {
  assertEquals(
    edit(COMMENTED, "http://b:9001"),
    `// the front door
{
  "proxy": { "port": 8080 }, // public
  /* the pool */
  "backends": [ // in order of age
    // the old one

    "http://\${HOST}:9001/" // by name
    // "http://d"
  ],
  "engine": "fetch"
}
`,
  );
  assertEquals(edit(`{"backends":["http://a", "http://b"]}`, "http://b"), `{"backends":["http://b"]}`);
  assertEquals(edit(`{"backends":["http://a", "http://b",]}`, "http://a"), `{"backends":["http://a",]}`);
  assertEquals(edit(`{\n  "backends": [\n    "http://a",\n  ]\n}`), `{\n  "backends": []\n}`);
  assertEquals(
    edit(`{\n  "backends": [\n    // one\n    "http://a"\n  ]\n}`),
    `{\n  "backends": [\n    // one\n  ]\n}`,
  );
});

Deno.test("withBackends() adds a URL where that says everything, else an object", () => {
  assertEquals(
    edit(`{\n\t"backends": [\n\t\t"http://a" // first\n\t]\n}\n`, "http://a", "http://b", {
      url: "http://c",
      weight: 0,
      maxConnections: 5,
      backup: true,
      tls: { ca: "ca.pem" },
    }),
    `{\n\t"backends": [\n\t\t"http://a", // first\n\t\t"http://b",\n` +
      `\t\t{ "url": "http://c", "weight": 0, "maxConnections": 5, "backup": true, "tls": { "ca": "ca.pem" } }\n\t]\n}\n`,
  );
  assertEquals(edit(`{"backends":["http://a"]}`, "http://a", "http://b"), `{"backends":["http://a", "http://b"]}`);
});

Deno.test("withBackends() changes an entry field by field", () => {
  const entry = (text: string, wanted: Record<string, unknown>) => {
    const [before, after] = ['{ "backends": [', "] }"];
    const edited = edit(before + text + after, { url: "http://b", ...wanted });
    assertEquals([edited.startsWith(before), edited.endsWith(after)], [true, true]);
    return edited.slice(before.length, -after.length);
  };
  const cases: readonly (readonly [string, Record<string, unknown>, string])[] = [
    [`"http://\${HOST}/"`, { weight: 3 }, `{ "url": "http://\${HOST}/", "weight": 3 }`],
    [`{ "url": "http://b" }`, { backup: true }, `{ "url": "http://b", "backup": true }`],
    [`{"url":"http://b","weight":2}`, {}, `{"url":"http://b","weight":1}`],
    [`{"url": "http://b", "weight": /* ! */ "\${WEIGHT}"}`, { weight: 2 }, `SAME`],
    [
      `{"url": "http://b", "weight": /* ! */ "\${WEIGHT}"}`,
      { weight: 3 },
      `{"url": "http://b", "weight": /* ! */ 3}`,
    ],
    [`{ "maxConnections": 7, "url": "http://b", }`, {}, `{ "maxConnections": null, "url": "http://b", }`],
    [`{ "url": "http://b", "tls": {} }`, { tls: { ca: "x" } }, `{ "url": "http://b", "tls": { "ca": "x" } }`],
    [
      `{ "tls": { "ca": "x" /* own */ }, "url": "http://b" }`,
      { tls: { ca: "x", insecure: true }, weight: 0 },
      `{ "tls": { "ca": "x" /* own */, "insecure": true }, "url": "http://b", "weight": 0 }`,
    ],
    [
      `{\n    "url": "http://b" // b\n  }`,
      { maxConnections: 9 },
      `{\n    "url": "http://b", // b\n    "maxConnections": 9\n  }`,
    ],
  ];
  for (const [text, wanted, want] of cases) assertEquals(entry(text, wanted), want === "SAME" ? text : want);
});

Deno.test("withBackends() puts moved entries in the pool's order with what is beside them", () => {
  assertEquals(
    edit(
      `{\n  "backends": [\n    // one\n    "http://a", // a\n    "http://b" // b\n  ]\n}`,
      "http://b",
      "http://a",
    ),
    `{\n  "backends": [\n    "http://b", // b\n    // one\n    "http://a" // a\n  ]\n}`,
  );
});

Deno.test("withBackends() gives a file without backends a list that looks like the rest", () => {
  const cases = [
    ["{}", `{\n  "backends": [\n    "http://a"\n  ]\n}`],
    [`{"engine":"fetch"}`, `{"engine":"fetch", "backends": ["http://a"]}`],
    [
      `{\r\n\t"engine": "fetch" // as ever\r\n}\r\n`,
      `{\r\n\t"engine": "fetch", // as ever\r\n\t"backends": [\r\n\t\t"http://a"\r\n\t]\r\n}\r\n`,
    ],
    [
      `{\n    "backends": [],\n    "log": {}\n}`,
      `{\n    "backends": [\n        "http://a"\n    ],\n    "log": {}\n}`,
    ],
    [`{\n  "backends": [ // none\n  ]\n}`, `{\n  "backends": [ // none\n    "http://a"\n  ]\n}`],
  ] as const;
  for (const [before, after] of cases) assertEquals(edit(before, "http://a"), after);
});

Deno.test("withBackends() never lets an entry end up in a comment", () => {
  const texts = [
    `{ "backends": ["http://a", // a\n "http://b"] }`,
    `{ "backends": ["http://a" // a\n, "http://b" // b\n] }`,
    `{ "backends": [ // all\n "http://a", "http://b"] }`,
  ];
  for (const text of texts) {
    for (const urls of [["http://a"], ["http://b"], ["http://b", "http://a"], ["http://b", "http://c"]]) {
      assertEquals(reread(edit(text, ...urls)), urls.map(spec), text);
    }
  }
});

Deno.test("withBackends() refuses a file whose backends it can't read, and no other", () => {
  const cases = [
    ["{", /^config\.json:1:2: want a closing/],
    ["[]", /^config\.json: want an object$/],
    [`{ "backends": "http://a" }`, /^config\.json: backends: got "http:\/\/a", want a list$/],
    [`{ "backends": ["a"] }`, /^config\.json: backends\[0\]: got "a", want /],
    [`{ "backends": ["http://\${NOBODY}"] }`, /^config\.json: backends\[0\]: environment variable NOBODY is not set$/],
    [`{ "backends": [], "backends": [] }`, /^config\.json: backends: given twice/],
    [`{ "backends": [{ "url": "http://a", "wieght": 2 }] }`, /wieght: unknown setting, did you mean "weight"/],
  ] as const;
  for (const [text, message] of cases) {
    const { lines } = assertThrows(() => edit(text, "http://a"), ConfigError);
    assertEquals([lines.length, message.test(lines[0] ?? "")], [1, true], lines.join());
  }
  assertEquals(edit(`{ "port": "\${NOBODY}", "backends": [] }`), `{ "port": "\${NOBODY}", "backends": [] }`);
});

Deno.test("withBackends() refuses text that would become a reference", () => {
  const wanted = { url: "http://a", tls: { ca: "a${HOST}" } };
  assertThrows(() => edit("{}", wanted), ConfigError, `backends: can't hold "a\${HOST}"`);
});

// Files as people write them: lists on one line or on many, comments wherever they may be, trailing commas.

const NAMES = ["a", "b", "c", "d", "e"] as const;

const backend = (name: string): fc.Arbitrary<BackendSpec> =>
  fc.record({
    url: fc.constant(`http://${name}:9001`),
    weight: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 256 })),
    maxConnections: fc.option(fc.integer({ min: 1, max: 1000 })),
    backup: fc.boolean(),
    tls: fc.constant({ ca: null, insecure: false, serverName: null, cert: null, key: null }),
  });

const pool = fc.shuffledSubarray([...NAMES]).chain((names) => fc.tuple(...names.map(backend)));

const gap = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("", " ", "\n    ", "\r\n\t", "\n\n") },
    fc.nat({ max: 99 }).chain((n) => fc.constantFrom(`// ${n}, "x"]\n`, `/* ${n} // ] */`, `/* ${n}\n, */`)),
  ),
  { maxLength: 3 },
).map((pieces) => pieces.join(""));

/** A URL as it may be written: itself, in capitals, or with a variable. */
const url = (name: string) =>
  fc.constantFrom(`http://${name}:9001`, `HTTP://${name.toUpperCase()}:9001/`, ...SPELLINGS[name] ?? []);
const SPELLINGS: Readonly<Record<string, readonly string[]>> = { b: ["http://${HOST}:9001"], c: ["${ORIGIN}"] };

const property = (key: string, value: fc.Arbitrary<string>) =>
  fc.tuple(gap, gap, gap, value, gap)
    .map(([one, two, three, text, four]) => `${one}"${key}"${two}:${three}${text}${four}`);

function listed(parts: readonly string[], trailing: string): string {
  return parts.join(",") + (parts.length > 0 ? trailing : "");
}

const trailingComma = fc.constantFrom("", ",");

const entry = (name: string) =>
  fc.tuple(
    gap,
    fc.oneof(
      url(name).map((text) => JSON.stringify(text)),
      fc.tuple(
        property("url", url(name).map((text) => JSON.stringify(text))),
        fc.subarray([
          property("weight", fc.constantFrom("1", "7", '"${WEIGHT}"')),
          property("maxConnections", fc.constantFrom("null", "3")),
          property("backup", fc.constantFrom("true", "false")),
          property("tls", gap.map((text) => `{${text}}`)),
        ]).chain((properties) => fc.tuple(...properties)),
        trailingComma,
        gap,
      ).map(([first, more, comma, end]) => `{${listed([first, ...more], comma)}${end}}`),
    ),
    gap,
  ).map((parts) => parts.join(""));

const list = fc.shuffledSubarray([...NAMES]).chain((names) =>
  fc.tuple(fc.tuple(...names.map(entry)), trailingComma, gap)
    .map(([entries, comma, end]) => `[${listed(entries, comma)}${end}]`)
);

/** A file in three parts, the list in the middle; all but the list is to stay. */
const file = fc.tuple(gap, gap, gap, list, gap, gap, gap).map(([one, two, three, text, four, five, six]) => ({
  before: `${one}{${two}"strategy":${three}"random",${two}"backends":${one}`,
  list: text,
  after: `${four},${five}"engine": /*e*/ "fetch"${six}}${one}`,
}));

Deno.test("what withBackends() writes reads as the pool, the rest of the file unchanged to the byte", () => {
  fc.assert(
    fc.property(file, fc.array(pool, { minLength: 1, maxLength: 3 }), ({ before, list, after }, pools) => {
      let text = before + list + after;
      for (const backends of pools) {
        text = withBackends(text, () => backends, { env });
        assertEquals(reread(text), backends);
        assertEquals([text.slice(0, before.length), text.slice(-after.length)], [before, after]);
      }
    }),
    { numRuns: 400 },
  );
});

Deno.test("withBackends() changes nothing when the pool is what the file says", () => {
  fc.assert(
    fc.property(file, ({ before, list, after }) => {
      const text = before + list + after;
      assertEquals(withBackends(text, (written) => written, { env }), text);
    }),
  );
});

Deno.test("withBackends() keeps the text of unchanged entries when others come, go and change", () => {
  fc.assert(
    fc.property(file, pool, fc.subarray([...NAMES]), ({ before, list, after }, others, names) => {
      const text = before + list + after;
      const same = reread(text).filter(({ url }) => names.some((name) => url === `http://${name}:9001`));
      const rest = others.filter(({ url }) => !same.some((kept) => kept.url === url));
      const edited = withBackends(text, () => [...rest, ...same], { env });
      const [texts, written] = [entryTexts(edited), entryTexts(text)];
      for (const { url } of same) assertEquals(texts.get(url), written.get(url));
    }),
  );
});

Deno.test("withBackends() keeps every comment in its order when backends change and are added", () => {
  fc.assert(
    fc.property(file, pool, ({ before, list, after }, others) => {
      const text = before + list + after;
      const held = reread(text);
      const changed = held.map((one) => others.find(({ url }) => url === one.url) ?? one);
      const added = others.filter(({ url }) => !held.some((one) => one.url === url));
      assertEquals(commentsOf(withBackends(text, () => [...changed, ...added], { env })), commentsOf(text));
    }),
  );
});

// A pool's list is edited as the one of the top level is: what holds for a file holds for a file in place of a pool.

const inPool = ({ before, list, after }: { before: string; list: string; after: string }) => {
  const [open, close] = [`{ /* 0 */ "backends": ["http://own"], "pools": { "x": {}, "p": `, ` } } // end`];
  return { before: open + before, list, after: after + close };
};

Deno.test("what withBackends() writes for a pool reads as its backends, the rest unchanged to the byte", () => {
  fc.assert(
    fc.property(file.map(inPool), pool, ({ before, list, after }, backends) => {
      const written = before + list + after;
      const text = withBackends(written, () => backends, { env, pool: "p" });
      assertEquals([text.slice(0, before.length), text.slice(-after.length)], [before, after]);
      withBackends(text, (reread) => {
        assertEquals(reread, backends);
        return reread;
      }, { env, pool: "p" });
      assertEquals(withBackends(written, (same) => same, { env, pool: "p" }), written);
    }),
  );
});

Deno.test("withBackends() gives a pool without backends a list, on its line or on lines as the pool has", () => {
  const added = (text: string) => withBackends(text, () => ["http://a", "http://b"].map(spec), { env, pool: "p" });
  assertEquals(added(`{ "pools": { "p": {} } }`), `{ "pools": { "p": { "backends": ["http://a", "http://b"] } } }`);
  assertEquals(
    added(`{\n  "pools": {\n    "p": { "strategy": "random" } // fast\n  }\n}\n`),
    `{\n  "pools": {\n    "p": { "strategy": "random", "backends": ["http://a", "http://b"] } // fast\n  }\n}\n`,
  );
  assertEquals(
    added(`{\n  "pools": {\n    "p": {\n      "strategy": "random" // fast\n    }\n  }\n}\n`),
    `{\n  "pools": {\n    "p": {\n      "strategy": "random", // fast\n      "backends": [\n        "http://a",\n` +
      `        "http://b"\n      ]\n    }\n  }\n}\n`,
  );
});

Deno.test("withBackends() refuses a pool that the file does not have, or whose backends it can't read", () => {
  const refused = (text: string, line: string) =>
    assertThrows(
      () => withBackends(text, () => [spec("http://a")], { env, source: "c.json", pool: "p" }),
      ConfigError,
      line,
    );
  refused("{}", "c.json: pools.p: is no pool there");
  refused(`{ "pools": { "q": {} } }`, "c.json: pools.p: is no pool there");
  refused(`{ "pools": { "p": { "backends": ["ftp://x"] } } }`, "c.json: pools.p.backends[0]: got");
  refused(
    `{ "pools": { "p": { "backends": ["http://a", "http://a/"] } } }`,
    "c.json: pools.p.backends[1]: same backend as pools.p.backends[0] (http://a)",
  );
  refused(`{ "pools": { "p": {}, "p": {} } }`, "c.json: pools.p: given twice, again at c.json:1:23");
});

/** The entries of a file's list as they are written, by the URL that each means. */
function entryTexts(text: string): ReadonlyMap<string, string> {
  const root = parseTree(text, [], { allowTrailingComma: true });
  const nodes = root === undefined ? [] : findNodeAtLocation(root, ["backends"])?.children ?? [];
  const urls = reread(text).map(({ url }) => url);
  assertEquals(nodes.length, urls.length);
  return new Map(nodes.map(({ offset, length }, index) => [urls[index] ?? "", text.slice(offset, offset + length)]));
}

function commentsOf(text: string): readonly string[] {
  return (text.match(/"(?:[^"\\]|\\.)*"|\/\/[^\r\n]*|\/\*[^]*?\*\//g) ?? []).filter((match) => match.startsWith("/"));
}

/** Runs with a directory of its own. */
async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await run(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function namesIn(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
}

Deno.test("writeAtomically() replaces the content, keeps the mode and leaves nothing beside it", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    await Deno.writeTextFile(path, "a much longer old content");
    await Deno.chmod(path, 0o640);
    using old = await Deno.open(path);
    assertEquals(await writeAtomically(path, "a much longer old content", "néw"), true);
    assertEquals(await Deno.readTextFile(path), "néw");
    assertEquals(((await Deno.stat(path)).mode ?? 0) & 0o7777, 0o640);
    assertEquals(namesIn(directory), ["config.json"]);
    // Who had it open reads on in the old one: it was not written over.
    assertEquals((await old.stat()).size, 25);
  }));

Deno.test("writeAtomically() follows a symbolic link and leaves it one", () =>
  inDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/real`);
    await Deno.writeTextFile(`${directory}/real/config.json`, "old");
    await Deno.symlink("real/config.json", `${directory}/link.json`);
    await writeAtomically(`${directory}/link.json`, "old", "new");
    assertEquals((await Deno.lstat(`${directory}/link.json`)).isSymlink, true);
    assertEquals(await Deno.readTextFile(`${directory}/real/config.json`), "new");
    assertEquals([namesIn(directory), namesIn(`${directory}/real`)], [["link.json", "real"], ["config.json"]]);
  }));

Deno.test("writeAtomically() says why it could not, and removes the temporary file", () =>
  inDirectory(async (directory) => {
    const missing = `${directory}/none.json`;
    await assertRejects(
      () => writeAtomically(missing, "", ""),
      ConfigError,
      `${missing}: can't be written: no such file`,
    );
    const folder = `${directory}/folder.json`;
    await Deno.mkdir(folder);
    await assertRejects(() => writeAtomically(folder, "", "{}"), ConfigError, `${folder}: can't be read: `);
    assertEquals(namesIn(directory), ["folder.json"]);
  }));

Deno.test("writeAtomically() leaves a file alone that holds something else by now", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    await Deno.writeTextFile(path, "\uFEFFedited");
    for (const before of ["edited", "old"]) assertEquals(await writeAtomically(path, before, "new"), false);
    assertEquals([await Deno.readTextFile(path), namesIn(directory)], ["\uFEFFedited", ["config.json"]]);
  }));

const inDefault = (change: BackendChange): FileChange => ({ kind: "backends", pool: "default", change });
const add = (backend: string | Record<string, unknown>) => inDefault({ kind: "add", spec: spec(backend) });

Deno.test("ConfigPersistence.save() saves in the order of the calls", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    await Deno.writeTextFile(path, `{ "backends": [] } // mine\n`);
    const persistence = new ConfigPersistence({ path, env });
    await Promise.all([persistence.save(add("http://a")), persistence.save(add({ url: "http://b", weight: 2 }))]);
    const text = await Deno.readTextFile(path);
    assertEquals(text, `{ "backends": ["http://a", { "url": "http://b", "weight": 2 }] } // mine\n`);
    await persistence.save(inDefault({ kind: "remove", url: "http://b" }));
    await Promise.all(Array.from({ length: 20 }, (_, weight) =>
      persistence.save(inDefault({ kind: "change", url: "http://a", fields: { weight } }))));
    assertEquals(reread(await Deno.readTextFile(path)), [spec({ url: "http://a", weight: 19 })]);
    assertEquals(namesIn(directory), ["config.json"]);
  }));

Deno.test("ConfigPersistence.save() keeps what was edited meanwhile, and goes on after a failure", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    const persistence = new ConfigPersistence({ path, env });
    await assertRejects(() => persistence.save(add("http://a")), ConfigError, `${path}: can't be read: no such file`);
    await Deno.writeFile(path, new Uint8Array([0x7b, 0x7d, 0x2f, 0x2f, 0xe4]));
    await assertRejects(() => persistence.save(add("http://a")), ConfigError, "it is not UTF-8");
    await Deno.writeTextFile(path, `{ "backends": `);
    await assertRejects(() => persistence.save(add("http://a")), ConfigError, `${path}:1:`);
    assertEquals(await Deno.readTextFile(path), `{ "backends": `);
    await Deno.writeTextFile(path, `\uFEFF{ "engine": "fetch" /* edited */ }`);
    await persistence.save(add("http://a"));
    assertStringIncludes(await Deno.readTextFile(path), `{ "engine": "fetch" /* edited */, "backends": ["http://a"] }`);
    assertEquals((await Deno.readFile(path))[0], 0xef);
  }));

// The operator's edit of the list that was not read again yet was overwritten with what the pool held.
Deno.test("ConfigPersistence.save() makes its change in the list that the operator has edited", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    const persistence = new ConfigPersistence({ path, env });
    const after = async (text: string, change: FileChange) => {
      await Deno.writeTextFile(path, text);
      await persistence.save(change);
      return await Deno.readTextFile(path);
    };
    const edited = `{ "backends": ["http://new", /* b */ { "url": "http://\${HOST}", "weight": 9 }, "http://a/"] }`;
    assertEquals(await after(edited, add("http://c")), edited.replace(`a/"`, `a/", "http://c"`));
    assertEquals(
      await after(edited, inDefault({ kind: "change", url: "http://b", fields: { maxConnections: 5 } })),
      edited.replace("9", `9, "maxConnections": 5`),
    );
    assertEquals(
      await after(edited, inDefault({ kind: "remove", url: "http://a" })),
      edited.replace(`, "http://a/"`, ""),
    );
    // Added by the operator as well: it is as the API was told, but for what the API can't say.
    const own = `{ "backends": [{ "url": "http://b", "tls": { "ca": "x" }, "weight": 9 }] }`;
    assertEquals(await after(own, add({ url: "http://b", weight: 3 })), own.replace("9", "3"));
    // Removed by the operator: it stays so.
    assertEquals(await after(edited, inDefault({ kind: "change", url: "http://gone", fields: { weight: 5 } })), edited);
    assertEquals(await after(edited, inDefault({ kind: "remove", url: "http://gone" })), edited);
  }));

Deno.test("ConfigPersistence.save() replaces the whole list, and keeps the entries that stay with their comments", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    await Deno.writeTextFile(
      path,
      `{ "backends": ["http://a", /* b */ { "url": "http://\${HOST}", "weight": 9 }] } // end`,
    );
    const specs = [spec("http://c"), spec({ url: "http://b", weight: 2 })];
    await new ConfigPersistence({ path, env }).save(inDefault({ kind: "replace", specs, drainMs: 0 }));
    assertEquals(
      await Deno.readTextFile(path),
      `{ "backends": ["http://c", /* b */ { "url": "http://\${HOST}", "weight": 2 }] } // end`,
    );
  }));

type ChangeOfOne = Exclude<BackendChange, { readonly kind: "replace" }>;

Deno.test("ConfigPersistence.save() keeps any edit of the list and makes no other change than its own", () => {
  const change = fc.oneof(
    backend("a").map((spec): ChangeOfOne => ({ kind: "add", spec })),
    fc.record({ weight: fc.nat(9) }).map((fields): ChangeOfOne => ({ kind: "change", url: "http://a:9001", fields })),
    fc.constant<ChangeOfOne>({ kind: "remove", url: "http://a:9001" }),
  );
  fc.assert(fc.property(file, change, ({ before, list, after }, change) => {
    const text = before + list + after;
    const edited = withBackends(text, (written) => afterChange(written, change), { env });
    const others = (text: string) => [...entryTexts(text)].filter(([url]) => url !== "http://a:9001");
    assertEquals(others(edited), others(text));
    assertEquals(
      reread(edited).some(({ url }) => url === "http://a:9001"),
      {
        add: true,
        change: entryTexts(text).has("http://a:9001"),
        remove: false,
      }[change.kind],
    );
  }));
});

Deno.test("ConfigPersistence.save() refuses an edited list with one backend twice, and one without room", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    const persistence = new ConfigPersistence({ path, source: "config.json", env });
    const twice = `{ "backends": ["http://a", "http://b", "HTTP://A:80/"] }`;
    await Deno.writeTextFile(path, twice);
    const line = "config.json: backends[2]: same backend as backends[0] (http://a)";
    await assertRejects(() => persistence.save(add("http://c")), ConfigError, line);
    await assertRejects(() => persistence.save(inDefault({ kind: "remove", url: "http://b" })), ConfigError, line);
    assertEquals(await Deno.readTextFile(path), twice);
    const full = JSON.stringify({ backends: Array.from({ length: 4096 }, (_, index) => `http://b-${index}`) });
    await Deno.writeTextFile(path, full);
    await assertRejects(() => persistence.save(add("http://c")), ConfigError, "backends: at most 4096 backends");
    assertEquals(await Deno.readTextFile(path), full);
  }));

// Between reading the file and renaming the new one over it lies a write to the disk: who saved meanwhile lost that.
Deno.test("ConfigPersistence.save() begins anew when the file is saved by somebody else meanwhile", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    let edits = ["http://\${HOST}/one", "http://\${HOST}/two"];
    const told: string[] = [];
    const persistence = new ConfigPersistence({
      path,
      env(name) {
        const edit = edits.shift();
        if (edit !== undefined) Deno.writeTextFileSync(path, JSON.stringify({ backends: [edit] }));
        return VARIABLES[name];
      },
      wrote: (before, after) => told.push(before, after),
    });
    await Deno.writeTextFile(path, `{"backends":["http://\${HOST}"]}`);
    await persistence.save(add("http://a"));
    const [before, after] = [
      `{"backends":["http://\${HOST}/two"]}`,
      `{"backends":["http://\${HOST}/two", "http://a"]}`,
    ];
    assertEquals([told, await Deno.readTextFile(path)], [[before, after], after]);
    edits = Array.from({ length: 99 }, (_, index) => `http://\${HOST}/${index}`);
    const refusal = "another program keeps changing it";
    await assertRejects(() => persistence.save(add("http://c")), ConfigError, refusal);
    assertEquals(await Deno.readTextFile(path), `{"backends":["http://\${HOST}/4"]}`);
    assertEquals(namesIn(directory), ["config.json"]);
  }));

Deno.test("ConfigPersistence.save() leaves a file untouched that says the same already", () =>
  inDirectory(async (directory) => {
    const path = `${directory}/config.json`;
    await Deno.writeTextFile(path, `{ "backends": ["http://a/"] }`);
    const { ino } = await Deno.stat(path);
    await new ConfigPersistence({ path, env }).save(add("http://a"));
    assertEquals((await Deno.stat(path)).ino, ino);
  }));
