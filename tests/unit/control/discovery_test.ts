// What holds for every kind of source: a failure removes nothing, an empty list only after a while, nobody is told the same
// news twice, and a source that sends faster than a pool can follow costs one change at a time.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { BackendSpec, Discover } from "../../../src/config/schema.ts";
import { Discovery, type SourceStatus } from "../../../src/control/discovery.ts";
import { PoolFullError } from "../../../src/pool/server_pool.ts";
import type { BackendSource, FoundBackend, SourceReport } from "../../../src/sources/source.ts";
import { backendSpec } from "../../support/pool.ts";
import { ManualClock, settle } from "../../support/wait.ts";

const DISCOVER: Discover = { kind: "file", path: "x", refreshMs: 1000, keepForMs: 30_000, drainMs: 5000 };

/** A source that tells what a test says. */
class SaidSource implements BackendSource {
  report!: SourceReport; // set by `run`, which the constructor of Discovery calls
  running = false;

  async run(report: SourceReport, stop: AbortSignal): Promise<void> {
    this.report = report;
    this.running = true;
    await new Promise((resolve) => stop.addEventListener("abort", resolve));
    this.running = false;
  }

  found(...urls: readonly string[]): void {
    this.report.found(urls.map((url) => ({ spec: backendSpec(url) })));
  }
}

class Bench implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly source = new SaidSource();
  /** The lists that were put in force. */
  readonly lists: string[] = [];
  readonly news: string[] = [];
  /** The backends of each list that were checked. */
  readonly checked: string[] = [];
  readonly discovery: Discovery;
  /** Called for each list that is put in force. */
  following: (backends: readonly BackendSpec[]) => Promise<void> = () => Promise.resolve();

  constructor({ isAwaited = true, hasBackends = false } = {}) {
    this.discovery = new Discovery({
      discover: DISCOVER,
      source: this.source,
      clock: this.clock,
      mustServe: (backends) => {
        this.checked.push(backends.map(({ url }) => url.slice("http://".length)).join());
        if (backends.some(({ url }) => url === "http://itself")) throw new Error("http://itself: is itself");
      },
      follow: async (backends) => {
        await this.following(backends);
        this.lists.push(backends.map(({ url }) => url.slice("http://".length)).join());
      },
      hasBackends,
      isAwaited,
      changed: ({ ok, error }: SourceStatus) => this.news.push(ok ? "recovered" : `failed: ${error}`),
    });
  }

  get inForce(): string | undefined {
    return this.lists.at(-1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discovery.stop();
    assertEquals([this.source.running, this.clock.pending], [false, 0]);
  }
}

Deno.test("Discovery puts each new list in force, and the same list in any order only once", async () => {
  await using bench = new Bench();
  const { source, discovery } = bench;
  assertEquals([discovery.status.ok, discovery.status.lastSuccess], [false, null]);
  source.found("http://a", "http://b");
  await discovery.answered;
  source.found("http://b", "http://a");
  source.found("http://a", "http://b");
  await settle();
  assertEquals(bench.lists, ["a,b"]);
  source.report.found([{ spec: backendSpec("http://a", { weight: 2 }) }, { spec: backendSpec("http://b") }]);
  await settle();
  assertEquals(bench.lists, ["a,b", "a,b"]);
  assertEquals([discovery.status.ok, discovery.status.lastSuccess], [true, new Date(bench.clock.now())]);
});

Deno.test("Discovery keeps the list after a failure, and tells once when failures begin and end", async () => {
  await using bench = new Bench();
  const { source, discovery, clock } = bench;
  source.found("http://a");
  await settle();
  const since = new Date(clock.now());
  source.report.failed("no answer");
  await clock.advance(60_000);
  source.report.failed("still none");
  source.found("http://itself", "http://b");
  await settle();
  const { kind, ok, lastSuccess, staleSince, error } = discovery.status;
  assertEquals({ kind, ok, lastSuccess, staleSince, error }, {
    kind: "file",
    ok: false,
    lastSuccess: since,
    staleSince: since,
    error: "http://itself: is itself",
  });
  source.found("http://a");
  await settle();
  assertEquals([bench.lists, bench.news], [["a"], ["failed: no answer", "recovered"]]);
  assertEquals([discovery.status.staleSince, discovery.status.error], [null, null]);
});

Deno.test("Discovery removes the last backends after 30 s of empty answers and nothing else", async () => {
  await using bench = new Bench();
  const { source, clock } = bench;
  source.found("http://a");
  await settle();
  source.found();
  await clock.advance(29_000);
  source.found("http://a"); // something else
  source.found();
  await clock.advance(29_000);
  source.report.failed("no answer"); // something else, too
  source.found();
  await clock.advance(29_000);
  source.found();
  assertEquals(bench.lists, ["a"]);
  await clock.advance(1000);
  assertEquals(bench.lists, ["a", ""]);
  source.found("http://b");
  await settle();
  assertEquals(bench.lists, ["a", "", "b"]);
});

