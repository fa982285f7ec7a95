// admin.persist: changes made through the API outlive the program, and the file is always whole.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "jsonc-parser";
import { HttpBackend } from "../support/http_backend.ts";
import { Program } from "../support/program.ts";

const FILE = `{
  // a comment to keep
  "proxy": { "host": "127.0.0.1", "port": 0 },
  "admin": { "port": 0, "persist": true, "token": "\${TOKEN}" },
  "health": { "type": "none" },
  "backends": [
    "http://127.0.0.1:9001", // the first
    { "url": "http://127.0.0.1:9002", "weight": 2 }
  ]
}
`;
const env = { TOKEN: "secret" };
const headers = { authorization: "Bearer secret", "content-type": "application/json" };

async function withFile(use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/roundhouse.json`;
  await Deno.writeTextFile(path, FILE, { mode: 0o640 });
  await use(path);
  await Deno.remove(folder, { recursive: true });
}

async function ask(program: Program, method: string, body: unknown): Promise<{ status: number; detail: string }> {
  const response = await fetch(`${program.adminUrl}/backends`, { method, headers, body: JSON.stringify(body) });
  return { status: response.status, detail: (await response.json()).detail };
}

async function call(program: Program, method: string, body: unknown): Promise<number> {
  return (await ask(program, method, body)).status;
}

async function backendsOf(program: Program): Promise<[string, number][]> {
  const backends = await (await fetch(`${program.adminUrl}/backends`, { headers })).json();
  return backends.map(({ url, weight }: { url: string; weight: number }) => [url, weight]);
}

Deno.test("changes through the API are in the file, with its comments, and in force after a restart", async () => {
  await withFile(async (path) => {
    {
      await using program = await Program.start(["-c", path], { env });
      assertEquals(await call(program, "POST", { url: "http://127.0.0.1:9003", weight: 5 }), 201);
      assertEquals(await call(program, "PATCH", { url: "http://127.0.0.1:9002", weight: 7, state: "draining" }), 200);
      assertEquals(await call(program, "DELETE", { url: "http://127.0.0.1:9001" }), 200);
      assertEquals(await call(program, "POST", { url: "http://127.0.0.1:9003" }), 409);
    }
    const text = await Deno.readTextFile(path);
    for (const kept of ["// a comment to keep", '"token": "${TOKEN}"']) assertStringIncludes(text, kept);
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o640); // Linux tells the mode
    await using again = await Program.start(["-c", path], { env });
    assertEquals(await backendsOf(again), [["http://127.0.0.1:9002", 7], ["http://127.0.0.1:9003", 5]]);
  });
});

Deno.test("deployments and splits are in the file, with its comments, and in force after a restart", async () => {
  await using one = HttpBackend.named("one");
  await using two = HttpBackend.named("two");
  const folder = await Deno.makeTempDir();
  const path = `${folder}/roundhouse.json`;
  await Deno.writeTextFile(
    path,
    `{
  "proxy": { "host": "127.0.0.1", "port": 0 },
  "admin": { "port": 0, "persist": true },
  "health": { "type": "none" },
  "backends": ["${one.url}"], // stays
  "pools": {
    "api": { "backends": ["${one.url}"] }
  },
  "routes": { "*/*": { "pool": { "default": 1, "api": 0 } /* a canary */ } }
}
`,
  );
  const change = async (program: Program, method: string, target: string, body: unknown) => {
    const request = { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(`${program.adminUrl}${target}`, request);
    await response.body?.cancel();
    return response.status;
  };
  const ask = async (program: Program) => await (await fetch(program.url)).text();
  {
    await using program = await Program.start(["-c", path]);
    assertEquals(await ask(program), "one");
    assertEquals(await change(program, "PUT", "/pools/api/backends", { backends: [two.url] }), 200);
    assertEquals(
      await change(program, "PATCH", "/routes", { route: "*/*", entry: 0, pool: { default: 0, api: 1 } }),
      200,
    );
    assertEquals(await ask(program), "two");
  }
  const text = await Deno.readTextFile(path);
  for (const kept of [`"backends": ["${one.url}"], // stays`, "/* a canary */"]) {
    assertStringIncludes(text, kept);
  }
  await using again = await Program.start(["-c", path]);
  assertEquals(await ask(again), "two");
  await Deno.remove(folder, { recursive: true });
});

