// Guards that decide later: until then nothing of a request goes anywhere, and whatever ends it meanwhile, nothing is left
// of it. The first guards decided at once, so that nothing of this had a place.

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { authUnavailable, clientGone, tooManyAtOnce, unauthorized } from "../../../src/failures.ts";
import type { Decision, Guard, PassingRequest } from "../../../src/guards/guard.ts";
import { Guards } from "../../../src/guards/guards.ts";
import { Holdings } from "../../../src/guards/holdings.ts";
import { LooseNames } from "../../../src/http1/loose_name.ts";
import { Bench, FakeExchange, OK } from "../../support/forwarder_bench.ts";
import { valueIn } from "../../support/routed_bench.ts";

/** A guard whose decision a test makes. */
class HeldGuard implements Guard {
  readonly owned = ["X-User"];
  readonly asked: PassingRequest[] = [];
  readonly #decision = Promise.withResolvers<Decision>();

  check(request: PassingRequest): Promise<Decision> {
    this.asked.push(request);
    const giveUp = () => this.decide(authUnavailable("nobody wants to know any more"));
    if (request.signal.aborted) giveUp();
    else request.signal.addEventListener("abort", giveUp);
    return this.#decision.promise;
  }

  decide(decision: Decision): void {
    this.#decision.resolve(decision);
  }

  fail(error: unknown): void {
    this.#decision.reject(error);
  }

  explain() {
    return { refusal: undefined, reason: "" };
  }
}

/** Takes a place, and counts how often it is given back. */
class PlaceGuard implements Guard {
  taken = 0;
  given = 0;

  check(request: PassingRequest): undefined {
    this.taken++;
    request.hold({ giveBack: () => void this.given++ });
  }

  explain() {
    return { refusal: undefined, reason: "" };
  }
}

function held(guard: Guard, bodyLimit = Infinity) {
  const place = new PlaceGuard();
  const guards = new Guards([["concurrency", place], ["auth", guard]]);
  const bench = new Bench({ rules: { guards }, limits: { maxBodyBytes: bodyLimit } });
  return { bench, place, [Symbol.dispose]: () => bench[Symbol.dispose]() };
}