Deno.test("Discovery takes an empty first answer at once: there is nothing to keep", async () => {
  await using bench = new Bench();
  bench.source.found();
  await bench.discovery.answered;
  assertEquals([bench.lists, bench.discovery.isAwaited], [[""], false]);
});

Deno.test("Discovery keeps the backends of an earlier owner as long as those of a list", async () => {
  await using bench = new Bench({ hasBackends: true });
  bench.source.found();
  await bench.clock.advance(29_999);
  assertEquals(bench.lists, []);
  await bench.clock.advance(1);
  assertEquals(bench.lists, [""]);
});

Deno.test("Discovery leaves out backends that are about to end, unless there are no others", async () => {
  await using bench = new Bench();
  const [a, b] = [{ spec: backendSpec("http://a") }, { spec: backendSpec("http://b") }];
  const leaving = (found: FoundBackend): FoundBackend => ({ ...found, leaving: true });
  for (const found of [[a, b], [a, leaving(b)], [leaving(a), leaving(b)], [leaving(a), b]]) {
    bench.source.report.found(found);
    await settle();
  }
  assertEquals(bench.lists, ["a,b", "a", "a,b", "b"]);
});

Deno.test("Discovery puts only the last of the lists in force that come while another is", async () => {
  await using bench = new Bench();
  const { source } = bench;
  const gate = Promise.withResolvers<void>();
  bench.following = () => gate.promise;
  for (const url of ["http://a", "http://b", "http://c", "http://d"]) source.found(url);
  gate.resolve();
  await settle();
  assertEquals(bench.lists, ["a", "d"]);
});

Deno.test("Discovery says that there is no room, and tries again by itself", async () => {
  await using bench = new Bench();
  const { source, clock, discovery } = bench;
  bench.following = () => Promise.reject(new PoolFullError("no room"));
  source.found("http://a");
  await settle();
  source.found("http://a");
  await clock.advance(3000);
  assertEquals([bench.lists, discovery.status.error], [[], "no room"]);
  bench.following = () => Promise.resolve();
  await clock.advance(1000);
  assertEquals([bench.lists, discovery.status.ok, bench.news], [["a"], true, ["failed: no room", "recovered"]]);
});

Deno.test("Discovery is awaited for 30 s at most, and not at all when a reload has begun it", async () => {
  await using bench = new Bench();
  await bench.clock.advance(29_999);
  bench.source.report.failed("no answer");
  assertEquals(bench.discovery.isAwaited, true);
  await bench.clock.advance(1);
  assertEquals(bench.discovery.isAwaited, false);
  await using later = new Bench({ isAwaited: false });
  assertEquals(later.discovery.isAwaited, false);
});

Deno.test("Discovery goes on with the same source when only keepFor and drain differ", async () => {
  await using bench = new Bench();
  const { discovery } = bench;
  assertEquals(discovery.fits({ ...DISCOVER, keepForMs: 1, drainMs: 1 }), true);
  assertEquals(discovery.fits({ ...DISCOVER, refreshMs: 1 }), false);
  assertEquals(discovery.fits({ ...DISCOVER, kind: "http", url: "http://a" } as Discover), false);
});

Deno.test("Discovery after any story has the last list that was found, unless it was empty for too short a time", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("found" as const), urls: fc.subarray(["http://a", "http://b", "http://c"]) }),
    fc.record({ kind: fc.constant("failed" as const) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1000, 29_999, 30_000) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      await using bench = new Bench();
      let [expected, emptyMs]: [string | undefined, number | undefined] = [undefined, undefined];
      for (const each of steps) {
        if (each.kind === "wait") {
          await bench.clock.advance(each.ms);
          if (emptyMs !== undefined && (emptyMs += each.ms) >= 30_000) [expected, emptyMs] = ["", undefined];
        } else if (each.kind === "failed") {
          bench.source.report.failed("x");
          emptyMs = undefined;
        } else {
          bench.source.found(...each.urls);
          await settle();
          const list = each.urls.map((url) => url.slice("http://".length)).join();
          if (list !== "" || (expected ?? "") === "") [expected, emptyMs] = [list, undefined];
          else emptyMs ??= 0;
        }
        assertEquals(bench.inForce, expected);
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("Discovery checks what is new or different in a list, and all of it when a backend is there twice", async () => {
  // Two thousand backends were checked anew ten times a second, when one of them had changed.
  await using bench = new Bench();
  for (const list of [["a", "b"], ["a", "b"], ["b", "c", "a"], ["a", "a", "c"]]) {
    bench.source.found(...list.map((name) => `http://${name}`));
    await settle();
  }
  bench.source.report.found([{ spec: { ...backendSpec("http://a"), weight: 7 } }, { spec: backendSpec("http://b") }]);
  await settle();
  assertEquals(bench.checked, ["a,b", "", "c", "a,a,c", "a"]);
});
