// Which room may import which, and that no files import each other in a circle: docs/architecture.md draws it, this
// keeps it true.

import { assertEquals } from "@std/assert";
import { circlesOf, importGraph, importsIn } from "../support/import_graph.ts";

/**
 * Every room of src/, and after it the rooms that it may import, all of which stand above it. Each may import the files
 * beside the rooms, too; those import no room. `admin/dashboard` is a part of a room.
 */
const ROOMS = `
  http1:
  config:    http1
  memory:    config
  net:       http1
  tls:       config net
  pool:      config memory net
  balancing: config memory pool
  health:    config memory net tls pool
  sources:   config memory net tls pool
  cluster:   config net tls sources
  guards:    config http1 memory net pool
  routing:   config memory http1 net pool balancing health guards
  proxy:     config http1 memory net pool balancing health guards routing
  engines:   config http1 net tls pool guards proxy
  workers:   config memory net tls pool balancing health sources guards routing proxy engines
  admin:     config memory net tls pool balancing health sources cluster guards routing
  control:   config memory net tls pool balancing health sources cluster guards routing proxy workers admin
  service:   net control
  cli:       config guards admin/dashboard control
`;

const MAY_IMPORT: ReadonlyMap<string, readonly string[]> = new Map(
  ROOMS.trim().split("\n").map((line) => {
    const [room = "", others = ""] = line.trim().split(":");
    return [room, others.split(" ").filter((other) => other !== "")];
  }),
);

const graph = importGraph();

function roomOf(file: string): string | undefined {
  return file.includes("/") ? file.slice(0, file.indexOf("/")) : undefined;
}

function isIn(file: string, folder: string): boolean {
  return file.startsWith(`${folder}/`);
}

Deno.test("imports between rooms point one way", () => {
  const rooms = new Set(Array.from(graph.keys(), roomOf).filter((room) => room !== undefined));
  assertEquals([...rooms].filter((room) => !MAY_IMPORT.has(room)), [], "a new room needs its line in ROOMS");
  const before: string[] = [];
  for (const [room, others] of MAY_IMPORT) {
    const late = others.filter((other) => !before.includes(other.split("/")[0] ?? ""));
    assertEquals(late, [], `${room} may import only rooms above it`);
    before.push(room);
  }
});

Deno.test("each file imports only what its room may", () => {
  const wrong: string[] = [];
  for (const [file, targets] of graph) {
    const room = roomOf(file);
    const allowed = room === undefined ? [] : [room, ...MAY_IMPORT.get(room) ?? []];
    for (const target of targets) {
      const isBeside = roomOf(target) === undefined;
      if (!isBeside && !allowed.some((folder) => isIn(target, folder))) wrong.push(`${file} imports ${target}`);
    }
  }
  assertEquals(wrong, []);
});

/** Where a room's imports lead, over any number of rooms; `except`: an arrow that is left out. */
function reachable(arrows: ReadonlyMap<string, ReadonlySet<string>>, from: string, except: string): Set<string> {
  const seen = new Set<string>();
  const left = [...arrows.get(from) ?? []].filter((room) => room !== except);
  for (let room = left.pop(); room !== undefined; room = left.pop()) {
    if (seen.has(room)) continue;
    seen.add(room);
    left.push(...arrows.get(room) ?? []);
  }
  return seen;
}

Deno.test("the architecture page draws every import between rooms that does not follow from others, and none that is not", () => {
  const arrows = new Map<string, Set<string>>();
  for (const [file, targets] of graph) {
    const room = roomOf(file);
    if (room === undefined) continue;
    const others = arrows.get(room) ?? new Set<string>();
    for (const other of targets.map(roomOf)) if (other !== undefined && other !== room) others.add(other);
    arrows.set(room, others);
  }
  const needed = [...arrows].flatMap(([room, others]) =>
    [...others].filter((other) => !reachable(arrows, room, other).has(other)).map((other) => `${room} --> ${other}`)
  );
  const page = Deno.readTextFileSync(new URL("../../docs/architecture.md", import.meta.url));
  const [, drawing = ""] = (page.split("\n## Rooms and arrows\n")[1] ?? "").split("```");
  const drawn = Array.from(
    drawing.matchAll(/(\w+)(?:\["[^"]+"\])? --> (\w+)/g),
    ([, from = "", to = ""]) => [from, to],
  );
  const names = new Set(drawn.map((ends) => ends.join(" --> ")));
  assertEquals(needed.filter((arrow) => !names.has(arrow)), [], "not drawn");
  assertEquals(drawn.filter(([from = "", to = ""]) => !arrows.get(from)?.has(to)), [], "drawn, but nobody imports it");
});

Deno.test("no files import each other in a circle, not even types", () => {
  assertEquals(circlesOf(graph), []);
});

Deno.test("importsIn() sees every way to name another file", () => {
  const text = `
    import { one } from "./one.ts";
    import type { Two } from "../pool/two.ts";
    export * from "./three.js";
    export { four } from "./four.ts";
    import "./five.ts";
    const six = await import("./six.ts");
    type Seven = import("./seven.ts").Seven;
    new Worker(new URL("eight.ts", import.meta.url));
    import {
      nine,
    } from
      "../../types/nine.ts";
    import { ten } from "@std/ten";
  `;
  assertEquals(importsIn(text, "net/file.ts"), [
    "net/one.ts",
    "pool/two.ts",
    "net/three.js",
    "net/four.ts",
    "net/five.ts",
    "net/six.ts",
    "net/seven.ts",
    "net/eight.ts",
  ]);
});

Deno.test("importGraph() has files beside the rooms, and modules of the dashboard", () => {
  assertEquals(graph.has("errors.ts"), true);
  assertEquals(graph.get("admin/dashboard/app.js")?.includes("admin/dashboard/history.js"), true);
});

Deno.test("circlesOf() finds whichever files import each other", () => {
  const circles = circlesOf(
    new Map([
      ["a", ["b", "d"]],
      ["b", ["c", "d"]],
      ["c", ["b"]],
      ["d", ["e"]],
      ["e", ["f", "gone"]],
      ["f", ["d", "g"]],
      ["g", ["g"]],
      ["h", ["a", "g"]],
    ]),
  );
  assertEquals(new Set(circles.map((circle) => circle.join())), new Set(["b,c", "d,e,f", "g"]));
});

Deno.test("nobody but its membership and the queue of changes changes who is in a pool, and a worker's pool that follows it", () => {
  const writers = new Set<string>();
  for (const file of graph.keys()) {
    const text = Deno.readTextFileSync(new URL(`../../src/${file}`, import.meta.url));
    if (/[pP]ool\.(add|adopt|follow|remove|swap)\(/.test(text)) writers.add(file);
  }
  assertEquals(
    writers,
    new Set([
      "pool/change_queue.ts",
      "pool/deployment.ts",
      "pool/following.ts",
      "pool/membership.ts",
      "pool/shared_list.ts",
      "workers/following_pool.ts",
    ]),
  );
});

Deno.test("no room but memory has shared memory in its hands", () => {
  const others: string[] = [];
  for (const file of graph.keys()) {
    if (isIn(file, "memory")) continue;
    const text = Deno.readTextFileSync(new URL(`../../src/${file}`, import.meta.url));
    if (/\b(Atomics|SharedArrayBuffer)\b/.test(text)) others.push(file);
  }
  assertEquals(others, []);
});
