import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { configSchema } from "../../../src/config/schema.ts";
import { PassiveHealth } from "../../../src/health/passive.ts";
import {
  canSpare,
  ejectionLimit,
  ejectionMs,
  judge,
  mustReturn,
  type PassiveLimits,
  passiveLimits,
} from "../../../src/health/passive_rule.ts";
import { Memory } from "../../../src/memory/memory.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import type { News } from "../../../src/workers/messages.ts";
import { RemotePassiveHealth } from "../../../src/workers/remote_passive.ts";
import { poolOf } from "../../support/pool.ts";
import { ManualClock } from "../../support/wait.ts";

const IN_ROTATION = { inPool: true, ejected: false };

function limits(settings: Partial<PassiveLimits> = {}): PassiveLimits {
  return { ...passiveLimits(configSchema.parse({})), connectFailures: 2, serverErrors: 2, windowMs: 1000, ...settings };
}

Deno.test("judge() marks down at connectFailures in a row where checks mark up again, and ejects where nothing does", () => {
  for (const [checked, verdict] of [[true, "down"], [false, "ejected"]] as const) {
    const verdicts = [1, 2, 3].map((inARow) =>
      judge(IN_ROTATION, { type: "unreachable", inARow }, limits({ checked }))
    );
    assertEquals(verdicts, ["stays", verdict, verdict]);
  }
});

Deno.test("judge() counts both ends of the window, and nothing before there are enough failures", () => {
  const at = (sinceMs: number | undefined, nowMs: number) =>
    judge(IN_ROTATION, { type: "failure", sinceMs, nowMs }, limits());
  assertEquals([at(0, 1000), at(0, 1001), at(undefined, 0)], ["ejected", "stays", "stays"]);
});

Deno.test("judge() lets stay what has left the pool, what a setting of 0 says, and does not eject twice", () => {
  const refused = { type: "unreachable", inARow: 1000 } as const;
  const failed = { type: "failure", sinceMs: 0, nowMs: 0 } as const;
  const gone = { inPool: false, ejected: false };
  const out = { inPool: true, ejected: true };
  const off = limits({ connectFailures: 0, serverErrors: 0 });
  for (const observed of [refused, failed]) {
    assertEquals(judge(gone, observed, limits()), "stays");
    assertEquals(judge(IN_ROTATION, observed, off), "stays");
    assertEquals(judge(out, observed, limits({ checked: false })), "stays");
  }
  assertEquals(judge(out, refused, limits({ checked: true })), "down", "it stays out when the ejection is over");
});

Deno.test("canSpare() and mustReturn() keep one backend that takes requests", () => {
  const serving = { selectable: true, up: true, state: "active", weight: 1 } as const;
  const failing = { ...serving, selectable: false, up: false };
  const ejected = { ...serving, selectable: false };
  const disabled = { ...serving, selectable: false, state: "disabled" } as const;
  const resting = { ...serving, selectable: false, weight: 0 };
  assertEquals(canSpare([serving, failing, ejected], serving), false);
  assertEquals(canSpare([serving, { ...serving }], serving), true);
  assertEquals(mustReturn([serving, ejected], [ejected]), undefined);
  const all = [failing, disabled, resting, ejected];
  assertEquals(mustReturn(all, all) === ejected, true);
  assertEquals(mustReturn([failing], [failing]), undefined);
});

Deno.test("ejectionMs() doubles what is repeated within ten times ejectFor, up to ten times ejectFor", () => {
  const past = (lastedMs: number, endedAtMs: number) => ejectionMs({ lastedMs, endedAtMs }, 20_000, 1000);
  assertEquals(ejectionMs(undefined, 20_000, 1000), 1000);
  assertEquals([past(1000, 10_000), past(4000, 20_000), past(8000, 20_000)], [2000, 8000, 10_000]);
  assertEquals([past(4000, 9_999), past(100, 20_000)], [1000, 1000], "long ago; shorter before a reload");
});