/** Lets everything run that waits for nothing but a turn. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

Deno.test("a request whose guard decides later goes nowhere until then, and then where it would have gone", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const { bench, place } = setup;
  const exchange = new FakeExchange([OK], { method: "POST", bodyBytes: 4 });
  const handled = bench.forwarder.handle(exchange);
  await turns();
  assertEquals([exchange.story, place.given, guard.asked.length], [[], 0, 1]);
  assert(exchange.limits !== undefined, "what it goes by is known from the beginning: the client may leave");
  guard.decide(undefined);
  await handled;
  assertEquals([exchange.story, place.given], [["1", "relay 200"], 1]);
  bench.mustBeIdle();
});

Deno.test("a late refusal is answered like one at once, and nothing is counted at the pool", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const { bench, place } = setup;
  const exchange = new FakeExchange([OK]);
  const handled = bench.forwarder.handle(exchange);
  guard.decide(unauthorized("no"));
  await handled;
  assertEquals([exchange.story, place.given], [["answer 401"], 1]);
  assertEquals(valueIn(exchange.problem?.headers ?? [], "content-type"), "application/problem+json");
  assertEquals([bench.shared.counts.sums().requests, bench.shared.memory.requestTotals().failed], [0, 0]);
  bench.mustBeIdle();
});

Deno.test("a guard that fails lets nobody pass", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const exchange = new FakeExchange([OK]);
  const handled = setup.bench.forwarder.handle(exchange);
  guard.fail(new Error("a bug"));
  await handled;
  assertEquals([exchange.story, setup.place.given], [["answer 500"], 1]);
  setup.bench.mustBeIdle();
});

Deno.test("a client that leaves while a guard decides ends the question, and gives its place back once", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const exchange = new FakeExchange([OK]);
  const handled = setup.bench.forwarder.handle(exchange);
  await turns();
  assertEquals(guard.asked[0]?.signal.aborted, false);
  exchange.leave();
  assertEquals(guard.asked[0]?.signal.aborted, true);
  await handled;
  assertEquals([exchange.story, setup.place.given], [["answer 499"], 1]);
  setup.bench.mustBeIdle();
});

Deno.test("a request that is broken off already has a signal that says so", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const exchange = new FakeExchange([OK]);
  exchange.brokenOff = clientGone();
  await setup.bench.forwarder.handle(exchange);
  assertEquals([exchange.story, guard.asked[0]?.signal.aborted], [["answer 499"], true]);
});

Deno.test("the size of a body is looked at after the guards, whenever they decide", async () => {
  const guard = new HeldGuard();
  using setup = held(guard, 3);
  const exchange = new FakeExchange([OK], { method: "POST", bodyBytes: 4 });
  const handled = setup.bench.forwarder.handle(exchange);
  await turns();
  assertEquals(exchange.story, []);
  guard.decide(undefined);
  await handled;
  assertEquals(exchange.story, ["answer 413"]);
});

Deno.test("a whole answer of a guard reaches the client with its request's id, and counts as refused", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const exchange = new FakeExchange([OK], { headers: [["x-request-id", "abc"]] });
  const handled = setup.bench.forwarder.handle(exchange);
  guard.asked[0]?.tell(["x-told", "1"]);
  const body = new TextEncoder().encode("log in");
  guard.decide(unauthorized("no", { answer: { status: 302, title: "Found", headers: [["location", "/in"]], body } }));
  await handled;
  assertEquals(exchange.story, ["answer 302"]);
  assertEquals(exchange.problem?.headers, [["location", "/in"], ["x-request-id", "abc"], ["x-told", "1"]]);
  assertEquals(setup.bench.shared.memory.requestTotals().failed, 0);
});

Deno.test("guards behind one that decides later are asked after it, and only if it lets the request pass", async () => {
  const refusing: Guard = { check: () => tooManyAtOnce(), explain: () => ({ refusal: undefined, reason: "" }) };
  for (const decision of [undefined, unauthorized("no")]) {
    const guard = new HeldGuard();
    using bench = new Bench({ rules: { guards: new Guards([["auth", guard], ["concurrency", refusing]]) } });
    const exchange = new FakeExchange([OK]);
    const handled = bench.forwarder.handle(exchange);
    guard.decide(decision);
    await handled;
    assertEquals(exchange.story, [decision === undefined ? "answer 503" : "answer 401"]);
  }
});

Deno.test("a request that a guard lets pass has the headers that the guard gave it, in place of any by their names", async () => {
  const guard = new HeldGuard();
  using setup = held(guard);
  const exchange = new FakeExchange([OK], { headers: [["X-Other", "1"], ["x_role", "admin"], ["X-Role", "admin"]] });
  const handled = setup.bench.forwarder.handle(exchange);
  guard.asked[0]?.give(["x-user", "me"], ["x-role", "guest"]);
  guard.decide(undefined);
  await handled;
  const sent = exchange.sent[0]?.headers.filter(([name]) => /user|role|other/i.test(name));
  assertEquals(sent, [["X-Other", "1"], ["x-user", "me"], ["x-role", "guest"]]);
});

Deno.test("LooseNames.has() finds a name however careless programs may read it, and no other", () => {
  const names = new LooseNames(["X-User", "x_email.address"]);
  const name = fc.constantFrom("X-User", "X-Email-Address").chain((usual) =>
    fc.tuple(
      ...Array.from(
        usual,
        (letter) =>
          letter === "-"
            ? fc.constantFrom(..."-_.!#$%&'*+^`|~")
            : fc.constantFrom(letter.toLowerCase(), letter.toUpperCase()),
      ),
    )
  ).map((letters) => letters.join(""));
  fc.assert(fc.property(name, (spelled) => names.has(spelled)));
  for (const other of ["X-Use", "X-User-", "XUser", "X-Usar", "x-email-addres", ""]) {
    assertEquals(names.has(other), false);
  }
});

Deno.test("Holdings keeps what configurations go on naming, and disposes of the rest once", () => {
  const disposed: string[] = [];
  class Held implements Disposable {
    constructor(readonly setting: { readonly url: string }) {}
    [Symbol.dispose](): void {
      disposed.push(this.setting.url);
    }
  }
  using holdings = new Holdings();
  const [a, b] = holdings.renew(() => ["a", "b"].map((url) => holdings.obtain(Held, { url })));
  assert(a !== b);
  const again = holdings.renew(() => holdings.obtain(Held, { url: "a" }));
  assert(again === a);
  assertEquals(disposed, ["b"]);
  holdings.renew(() => holdings.obtain(Held, { url: "c" }));
  assertEquals(disposed, ["b", "a"]);
  holdings[Symbol.dispose]();
  assertEquals(disposed, ["b", "a", "c"]);
});
