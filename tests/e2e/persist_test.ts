// admin.persist: changes made through the API outlive the program, and the file is always whole.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { parse } from "jsonc-parser";
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

async function call(program: Program, method: string, body: unknown): Promise<number> {
  const response = await fetch(`${program.adminUrl}/backends`, { method, headers, body: JSON.stringify(body) });
  await response.body?.cancel();
  return response.status;
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
