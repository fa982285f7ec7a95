import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { AcmeError } from "../../../../src/tls/acme/errors.ts";
import { type Held, held } from "../../../../src/tls/acme/held.ts";
import { Renewals } from "../../../../src/tls/acme/renewals.ts";
import { SharedAwayError, type SharedCertificates } from "../../../../src/tls/acme/shared.ts";
import { StateFolder } from "../../../../src/tls/acme/state_folder.ts";
import type { ServerCertificate } from "../../../../src/tls/server_certificate.ts";
import { certificateFrom, TemporaryDirectory } from "../../../support/certificates.ts";
import { RecordingLog } from "../../../support/log.ts";
import { ManualClock, waitFor } from "../../../support/wait.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** An authority, and when it was asked for what. */
class FakeAuthority {
  readonly orders: { readonly name: string; readonly atMs: number }[] = [];
  lifeMs = 9 * DAY;
  /** What the next orders fail with. */
  readonly failures: unknown[] = [];
  /** What an order fails with; `undefined`: it does not. */
  failWith: (name: string) => unknown = () => this.failures.shift();
  /** Orders wait for it. */
  gate: Promise<void> = Promise.resolve();

  constructor(readonly clock: ManualClock) {}

  async order(name: string, stop: AbortSignal): Promise<Held> {
    const nowMs = this.clock.now();
    this.orders.push({ name, atMs: nowMs });
    const stopped = new Promise<void>((resolve) => stop.addEventListener("abort", () => resolve()));
    await Promise.race([this.gate, stopped]);
    stop.throwIfAborted();
    const failure = this.failWith(name);
    if (failure !== undefined) throw failure;
    const certificate = await certificateFrom({ name, fromMs: nowMs, untilMs: nowMs + this.lifeMs });
    return held(certificate, name, nowMs);
  }
}

interface Bed extends AsyncDisposable {
  readonly renewals: Renewals;
  readonly authority: FakeAuthority;
  readonly clock: ManualClock;
  readonly log: RecordingLog;
  /** How often another certificate was told of. */
  changes(): number;
  /** Lets time pass, until all that follows from it has happened. */
  pass(ms: number): Promise<void>;
}

interface BedOptions {
  readonly names?: readonly string[];
  readonly state?: string | undefined;
  readonly folder?: StateFolder;
  readonly clock?: ManualClock;
  readonly authority?: FakeAuthority;
  readonly shared?: SharedCertificates;
  /** Default: nine days. */
  readonly lifeMs?: number;
}

function bed({ names = ["one.example"], state, clock = new ManualClock(), shared, ...given }: BedOptions = {}): Bed {
  const log = new RecordingLog();
  const authority = given.authority ?? new FakeAuthority(clock);
  authority.lifeMs = given.lifeMs ?? authority.lifeMs;
  let changes = 0;
  const renewals = new Renewals({
    names,
    folder: given.folder ?? new StateFolder({ state, directory: "https://acme.example/dir", log }),
    authority,
    shared,
    log,
    clock,
    changed: () => changes++,
  });
  renewals.start();
  const pass = async (ms: number) => {
    const rested = () => clock.pending > 0;
    await waitFor(rested, { what: "a rest" });
    await clock.advance(ms);
    await waitFor(rested, { what: "a rest" });
  };
  return {
    renewals,
    authority,
    clock,
    log,
    changes: () => changes,
    pass,
    [Symbol.asyncDispose]: () => renewals.stop(),
  };
}

function certOf({ renewals }: Bed, index = 0): string | undefined {
  return renewals.certificates[index]?.certificate?.cert;
}

Deno.test("Renewals order a certificate for each name at once, and again with a third of its life left", async () => {
  await using one = bed({ names: ["one.example", "two.example"] });
  await one.pass(0);
  assertEquals(one.authority.orders.map(({ name }) => name), ["one.example", "two.example"]);
  assertEquals(one.changes(), 2);
  const first = certOf(one);
  await one.pass(6 * DAY - 1);
  assertEquals(one.authority.orders.length, 2);
  await one.pass(DAY);
  assertEquals(one.authority.orders.length, 4);
  assert(certOf(one) !== first);
  for (const { atMs } of one.authority.orders.slice(2)) {
    const leftMs = 9 * DAY - (atMs - (one.authority.orders[0]?.atMs ?? 0));
    assert(leftMs <= 3 * DAY && leftMs >= 2 * DAY, `${leftMs / DAY} days left`);
  }
});

