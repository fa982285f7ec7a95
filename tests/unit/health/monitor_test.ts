import { assert, assertEquals, assertGreater, assertLess, assertRejects } from "@std/assert";
import { type ConfigFile, configSchema } from "../../../src/config/schema.ts";
import { HealthMonitor } from "../../../src/health/monitor.ts";
import type { Observation, Probe, ProbeFactory } from "../../../src/health/probes.ts";
import type { Backend } from "../../../src/pool/backend.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { RecordingLog } from "../../support/log.ts";
import { backendSpec } from "../../support/pool.ts";
import { ManualClock, nextTurn } from "../../support/wait.ts";

const PASSED: Observation = { ok: true, status: 200, durationMs: 1, error: null };
const FAILED: Observation = { ok: false, status: 503, durationMs: 1, error: "status 503" };

/** The probe of one backend: answers as told, or waits to be told. */
class FakeProbe implements Probe {
  /** What checks get at once; `null`: they wait for `finish`. */
  answer: Observation | null = PASSED;
  checks = 0;
  inFlight = 0;
  mostInFlight = 0;
  closed = false;
  cancelled = false;
  #finish: (observation: Observation) => void = () => {};

  async check(cancelled: AbortSignal): Promise<Observation> {
    this.checks++;
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    cancelled.addEventListener("abort", () => this.cancelled = true);
    const observation = this.answer ?? await new Promise<Observation>((resolve) => this.#finish = resolve);
    this.inFlight--;
    return observation;
  }

  finish(observation: Observation): Promise<void> {
    this.#finish(observation);
    return nextTurn();
  }

  close(): void {
    assertEquals(this.inFlight, 0, "closed while a check was under way");
    this.closed = true;
  }
}

function configOf(health: ConfigFile["health"]) {
  return configSchema.parse({ health: { jitter: 0, ...health } }).health;
}

class Bench implements AsyncDisposable {
  readonly pool = new ServerPool(Memory.allocate().pool(0));
  readonly clock = new ManualClock(nextTurn);
  readonly log = new RecordingLog();
  readonly events: string[] = [];
  readonly monitor: HealthMonitor;
  /** What each random number is. */
  random = 0.5;
  readonly #probes = new Map<Backend, FakeProbe>();
  /** What the probes of new backends answer. */
  firstAnswer: Observation | null = PASSED;

  constructor(health: ConfigFile["health"] = {}, prepare: (pool: ServerPool) => void = () => {}) {
    prepare(this.pool);
    this.pool.subscribe(({ type, reason }) => this.events.push(`${type}: ${reason}`));
    const probe: ProbeFactory = (backend) => {
      const made = new FakeProbe();
      made.answer = this.firstAnswer;
      this.#probes.set(backend, made);
      return made;
    };
    this.monitor = new HealthMonitor({
      pool: this.pool,
      config: configOf(health),
      log: this.log,
      probe,
      clock: this.clock,
      random: () => this.random,
    });
  }

  /** Adds a backend that is called `name`; its first check is done, unless it waits. */
  async add(name = "a", up = true): Promise<{ backend: Backend; probe: FakeProbe }> {
    const backend = this.pool.add(backendSpec(`http://${name}`), "test", up);
    await nextTurn();
    return { backend, probe: this.probe(backend) };
  }

  /** As a reload would. */
  configure(health: ConfigFile["health"]): Promise<void> {
    this.monitor.configure(configOf(health));
    return nextTurn();
  }