Deno.test("ejectionLimit() rounds shares down as people reckon them", () => {
  const cases = [[100, 0.29, 29], [3, 0.5, 1], [10, 0.7, 7], [4096, 1, 4096], [3, 0.3333, 0], [0, 1, 0], [7, 0, 0]];
  for (const [backends = 0, share = 0, want] of cases) {
    assertEquals(ejectionLimit(backends, share), want, `${share} of ${backends}`);
  }
});

type Happening =
  | { readonly type: "unreachable" | "failure" | "answered" | "check passed"; readonly backend: number }
  | { readonly type: "wait"; readonly ms: number };

/** What the settings say in words, with every failure remembered and nothing shared. */
class Reference {
  readonly backends: { up: boolean; until: number; row: number; failures: number[]; lasted: number; ended: number }[];
  /** Numbers of backends, in the order of their ejection, and why. */
  readonly ejected: { number: number; forFailures: boolean }[] = [];
  readonly #limits: PassiveLimits;

  constructor(backends: number, limits: PassiveLimits) {
    this.#limits = limits;
    const fresh = () => ({ up: true, until: 0, row: 0, failures: [], lasted: 0, ended: -Infinity });
    this.backends = Array.from({ length: backends }, fresh);
  }

  /** What is seen from outside: for each backend whether it is up, and when its ejection ends. */
  get seen(): readonly unknown[] {
    return this.backends.map(({ up, until }) => ({ up, until }));
  }

  happens(happening: Exclude<Happening, { type: "wait" }>, now: number): void {
    const { connectFailures, serverErrors, windowMs, maxEjected, checked } = this.#limits;
    const number = happening.backend;
    const backend = this.backends[number] ?? raise();
    if (happening.type === "answered") backend.row = 0;
    if (happening.type === "check passed") backend.up = true;
    if (happening.type === "unreachable" && connectFailures > 0 && ++backend.row >= connectFailures) {
      if (!checked) this.#eject(number, now, false);
      else if (backend.up) {
        backend.up = false;
        this.#keepOne(now);
      }
    }
    if (happening.type === "failure" && serverErrors > 0 && backend.until === 0) {
      backend.failures.push(now);
      const recent = backend.failures.filter((at) => now - at <= windowMs).length;
      const others = this.ejected.filter(({ forFailures }) => forFailures).length;
      if (recent >= serverErrors && (others + 1) / this.backends.length <= maxEjected) this.#eject(number, now, true);
    }
  }

  timePasses(now: number): void {
    const over = this.ejected.filter(({ number }) => (this.backends[number]?.until ?? 0) <= now);
    for (const { number } of over) this.#end(number, this.backends[number]?.until ?? 0);
  }

  #serves(number: number): boolean {
    const { up, until } = this.backends[number] ?? raise();
    return up && until === 0;
  }

  #eject(number: number, now: number, forFailures: boolean): void {
    const { ejectForMs } = this.#limits;
    const backend = this.backends[number] ?? raise();
    if (backend.until > 0 || !this.backends.some((_, other) => other !== number && this.#serves(other))) return;
    const repeats = now - backend.ended <= 10 * ejectForMs;
    backend.lasted = repeats ? Math.min(2 * backend.lasted, 10 * ejectForMs) : ejectForMs;
    backend.until = now + backend.lasted;
    this.ejected.push({ number, forFailures });
  }

  #end(number: number, at: number): void {
    Object.assign(this.backends[number] ?? raise(), { until: 0, row: 0, failures: [], ended: at });
    this.ejected.splice(this.ejected.findIndex((ejection) => ejection.number === number), 1);
  }

  #keepOne(now: number): void {
    if (this.backends.some((_, number) => this.#serves(number))) return;
    const first = this.ejected.find(({ number }) => this.backends[number]?.up);
    if (first !== undefined) this.#end(first.number, now);
  }
}