Deno.test("a certificate of one hour is renewed with 15 to 20 minutes left", async () => {
  await using one = bed({ lifeMs: HOUR });
  await one.pass(0);
  for (let minutes = 0; minutes < 46; minutes++) await one.pass(MINUTE);
  const [first, second] = one.authority.orders.map(({ atMs }) => atMs);
  const leftMs = HOUR - ((second ?? 0) - (first ?? 0));
  assert(leftMs <= 20 * MINUTE && leftMs >= 15 * MINUTE, `${leftMs / MINUTE} minutes left`);
});

Deno.test("a failure keeps what there is, and is tried again after growing pauses", async () => {
  await using one = bed();
  await one.pass(0);
  const first = certOf(one);
  one.authority.failures.push(...Array.from({ length: 4 }, () => new AcmeError("no such name")));
  const due = (await until(one, 2)) ?? 0;
  assertEquals(one.renewals.certificates[0]?.error, "no such name");
  assertEquals(certOf(one), first);
  const times = [due, await until(one, 3), await until(one, 4), await until(one, 5), await until(one, 6)];
  const pauses = times.slice(1).map((at, index) => Math.floor(((at ?? 0) - (times[index] ?? 0)) / MINUTE));
  assertEquals(pauses, [1, 5, 15, 30].map((pause, index) => Math.max(pause, pauses[index] ?? 0)), `${pauses}`);
  assert(pauses.every((pause, index) => pause <= 1.1 * ([1, 5, 15, 30][index] ?? 0) + 1), `${pauses}`);
  assertEquals(one.renewals.certificates[0]?.error, null);
  assert(certOf(one) !== first);
  assertEquals(one.log.of("certificate not obtained").length, 4);
});

/** Lets time pass in minutes until there were so many orders; returns when that one was. */
async function until(one: Bed, orders: number): Promise<number | undefined> {
  for (let steps = 0; one.authority.orders.length < orders; steps++) {
    assert(steps < 200_000, `no order ${orders}`);
    const isWaiting = one.authority.orders.length === 1 && certOf(one) !== undefined; // for days
    await one.pass(isWaiting ? 30 * MINUTE : MINUTE / 4); // not while an order is under way
  }
  await one.pass(0);
  return one.authority.orders[orders - 1]?.atMs;
}

Deno.test("an authority that names a time is not asked before, not even after a restart", async () => {
  using state = new TemporaryDirectory();
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  authority.failures.push(new AcmeError("too many", { problem: "rateLimited", retryAfterMs: 10 * HOUR }));
  for (const hours of [1, 7]) {
    await using one = bed({ state: state.path, clock, authority });
    await one.pass(hours * HOUR);
    assertEquals([authority.orders.length, one.renewals.certificates[0]?.error], [1, "too many"]);
  }
  await using one = bed({ state: state.path, clock, authority });
  await one.pass(2 * HOUR + 1);
  assertEquals(authority.orders.length, 2);
});

Deno.test("after a restart what failed is tried at once, but not within a minute", async () => {
  using state = new TemporaryDirectory();
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  authority.failures.push(...Array.from({ length: 4 }, () => new AcmeError("no such name")));
  let last: number;
  {
    await using one = bed({ state: state.path, clock, authority });
    last = (await until(one, 4)) ?? 0; // the next pause is half an hour
    await waitFor(() => one.log.of("certificate not obtained").length === 4, { what: "the end of the order" });
  }
  await using one = bed({ state: state.path, clock, authority });
  await one.pass(last + MINUTE - 1 - clock.now());
  assertEquals(authority.orders.length, 4);
  await one.pass(1);
  assertEquals(authority.orders.length, 5);
});

// With 1,000 names, an authority that allows 300 orders was asked 700 times in a row, and refused each.
Deno.test("while the authority says that there are too many orders, it gets one a minute", async () => {
  const names = Array.from({ length: 50 }, (_, index) => `n${index}.example`);
  await using one = bed({ names });
  one.authority.failures.push(
    ...names.map(() => new AcmeError("too many", { problem: "rateLimited", retryAfterMs: 3 * HOUR })),
  );
  for (let minutes = 0; minutes < 10; minutes++) await one.pass(MINUTE);
  assert(one.authority.orders.length <= 11, `${one.authority.orders.length} orders`);
});