  get probes(): FakeProbe[] {
    return [...this.#probes.values()];
  }

  probe(backend: Backend): FakeProbe {
    const probe = this.#probes.get(backend);
    if (probe === undefined) throw new Error(`${backend.url} is not checked`);
    return probe;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.monitor.stop();
    for (const probe of this.#probes.values()) await probe.finish(PASSED);
    await stopped;
  }
}

Deno.test("HealthMonitor checks a backend at once when it is added, and then at each interval", async () => {
  await using bench = new Bench({ interval: "5s" });
  const { probe } = await bench.add();
  assertEquals(probe.checks, 1);
  await bench.clock.advance(4_999);
  assertEquals(probe.checks, 1);
  await bench.clock.advance(1);
  assertEquals(probe.checks, 2);
  await bench.clock.advance(50_000);
  assertEquals(probe.checks, 12);
});

Deno.test("HealthMonitor checks the backends that are there when it is made", async () => {
  await using bench = new Bench({}, (pool) => {
    pool.add(backendSpec("http://a"), "test");
    pool.add(backendSpec("http://b"), "test");
  });
  await nextTurn();
  assertEquals(bench.pool.backends.map((backend) => bench.probe(backend).checks), [1, 1]);
});

Deno.test("HealthMonitor concludes nothing from a check that could not be made", async () => {
  // A proxy without file descriptors could not ask, and took every backend out at once.
  await using bench = new Bench({ interval: "5s", unhealthyThreshold: 2, healthyThreshold: 2 });
  const { backend, probe } = await bench.add();
  const next = async (observation: Observation) => {
    probe.answer = observation;
    await bench.clock.advance(5_000);
    return [backend.up, backend.checks.failed, backend.lastCheck?.error];
  };
  const unmade = { ...FAILED, error: "too many open files", inconclusive: true };
  for (let turn = 0; turn < 3; turn++) assertEquals(await next(unmade), [true, 0, null]);
  assertEquals(bench.log.of("check could not be made").map(({ fields }) => fields["error"]), [
    "too many open files",
    "too many open files",
    "too many open files",
  ]);
  // Those before and after it stay a row.
  assertEquals(await next(FAILED), [true, 1, "status 503"]);
  assertEquals(await next(unmade), [true, 1, "status 503"]);
  assertEquals(await next(FAILED), [false, 2, "status 503"]);
});

Deno.test("HealthMonitor moves each check by the jitter, both ways", async () => {
  const pauses = [[0, 4_000], [0.5, 5_000], [0.75, 5_500], [1, 6_000]] as const;
  for (const [random, pause] of pauses) {
    await using bench = new Bench({ interval: "5s", jitter: 0.2 });
    bench.random = random;
    const { probe } = await bench.add();
    await bench.clock.advance(pause - 1);
    assertEquals(probe.checks, 1, `random ${random}`);
    await bench.clock.advance(1);
    assertEquals(probe.checks, 2, `random ${random}`);
  }
});

Deno.test("HealthMonitor never has two checks of a backend under way, and makes up for a slow one", async () => {
  await using bench = new Bench({ interval: "5s" });
  bench.firstAnswer = null;
  const { probe } = await bench.add();
  await bench.clock.advance(60_000);
  assertEquals([probe.checks, probe.mostInFlight], [1, 1]);
  await probe.finish(PASSED);
  await bench.clock.advance(0);
  assertEquals([probe.checks, probe.mostInFlight], [2, 1], "overdue: at once");
  await bench.clock.advance(2_000);
  await probe.finish(PASSED);
  await bench.clock.advance(2_999);
  assertEquals(probe.checks, 2);
  await bench.clock.advance(1);
  assertEquals([probe.checks, probe.mostInFlight], [3, 1], "an interval from start to start");
});

Deno.test("HealthMonitor does not let one backend wait for another", async () => {
  await using bench = new Bench({ interval: "1s" });
  bench.firstAnswer = null;
  const slow = await bench.add("slow");
  bench.firstAnswer = PASSED;
  const quick = await bench.add("quick");
  await bench.clock.advance(10_000);
  assertEquals([slow.probe.checks, quick.probe.checks], [1, 11]);
});

Deno.test("HealthMonitor takes a backend down and up by the thresholds, and says why", async () => {
  await using bench = new Bench({ interval: "1s", healthyThreshold: 3, unhealthyThreshold: 2 });
  const { probe, backend } = await bench.add();
  probe.answer = FAILED;
  await bench.clock.advance(1_000);
  assert(backend.up);
  await bench.clock.advance(1_000);
  assertEquals(bench.events, ["added: test", "down: check failed: status 503"]);
  probe.answer = PASSED;
  await bench.clock.advance(250 + 500);
  assert(!backend.up);
  await bench.clock.advance(1_000);
  assertEquals(bench.events.slice(2), ["up: check passed"]);
});

Deno.test("HealthMonitor brings up a backend that starts down when its first check passes", async () => {
  await using bench = new Bench();
  const { backend } = await bench.add("a", false);
  assert(backend.up);
  assertEquals(bench.events, ["added: test", "up: check passed"]);
});

Deno.test("HealthMonitor counts anew when a failed connection has marked the backend down", async () => {
  await using bench = new Bench({ interval: "1s", healthyThreshold: 2, unhealthyThreshold: 3 });
  const { probe, backend } = await bench.add();
  probe.answer = FAILED;
  await bench.clock.advance(2_000); // two of three toward down
  bench.pool.setUp(backend, false, "connect failed: connection refused");
  probe.answer = PASSED;
  await bench.clock.advance(250);
  assert(!backend.up, "one of two: what counted toward down must not count toward up");
  await bench.clock.advance(1_000);
  assert(backend.up);
});

Deno.test("HealthMonitor does not believe a check that began before a failed connection marked the backend down", async () => {
  await using bench = new Bench({ interval: "5s" });
  bench.firstAnswer = null;
  const { probe, backend } = await bench.add();
  bench.pool.setUp(backend, false, "connect failed: connection refused");
  await probe.finish(PASSED);
  assert(!backend.up);
  assertEquals(backend.lastCheck?.ok, true, "it is shown all the same");
  await bench.clock.advance(5_000);
  await probe.finish(PASSED);
  assert(backend.up, "the next check began after the mark");
});

Deno.test("HealthMonitor ends the row of failed connections when it brings a backend up", async () => {
  await using bench = new Bench();
  const { probe, backend } = await bench.add();
  for (let row = 1; row <= 3; row++) backend.countConnectFailure();
  bench.pool.setUp(backend, false, "connect failed: connection refused");
  probe.answer = PASSED;
  await bench.clock.advance(5_000);
  assert(backend.up);
  assertEquals(backend.countConnectFailure(), 1);
});

Deno.test("HealthMonitor goes on checking backends that drain or are disabled", async () => {
  await using bench = new Bench({ interval: "1s" });
  const { probe, backend } = await bench.add();
  for (const state of ["draining", "disabled"] as const) {
    bench.pool.update(backend, { state }, "operator");
    const before = probe.checks;
    await bench.clock.advance(3_000);
    assertEquals(probe.checks, before + 3, state);
  }
  probe.answer = FAILED;
  await bench.clock.advance(1_000);
  assertEquals([backend.up, backend.state], [false, "disabled"]);
});

Deno.test("HealthMonitor shows and logs each check", async () => {
  await using bench = new Bench({ interval: "1s" });
  const { probe, backend } = await bench.add();
  probe.answer = FAILED;
  await bench.clock.advance(1_000);
  const at = new Date(bench.clock.now()).toISOString();
  assertEquals(backend.lastCheck, { at, ok: false, status: 503, durationMs: 1, error: "status 503" });
  assertEquals(bench.log.lines, [
    { level: "debug", message: "check", fields: { backend: "http://a", pool: "default", ...PASSED } },
    { level: "debug", message: "check", fields: { backend: "http://a", pool: "default", ...FAILED } },
    {
      level: "warn",
      message: "check failed",
      fields: {
        backend: "http://a",
        pool: "default",
        error: "status 503",
        advice: "set health.path (--health PATH) to a path that passes, in place of /, or health.status so that " +
          '503 passes, or health.type "tcp" (--health tcp)',
      },
    },
  ]);
});

Deno.test("HealthMonitor tells when the next check is due", async () => {
  await using bench = new Bench({ interval: "5s" });
  bench.firstAnswer = null;
  const { probe, backend } = await bench.add();
  const recheckAt = () => backend.recheckAt;
  assertEquals(recheckAt(), 0, "the first is under way and the next not planned");
  await bench.clock.advance(1_000);
  await probe.finish(PASSED);
  assertEquals(recheckAt(), bench.clock.now() + 4_000);
  bench.pool.remove(backend, "operator");
  assertEquals(recheckAt(), 0);
});

Deno.test("HealthMonitor drops what a check finds after the backend was removed", async () => {
  await using bench = new Bench();
  bench.firstAnswer = null;
  const { probe, backend } = await bench.add();
  bench.pool.remove(backend, "operator");
  assert(probe.cancelled);
  const successor = await bench.add("b");
  assertEquals(successor.backend.slot, backend.slot, "this test is about a slot that is used again");
  await probe.finish(FAILED);
  assertEquals([backend.lastCheck, successor.backend.up, probe.closed], [null, true, true]);
  assertEquals(bench.events, ["added: test", "removed: operator", "added: test"]);
  await bench.clock.advance(60_000);
  assertEquals(probe.checks, 1);
});

Deno.test("HealthMonitor.stop() cancels checks, waits for them, drops what they find and leaves no timer", async () => {
  const bench = new Bench({ slowStart: "10s" });
  const idle = await bench.add("idle");
  bench.pool.setUp(idle.backend, false, "test");
  bench.pool.setUp(idle.backend, true, "test");
  assertEquals(bench.clock.pending, 2, "the next check and the next step of the slow start");
  bench.firstAnswer = null;
  const busy = await bench.add("busy");
  const removed = await bench.add("removed");
  bench.pool.remove(removed.backend, "operator");
  let done = false;
  const stopped = bench.monitor.stop().then(() => done = true);
  await nextTurn();
  assertEquals([done, busy.probe.cancelled, idle.probe.closed], [false, true, true]);
  await busy.probe.finish(FAILED);
  assertEquals(done, false, "the check of a removed backend counts, too");
  await removed.probe.finish(FAILED);
  await stopped;
  assertEquals([busy.backend.up, busy.backend.lastCheck, busy.probe.closed], [true, null, true]);
  assertEquals(bench.clock.pending, 0);
  await assertRejects(() => bench.add("later"), Error, "is not checked");
});

Deno.test("HealthMonitor ends a loop whose backend a listener removes on the news of its check", async () => {
  await using bench = new Bench();
  bench.pool.subscribe(({ type, backend }) => {
    if (type === "down") bench.pool.remove(backend, "one strike");
  });
  bench.firstAnswer = FAILED;
  const { probe, backend } = await bench.add();
  await bench.clock.advance(60_000);
  assertEquals([probe.checks, probe.closed, bench.clock.pending], [1, true, 0]);
  assertEquals(backend.recheckAt, 0, "the slot may be another's by now");
});

Deno.test("HealthMonitor keeps checking when the system clock is set back or forth", async () => {
  await using bench = new Bench({ interval: "5s" });
  bench.firstAnswer = null;
  const { probe } = await bench.add();
  bench.clock.jump(-3_600_000);
  await probe.finish(PASSED);
  await bench.clock.advance(5_000);
  assertEquals(probe.checks, 2);
  bench.clock.jump(3_600_000);
  await probe.finish(PASSED);
  await bench.clock.advance(5_000);
  assertEquals(probe.checks, 3);
});

Deno.test("HealthMonitor with type none checks nobody and lets in whom earlier checks took out", async () => {
  await using bench = new Bench({ type: "none" }, (pool) => {
    pool.setUp(pool.add(backendSpec("http://a"), "test"), false, "check failed");
  });
  bench.pool.add(backendSpec("http://b"), "test");
  await bench.clock.advance(60_000);
  assertEquals(bench.events, ["up: health checks are off", "added: test"]);
  assertEquals([bench.log.lines.length, bench.clock.pending], [0, 0]);
});

Deno.test("HealthMonitor starts backends slowly that come back, where configured", async () => {
  await using bench = new Bench({ interval: "1s", slowStart: "10s" });
  const { probe, backend } = await bench.add();
  assertEquals(backend.effectiveWeight, 1, "a new one, too");
  await bench.clock.advance(10_000);
  assertEquals(backend.effectiveWeight, 10);
  probe.answer = FAILED;
  await bench.clock.advance(1_000);
  probe.answer = PASSED;
  await bench.clock.advance(1_000);
  assertEquals(backend.effectiveWeight, 1);
  await bench.clock.advance(4_500);
  assertGreater(backend.effectiveWeight, 1);
  assertLess(backend.effectiveWeight, 10);
  await bench.clock.advance(5_000);
  assertEquals(backend.effectiveWeight, 10);
});

Deno.test("HealthMonitor checks a backend that went down after 250 ms, 500 ms, 1 s … up to the interval", async () => {
  // A backend that came up 0.6 s after the proxy was out for 5 s.
  await using bench = new Bench({ interval: "5s" });
  bench.firstAnswer = FAILED;
  const { probe, backend } = await bench.add();
  let checks = 1;
  for (const pause of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    assertEquals(backend.recheckAt, bench.clock.now() + pause);
    await bench.clock.advance(pause - 1);
    assertEquals(probe.checks, checks, `${pause}`);
    await bench.clock.advance(1);
    assertEquals(probe.checks, ++checks, `${pause}`);
  }
});

Deno.test("HealthMonitor checks a backend soon whose connections failed between two checks", async () => {
  await using bench = new Bench({ interval: "5s" });
  const { probe, backend } = await bench.add();
  await bench.clock.advance(1_000);
  bench.pool.setUp(backend, false, "connect failed: connection refused");
  assertEquals(backend.recheckAt, bench.clock.now() + 250);
  await bench.clock.advance(250);
  assertEquals([probe.checks, backend.up], [2, true]);
  await bench.clock.advance(4_900);
  assertEquals(probe.checks, 2);
  // Due in 100 ms anyway: that stays.
  bench.pool.setUp(backend, false, "connect failed: connection refused");
  await bench.clock.advance(100);
  assertEquals([probe.checks, backend.up], [3, true]);
});

Deno.test("HealthMonitor does not let a backend flap that passes checks and refuses requests", async () => {
  await using bench = new Bench({ interval: "5s" });
  const { probe, backend } = await bench.add();
  bench.pool.subscribe(({ type }) => {
    if (type === "up") bench.pool.setUp(backend, false, "connect failed: connection refused");
  });
  bench.pool.setUp(backend, false, "connect failed: connection refused");
  await bench.clock.advance(60_000);
  assertLess(probe.checks, 20, "each return costs requests");
});

Deno.test("HealthMonitor checks every 250 ms while requests wait for a backend, and who seems up as well", async () => {
  await using bench = new Bench({ interval: "5s" });
  const well = await bench.add("well");
  bench.firstAnswer = FAILED;
  const { probe } = await bench.add("ill");
  await bench.clock.advance(250 + 500 + 1_000 + 2_000);
  assertEquals([probe.checks, well.probe.checks], [5, 1]);
  await bench.clock.advance(1_000); // of four seconds
  bench.pool.shared.line.startHold();
  await bench.clock.advance(50);
  assertEquals(probe.checks, 6, "at once: the last one was long ago");
  await bench.clock.advance(1_000);
  assertEquals([probe.checks, well.probe.checks], [10, 6], "that one may be gone, and nobody knows it yet");
  bench.pool.shared.line.endHold();
  await bench.clock.advance(1_000);
  assertLess(probe.checks, 12);
  probe.answer = PASSED;
  await bench.clock.advance(6_000);
  assertEquals(bench.clock.pending, 2, "the next checks; with nobody down nobody looks for those who wait");
});

Deno.test("HealthMonitor has at most 100 checks in flight, the first spread over a second for every thousand", async () => {
  // With 4,000 backends all first checks began at once, and half the backends counted as down.
  await using bench = new Bench({ interval: "1h" });
  bench.firstAnswer = null;
  for (let n = 0; n < 2_000; n++) bench.pool.add(backendSpec(`http://b${n}`), "test");
  const inFlight = () => bench.probes.filter((probe) => probe.inFlight === 1);
  const checked = () => bench.probes.filter((probe) => probe.checks > 0).length;
  await nextTurn();
  assertEquals(inFlight().length, 10);
  await bench.clock.advance(50);
  assertEquals(inFlight().length, 60);
  await bench.clock.advance(3_000);
  assertEquals(inFlight().length, 100);
  for (const probe of inFlight().slice(0, 7)) await probe.finish(PASSED);
  assertEquals([inFlight().length, checked()], [100, 107]);
  // One that is removed while it waits takes no place, nor does it keep one that it has.
  const [waiting] = bench.pool.backends.filter((backend) => bench.probe(backend).checks === 0);
  const [checking] = bench.pool.backends.filter((backend) => bench.probe(backend).inFlight === 1);
  assert(waiting !== undefined && checking !== undefined);
  bench.pool.remove(waiting, "test");
  bench.pool.remove(checking, "test");
  await bench.probe(checking).finish(PASSED);
  assertEquals([inFlight().length, checked(), bench.probe(waiting).checks], [100, 108, 0]);
  for (const probe of bench.probes) probe.answer = PASSED;
  for (let left = inFlight(); left.length > 0; left = inFlight()) for (const probe of left) await probe.finish(PASSED);
  assertEquals(checked(), 1_999);
  assertEquals(Math.max(...bench.probes.map((probe) => probe.checks)), 1);
});

Deno.test("HealthMonitor spreads first checks in the time they take, too", async () => {
  await using bench = new Bench({ interval: "1h" });
  for (let n = 0; n < 1_000; n++) bench.pool.add(backendSpec(`http://b${n}`), "test");
  const checked = () => bench.probes.filter((probe) => probe.checks > 0).length;
  for (let tenth = 1; tenth < 10; tenth++) {
    await bench.clock.advance(tenth === 1 ? 95 : 100);
    assertEquals(checked(), tenth * 100);
  }
  await bench.clock.advance(100);
  assertEquals(checked(), 1_000);
});

Deno.test("HealthMonitor.configure() keeps who is up, and rows of checks that asked the same", async () => {
  // A reload that changed any setting of health began all counts anew.
  for (const [change, goesDown] of [[{ interval: "2s" }, true], [{ path: "/other" }, false]] as const) {
    await using bench = new Bench({ interval: "1s", unhealthyThreshold: 3 });
    const { backend } = await bench.add();
    const down = await bench.add("down");
    bench.pool.setUp(down.backend, false, "connect failed");
    down.probe.answer = FAILED;
    bench.probe(backend).answer = FAILED;
    await bench.clock.advance(2_000);
    bench.firstAnswer = FAILED;
    await bench.configure({ interval: "1s", unhealthyThreshold: 3, ...change });
    assertEquals([bench.probe(backend).checks, backend.up, down.backend.up], [1, !goesDown, false]);
  }
});

Deno.test("HealthMonitor.configure() ends earlier checks before it makes others, and can turn them off and on", async () => {
  await using bench = new Bench({ interval: "1s" });
  bench.firstAnswer = null;
  const { backend, probe } = await bench.add();
  bench.firstAnswer = PASSED;
  await bench.configure({ interval: "2s" });
  const second = bench.probe(backend);
  assertEquals([probe.cancelled, second.checks], [true, 0]);
  await probe.finish(FAILED);
  assertEquals([probe.closed, second.checks, backend.up], [true, 1, true]);
  await bench.configure({ interval: "2s" });
  assertEquals(bench.probe(backend), second, "nothing has changed");
  bench.pool.setUp(backend, false, "test");
  await bench.configure({ type: "none" });
  assertEquals([backend.up, second.closed, bench.clock.pending], [true, true, 0]);
  await bench.configure({ interval: "3s" });
  assertEquals([bench.probe(backend).checks, backend.up], [1, true]);
});
