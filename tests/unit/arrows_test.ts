// Which room may import which: docs/architecture.md draws it, this keeps it true.

import { assertEquals } from "@std/assert";

/** Every room of src/, each before those that may import it. */
const ROOMS = [
  "config",
  "http1",
  "net",
  "tls",
  "pool",
  "balancing",
  "health",
  "proxy",
  "engines",
  "workers",
  "admin",
  "control",
  "cli",
];
/** Rooms that know nothing of others before them, beside what every room may know. */
const APART: Readonly<Record<string, readonly string[]>> = {
  http1: ["config", "tls", "pool", "balancing", "health"],
  admin: ["http1", "proxy", "engines", "workers"],
};

const src = new URL("../../src/", import.meta.url);

function* filesOf(room: string, below = ""): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(`${room}/${below}`, src))) {
    if (entry.isDirectory) yield* filesOf(room, `${below}${entry.name}/`);
    else if (entry.name.endsWith(".ts")) yield `${room}/${below}${entry.name}`;
  }
}

Deno.test("imports between rooms point one way", () => {
  const rooms = Array.from(Deno.readDirSync(src)).filter((entry) => entry.isDirectory).map(({ name }) => name);
  assertEquals(rooms.filter((room) => !ROOMS.includes(room)), [], "a new room needs its place in ROOMS");
  const wrong: string[] = [];
  for (const room of rooms) {
    for (const file of filesOf(room)) {
      const text = Deno.readTextFileSync(new URL(file, src));
      for (const [, path = ""] of text.matchAll(/\bfrom "(\.[^"]+)"/g)) {
        const [other = "", ...below] = new URL(path, new URL(file, src)).href.slice(src.href.length).split("/");
        if (below.length === 0 || other === room) continue; // a file that stands beside the rooms
        const isBefore = ROOMS.indexOf(other) < ROOMS.indexOf(room);
        if (!isBefore || APART[room]?.includes(other)) wrong.push(`${file} imports ${path}`);
      }
    }
  }
  assertEquals(wrong, []);
});

Deno.test("nobody but its membership changes who is in a pool, and a worker that follows it", () => {
  const writers = new Set<string>();
  for (const room of Array.from(Deno.readDirSync(src)).filter((entry) => entry.isDirectory)) {
    for (const file of filesOf(room.name)) {
      const text = Deno.readTextFileSync(new URL(file, src));
      if (/[pP]ool\.(add|adopt|exchange|follow|remove)\(/.test(text)) writers.add(file);
    }
  }
  assertEquals(writers, new Set(["pool/membership.ts", "workers/worker.ts"]));
});