// With an authority that was away, each of 100 names waited for its own 20 s.
Deno.test("when the authority is away, one order for all names finds that out", async () => {
  const names = Array.from({ length: 100 }, (_, index) => `n${index}.example`);
  await using one = bed({ names });
  one.authority.failures.push(new AcmeError("connection refused", { concernsAll: true }));
  await one.pass(0);
  assertEquals(one.authority.orders.length, 1);
  assertEquals(new Set(one.renewals.certificates.map(({ error }) => error)), new Set(["connection refused"]));
  await one.pass(2 * MINUTE);
  await waitFor(() => one.authority.orders.length === 101, { what: "all orders" });
});

Deno.test("a name that fails does not keep the others from their certificates", async () => {
  await using one = bed({ names: ["bad.example", "good.example"] });
  one.authority.failures.push(new AcmeError("no such name"));
  await one.pass(0);
  assertEquals(one.renewals.certificates.map(({ certificate, error }) => [certificate !== undefined, error]), [
    [false, "no such name"],
    [true, null],
  ]);
});

// A reload in the middle of an order showed that the process had ended during it, and waited for a minute.
Deno.test("a reload in the middle of an order is no failure of that order", async () => {
  using state = new TemporaryDirectory();
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  authority.gate = new Promise(() => {});
  const folder = new StateFolder({ state: state.path, directory: "https://acme.example/dir", log: new RecordingLog() });
  const before = bed({ clock, authority, folder });
  await waitFor(() => authority.orders.length === 1, { what: "the first order" });
  await using after = bed({ clock, authority, folder });
  await before[Symbol.asyncDispose]();
  authority.gate = Promise.resolve();
  assertEquals(after.renewals.certificates[0]?.error, null);
  await waitFor(async () => {
    await clock.advance(5000); // the lock was held
    return certOf(after) !== undefined;
  }, { what: "the certificate" });
  assertEquals(authority.orders.length, 2);
});

Deno.test("a restart uses what was kept", async () => {
  using state = new TemporaryDirectory();
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  let first: string | undefined;
  {
    await using one = bed({ state: state.path, clock, authority });
    await one.pass(0);
    first = certOf(one);
  }
  await using one = bed({ state: state.path, clock, authority });
  assertEquals(certOf(one)?.trim(), first?.trim());
  await one.pass(DAY);
  assertEquals(authority.orders.length, 1);
});

Deno.test("of two processes with one folder, one orders and the other finds the certificate", async () => {
  using state = new TemporaryDirectory();
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  const gate = Promise.withResolvers<void>();
  authority.gate = gate.promise;
  await using one = bed({ state: state.path, clock, authority });
  await waitFor(() => authority.orders.length === 1, { what: "the first order" });
  await using other = bed({ state: state.path, clock, authority });
  await other.pass(5000);
  assertEquals(authority.orders.length, 1);
  gate.resolve();
  await waitFor(() => certOf(one) !== undefined, { what: "the certificate" });
  await waitFor(async () => {
    await clock.advance(5000);
    return certOf(other) !== undefined;
  }, { what: "the certificate of the other process" });
  assertEquals(certOf(other)?.trim(), certOf(one)?.trim());
  assertEquals(authority.orders.length, 1);
});

// A process that was killed in each order ordered again at each start, and used up what the authority allows.
Deno.test("an order that the process did not survive counts as failed; one that it gave up in peace does not", async () => {
  using state = new TemporaryDirectory();
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  authority.gate = new Promise(() => {});
  const killed = bed({ state: state.path, clock, authority }); // its order never ends
  await waitFor(() => authority.orders.length === 1, { what: "the first order" });
  using copy = new TemporaryDirectory();
  await new Deno.Command("cp", { args: ["-r", `${state.path}/acme`, copy.path] }).output();
  await killed[Symbol.asyncDispose]();
  authority.gate = Promise.resolve();
  {
    await using afterKill = bed({ state: copy.path, clock, authority });
    assertEquals(afterKill.renewals.certificates[0]?.error, "the process ended during the order");
    await afterKill.pass(MINUTE - 1);
    assertEquals(authority.orders.length, 1);
    await afterKill.pass(1);
    assertEquals(authority.orders.length, 2);
  }
  await using afterStop = bed({ state: state.path, clock, authority });
  await waitFor(() => authority.orders.length === 3, { what: "an order at once" });
  await afterStop.pass(0);
});

Deno.test("an authority whose certificates are due at once is asked once a minute, not in a circle", async () => {
  await using one = bed({ lifeMs: 2000 });
  await one.pass(10 * MINUTE);
  assert(one.authority.orders.length <= 11, `${one.authority.orders.length} orders`);
});