Deno.test("changes through the API keep what the operator has edited in the list and not had read yet", async () => {
  // The API wrote the whole list as the pool held it: a backend added by hand was gone, and a weight was the old one.
  await withFile(async (path) => {
    await using program = await Program.start(["-c", path], { env });
    const edited = FILE
      .replace('"http://127.0.0.1:9001", // the first', '"http://127.0.0.1:9008", // by hand\n    $&')
      .replace('"weight": 2', '"weight": 4, "backup": true');
    await Deno.writeTextFile(path, edited);
    assertEquals(await call(program, "POST", { url: "http://127.0.0.1:9003" }), 201);
    const posted = edited.replace(/true }$/m, `true },\n    "http://127.0.0.1:9003"`);
    assertEquals(await Deno.readTextFile(path), posted);
    assertEquals(await call(program, "PATCH", { url: "http://127.0.0.1:9002", maxConnections: 9 }), 200);
    const patched = posted.replace("true }", 'true, "maxConnections": 9 }');
    assertEquals(await Deno.readTextFile(path), patched);
    assertEquals(await call(program, "DELETE", { url: "http://127.0.0.1:9001" }), 200);
    const left = patched.replace('    "http://127.0.0.1:9001", // the first\n', "");
    assertEquals(await Deno.readTextFile(path), left);
    await (await fetch(`${program.adminUrl}/reload`, { method: "POST", headers })).body?.cancel();
    const weights = Object.fromEntries(await backendsOf(program));
    assertEquals(weights, { "http://127.0.0.1:9002": 4, "http://127.0.0.1:9003": 1, "http://127.0.0.1:9008": 1 });
  });
});

Deno.test("an edit that can't be read refuses changes through the API as a whole, says why and stays as it is", async () => {
  await withFile(async (path) => {
    await using program = await Program.start(["-c", path], { env });
    const before = await backendsOf(program);
    const edits: readonly (readonly [string, string])[] = [
      [FILE.replace("the first\n    {", 'the first\n    "http://127.0.0.1:9008" {'), `${path}:8:29: want a comma`],
      [FILE.replace('"weight": 2', '"weight": -2'), "backends[1].weight: got -2, want a whole number from 0 to 256"],
      [FILE.replace("9002", "9001"), "backends[1]: same backend as backends[0] (http://127.0.0.1:9001)"],
    ];
    for (const [edit, reason] of edits) {
      await Deno.writeTextFile(path, edit);
      for (
        const [method, body] of [
          ["POST", { url: "http://127.0.0.1:9003" }],
          ["PATCH", { url: "http://127.0.0.1:9002", weight: 9, state: "disabled" }],
          ["DELETE", { url: "http://127.0.0.1:9002" }],
        ] as const
      ) {
        const { status, detail } = await ask(program, method, body);
        assertEquals(status, 500);
        assertStringIncludes(detail, "could not be written; nothing has changed: ");
        assertStringIncludes(detail, reason);
      }
      assertEquals([await Deno.readTextFile(path), await backendsOf(program)], [edit, before]);
    }
    const status = await (await fetch(`${program.adminUrl}/status`, { headers })).json();
    assertEquals(status.backends.map(({ state }: { state: string }) => state), ["active", "active"]);
    await Deno.writeTextFile(path, FILE);
    assertEquals(await call(program, "DELETE", { url: "http://127.0.0.1:9002" }), 200);
  });
});

Deno.test("a file that can't be written is 500, and the pool stays as it was", async () => {
  await withFile(async (path) => {
    await using program = await Program.start(["-c", path], { env });
    const before = await backendsOf(program);
    await Deno.rename(path, `${path}.away`);
    await Deno.mkdir(path);
    assertEquals(await call(program, "POST", { url: "http://127.0.0.1:9003" }), 500);
    assertEquals(await call(program, "PATCH", { url: "http://127.0.0.1:9002", weight: 9 }), 500);
    assertEquals(await call(program, "DELETE", { url: "http://127.0.0.1:9002" }), 500);
    assertEquals(await backendsOf(program), before);
    await program.logged("configuration not written");
  });
});

Deno.test("killed in the middle of changes, the program leaves the file of before or after one, whole", async () => {
  await withFile(async (path) => {
    for (let round = 0; round < 5; round++) {
      await using program = await Program.start(["-c", path], { env });
      const changes = (async () => {
        for (let change = 0;; change++) {
          await call(program, change % 2 === 0 ? "POST" : "DELETE", { url: "http://127.0.0.1:9009" });
        }
      })().catch(() => {}); // until the program is gone
      for (let look = 0; look < 10 * (round + 1); look++) {
        const errors: unknown[] = [];
        const { backends } = parse(await Deno.readTextFile(path), errors as never[], { allowTrailingComma: true });
        assertEquals(errors, []);
        assert(backends.length === 2 || backends.length === 3);
      }
      program.kill("SIGKILL");
      await changes;
      const left = parse(await Deno.readTextFile(path), [], { allowTrailingComma: true }).backends.length;
      assert(left === 2 || left === 3);
    }
  });
});