function raise(): never {
  throw new Error("no such backend");
}

/** A control plane with workers, whose messages arrive at once; each attempt belongs to the next isolate in turn. */
function isolates(workers: number, backends: number, settings: Parameters<typeof configSchema.parse>[0]) {
  const memory = Memory.allocate(workers + 1);
  const pool = poolOf(Array<number>(backends).fill(1), memory.pool(0));
  const clock = new ManualClock();
  const config = configSchema.parse(settings);
  const passive = new PassiveHealth({ pool, limits: passiveLimits(config), clock });
  const hear = (news: News) => {
    if (news.type !== "failure" && news.type !== "took-out") return;
    const backend = pool.getBySlot(news.backend.slot, news.backend.generation) ?? raise();
    if (news.type === "failure") passive.failed(backend, "");
    else passive.tookOut(backend, news.reason, news.wasAlive);
  };
  const views = Array.from({ length: workers }, (_, index) => {
    const replica = new ServerPool(Memory.attach(memory.sharedWith(index + 1)).pool(0));
    for (const { spec, slot } of pool.backends) replica.adopt(spec, slot, "test");
    return { pool: replica, passive: new RemotePassiveHealth(config, replica, hear) };
  });
  return { pool, clock, passive, views: views.length > 0 ? views : [{ pool, passive }] };
}

/** What is seen after each happening. */
async function run(world: ReturnType<typeof isolates>, happenings: readonly Happening[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (const [index, happening] of happenings.entries()) {
    const { pool, passive } = world.views[index % world.views.length] ?? raise();
    if (happening.type === "wait") await world.clock.advance(happening.ms);
    else {
      const backend = pool.backends[happening.backend] ?? raise();
      if (happening.type === "unreachable") passive.connectFailed(backend, "refused");
      if (happening.type === "failure") passive.failed(backend, "lost");
      if (happening.type === "answered") backend.answered(200, 1);
      if (happening.type === "check passed") {
        world.pool.setUp(world.pool.backends[happening.backend] ?? raise(), true, "");
      }
    }
    seen.push(world.pool.backends.map(({ up, ejectedUntil }) => ({ up, until: ejectedUntil })));
  }
  world.passive.stop();
  return seen;
}

Deno.test("the passive rule decides in one isolate and in several as a plain reference does", async () => {
  const backends = 3;
  const backend = fc.nat({ max: backends - 1 });
  const attempt = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom("unreachable", "failure") },
    { weight: 1, arbitrary: fc.constantFrom("answered", "check passed") },
  );
  const ms = fc.oneof(fc.nat({ max: 900 }), fc.nat({ max: 9000 }));
  const happening: fc.Arbitrary<Happening> = fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: attempt, backend }) },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("wait"), ms }) },
  );
  const passive = fc.record({
    connectFailures: fc.nat({ max: 3 }),
    serverErrors: fc.nat({ max: 3 }),
    window: fc.constantFrom("500ms", "2s"),
    ejectFor: fc.constantFrom("700ms", "3s"),
    maxEjected: fc.constantFrom(0, 0.4, 0.7, 1),
  });
  const type = fc.constantFrom("http" as const, "none" as const);
  await fc.assert(
    fc.asyncProperty(
      fc.array(happening, { minLength: 20, maxLength: 60 }),
      passive,
      type,
      async (happenings, passive, type) => {
        const settings = { passive, health: { type } };
        const reference = new Reference(backends, passiveLimits(configSchema.parse(settings)));
        let now = new ManualClock().now();
        const want = happenings.map((happening) => {
          if (happening.type === "wait") reference.timePasses(now += happening.ms);
          else reference.happens(happening, now);
          return reference.seen;
        });
        assertEquals(await run(isolates(0, backends, settings), happenings), want, "one isolate");
        assertEquals(await run(isolates(2, backends, settings), happenings), want, "two workers");
      },
    ),
    { numRuns: 60 },
  );
});
