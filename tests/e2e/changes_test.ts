// Changes of the pool from everywhere at once: the admin API, reloads and the watched file.

import { assertEquals } from "@std/assert";
import { parse } from "jsonc-parser";
import { Program, runProgram } from "../support/program.ts";

const ENGINES = ["fetch", "wire"] as const;
const WORKERS = [1, 2] as const;

/** A folder of its own with a configuration file, gone afterwards. */
async function withFile(config: unknown, use: (path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/roundhouse.json`;
  await Deno.writeTextFile(path, JSON.stringify(config, null, 2));
  try {
    await use(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function settings(more: Record<string, unknown>): Record<string, unknown> {
  return { proxy: { host: "127.0.0.1", port: 0 }, health: { type: "none" }, ...more };
}

async function call(program: Program, method: string, path: string, body?: unknown) {
  const response = await fetch(`${program.adminUrl}${path}`, {
    method,
    ...(body === undefined ? {} : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
  });
  return { status: response.status, json: await response.json() };
}

async function urlsOf(program: Program): Promise<string[]> {
  const { json } = await call(program, "GET", "/backends");
  return json.map(({ url }: { url: string }) => url).sort();
}

async function urlsIn(path: string): Promise<string[]> {
  const { backends } = parse(await Deno.readTextFile(path), [], { allowTrailingComma: true });
  return backends.map((entry: string | { url: string }) => typeof entry === "string" ? entry : entry.url).sort();
}

for (const engine of ENGINES) {
  for (const workers of WORKERS) {
    for (const watched of [[], ["--watch-config"]]) {
      const where = `${engine}, ${workers === 1 ? "1 worker" : "2 workers"}${watched.length > 0 ? ", watched" : ""}`;
      Deno.test(`changes that were answered outlive reloads beside them (${where})`, async () => {
        // A reload gave the admin API another queue, and two changes wrote the file side by side: of 60 backends that
        // operators' scripts had added with 201, up to 22 were gone after the next reload.
        await withFile(settings({ admin: { port: 0, persist: true }, backends: ["http://10.0.0.1"] }), async (path) => {
          await using program = await Program.start(
            ["-c", path, "--engine", engine, "--workers", `${workers}`, ...watched],
          );
          const answers: number[] = [];
          const clients = Array.from({ length: 6 }, async (_, client) => {
            for (let count = 0; count < 10; count++) {
              const url = `http://10.1.${client}.${count + 1}`;
              answers.push((await call(program, "POST", "/backends", { url })).status);
              if (count % 3 === 0) assertEquals((await call(program, "POST", "/reload")).status, 200);
            }
          });
          await Promise.all(clients);
          assertEquals(new Set(answers), new Set([201]));
          const wanted = ["http://10.0.0.1"];
          for (let client = 0; client < 6; client++) {
            for (let count = 1; count <= 10; count++) wanted.push(`http://10.1.${client}.${count}`);
          }
          assertEquals(await urlsIn(path), wanted.sort());
          assertEquals((await call(program, "POST", "/reload")).status, 200);
          assertEquals(await urlsOf(program), wanted);
        });
      });
    }

    Deno.test(`a reload exchanges 2,500 backends at once (${engine}, ${workers})`, async () => {
      // The places of those that left were not free before every worker had heard of it, so the pool was full half-way:
      // the reload answered 500, left 1,596 backends, and skipped the rest of the configuration.
      const list = (net: number) =>
        Array.from({ length: 2500 }, (_, index) => `http://10.${net}.${index >> 8}.${index & 255}`);
      await withFile(settings({ admin: { port: 0 }, backends: list(1) }), async (path) => {
        await using program = await Program.start(["-c", path, "--engine", engine, "--workers", `${workers}`]);
        for (const net of [2, 3, 4]) {
          const config = settings({ admin: { port: 0 }, backends: list(net), strategy: "random" });
          await Deno.writeTextFile(path, JSON.stringify(config));
          const { status, json } = await call(program, "POST", "/reload");
          assertEquals([status, json.added?.length, json.removed?.length], [200, 2500, 2500], json.detail);
          assertEquals(await urlsOf(program), list(net).sort());
          assertEquals((await call(program, "GET", "/status")).json.strategy, "random");
        }
      });
    });
  }
}

Deno.test("4,097 backends are an error of the configuration, in a check and at the start", async () => {
  // The check said that all was well, and the start failed without naming a setting.
  const backends = Array.from({ length: 4097 }, (_, index) => `http://10.0.${index >> 8}.${index & 255}`);
  await withFile(settings({ backends }), async (path) => {
    for (const command of ["check", "run"]) {
      const { code, stderr } = await runProgram([command, "-c", path]);
      assertEquals([code, stderr], [1, "backends: got 4097, want at most 4096 backends\n"], command);
    }
  });
});