Deno.test("whatever an authority does: no certificate is lost, and no name is ordered too soon", async () => {
  const failure = fc.option(
    fc.record({
      retryAfterMs: fc.option(fc.integer({ min: 1, max: 2 * HOUR }), { nil: undefined }),
      concernsAll: fc.boolean(),
    }),
    { nil: undefined },
  );
  const plan = fc.record({
    failures: fc.array(failure, { maxLength: 12 }),
    lifeMs: fc.constantFrom(1000, 10 * MINUTE, HOUR, DAY),
    steps: fc.array(fc.integer({ min: 1, max: 2 * HOUR }), { minLength: 1, maxLength: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ failures, lifeMs, steps }) => {
      await using one = bed({ names: ["one.example", "two.example"], lifeMs });
      const wishes: { readonly name: string; readonly fromMs: number; readonly untilMs: number }[] = [];
      const left = [...failures];
      one.authority.failWith = (name) => {
        const next = left.shift();
        if (next === undefined) return undefined;
        const nowMs = one.clock.now();
        if (next.retryAfterMs !== undefined) wishes.push({ name, fromMs: nowMs, untilMs: nowMs + next.retryAfterMs });
        return new AcmeError("no", next);
      };
      const had = new Set<number>();
      for (const step of steps) {
        await one.pass(step);
        one.renewals.certificates.forEach(({ certificate }, index) => {
          assert(certificate !== undefined || !had.has(index), "a certificate is lost");
          if (certificate !== undefined) had.add(index);
        });
      }
      for (const name of ["one.example", "two.example"]) {
        const times = one.authority.orders.filter((order) => order.name === name).map(({ atMs }) => atMs);
        times.slice(1).forEach((at, index) => assert(at - (times[index] ?? 0) >= MINUTE, "too soon"));
        for (const wish of wishes.filter((wish) => wish.name === name)) {
          assert(!times.some((at) => at > wish.fromMs && at < wish.untilMs), "before the time that was named");
        }
      }
    }),
    { numRuns: 25 },
  );
});

// Replicas

/** What replicas share, in memory. */
class FakeShared implements SharedCertificates {
  isAway = false;
  #locked = false;
  #version = 0;
  #certificates = new Map<string, ServerCertificate>();

  async lock(): Promise<AsyncDisposable | undefined> {
    await this.#there();
    if (this.#locked) return undefined;
    this.#locked = true;
    return {
      [Symbol.asyncDispose]: () => {
        this.#locked = false;
        return Promise.resolve();
      },
    };
  }
  async version(): Promise<string | undefined> {
    await this.#there();
    return this.#certificates.size === 0 ? undefined : `${this.#version}`;
  }
  async certificate(name: string): Promise<ServerCertificate | undefined> {
    await this.#there();
    return this.#certificates.get(name);
  }
  async keepCertificate(name: string, certificate: ServerCertificate): Promise<void> {
    await this.#there();
    this.#version++;
    this.#certificates.set(name, certificate);
  }
  clear(): void {
    this.#certificates.clear();
  }
  async account(): Promise<undefined> {
    await this.#there();
  }
  async keepAccount(): Promise<void> {
    await this.#there();
  }
  #there(): Promise<void> {
    return this.isAway ? Promise.reject(new SharedAwayError("away")) : Promise.resolve();
  }
}

Deno.test("of two replicas one orders, and the other has the certificate soon, also after the store was emptied", async () => {
  const clock = new ManualClock();
  const authority = new FakeAuthority(clock);
  const shared = new FakeShared();
  await using one = bed({ clock, authority, shared });
  await using other = bed({ clock, authority, shared });
  await waitFor(() => certOf(one) !== undefined || certOf(other) !== undefined, { what: "a certificate" });
  await one.pass(10_000);
  assertEquals(certOf(one), certOf(other));
  assertEquals(authority.orders.length, 1);
  shared.clear();
  await one.pass(10_000);
  await using third = bed({ clock, authority, shared });
  await third.pass(10_000);
  assertEquals(certOf(third), certOf(one));
  assertEquals(authority.orders.length, 1);
});

Deno.test("without the store a replica renews alone, but only halfway to the end", async () => {
  const clock = new ManualClock();
  const shared = new FakeShared();
  await using one = bed({ clock, shared, lifeMs: HOUR });
  await one.pass(0);
  shared.isAway = true;
  await one.pass(45 * MINUTE);
  assertEquals(one.authority.orders.length, 1);
  await one.pass(10 * MINUTE);
  assertEquals(one.authority.orders.length, 2);
});
