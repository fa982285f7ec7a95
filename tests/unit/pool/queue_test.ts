import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ProxyError } from "../../../src/errors.ts";
import type { Lease } from "../../../src/pool/backend.ts";
import { ServerPool } from "../../../src/pool/server_pool.ts";
import { Memory, type PoolMemory } from "../../../src/memory/memory.ts";
import { NO_TICKET } from "../../../src/memory/waiting_line.ts";
import { RequestQueue, type Waiter } from "../../../src/pool/queue.ts";
import { backendSpec } from "../../support/pool.ts";

const ISOLATES = 3;
const LIMITS = { size: 12, timeoutMs: 60_000, holdMs: 0 };

/** Places at each of three backends. */
const PLACES = [1, 1, 2];

/** The looks of the queues, in the test's hands. No time passes, so no isolate counts as absent. */
class Looks implements Disposable {
  readonly #real = { setInterval: globalThis.setInterval, clearInterval: globalThis.clearInterval };
  readonly #now = Date.now;
  #callbacks = new Map<number, { readonly isolate: number; readonly callback: () => void }>();
  #last = 0;
  /** Whose queue is at work. */
  isolate = 0;

  constructor() {
    const now = Date.now();
    Date.now = () => now;
    Object.assign(globalThis, {
      setInterval: (callback: () => void) => {
        this.#callbacks.set(++this.#last, { isolate: this.isolate, callback });
        return this.#last;
      },
      clearInterval: (id: number) => void this.#callbacks.delete(id),
    });
  }

  look(isolate: number): void {
    for (const look of [...this.#callbacks.values()]) if (look.isolate === isolate) look.callback();
  }

  /** It has ended: nothing of it runs any more. */
  forget(isolate: number): void {
    for (const [id, look] of this.#callbacks) if (look.isolate === isolate) this.#callbacks.delete(id);
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
    Date.now = this.#now;
  }
}

interface Request {
  readonly isolate: number;
  /** Slots; `undefined`: whichever. */
  readonly wants: readonly number[] | undefined;
  readonly order: number;
  gone: boolean;
  /** It may take no place now and waits for none, as after a backend has broken off. */
  paused: boolean;
  /** The pause is over. It ends when the queue asks. */
  due: boolean;
}

/** Three isolates with one pool, and what an onlooker knows of all of them. */
class World {
  readonly looks = new Looks();
  readonly #control = new ServerPool(Memory.allocate(ISOLATES).pool(0));
  readonly #pools: ServerPool[];
  readonly #queues: RequestQueue[];
  readonly waiting = new Set<Request>();
  served: { readonly isolate: number; readonly lease: Lease }[] = [];
  #order = 0;

  constructor() {
    const { shared } = this.#control;
    const specs = PLACES.map((maxConnections, slot) => backendSpec(`http://backend-${slot}`, { maxConnections }));
    for (const spec of specs) this.#control.add(spec, "test");
    this.#pools = Array.from({ length: ISOLATES }, (_, isolate) => {
      const pool = new ServerPool(Memory.attach(shared.memory.sharedWith(isolate)).pool(0));
      specs.forEach((spec, slot) => pool.adopt(spec, slot, "test"));
      return pool;
    });
    this.#queues = this.#pools.map((pool) => new RequestQueue(pool.shared.line, Memory.allocate().metrics));
  }

  get shared(): PoolMemory {
    return this.#control.shared;
  }

  arrive(isolate: number, wants: readonly number[] | undefined, paused: boolean): void {
    this.looks.isolate = isolate;
    const request: Request = { isolate, wants, order: this.#order++, gone: false, paused, due: false };
    const lease = this.#tryLease(request, NO_TICKET);
    if (lease !== undefined) return void this.served.push({ isolate, lease });
    const waiter: Waiter = {
      tryLease: (ticket) => {
        const lease = this.#tryLease(request, ticket);
        if (lease === undefined) return undefined;
        this.waiting.delete(request);
        this.served.push({ isolate, lease });
        return lease;
      },
      get hopeless() {
        const { gone, due } = request;
        if (due) request.paused = request.due = false;
        return gone ? new ProxyError("gone", { code: "client_gone", side: "client", requestSent: false }) : undefined;
      },
      held: false,
      get slots() {
        return request.paused ? [] : wants;
      },
      limits: LIMITS,
    };
    const isFull = this.shared.line.queued() === LIMITS.size; // with those who have gone without being missed
    if (!isFull) this.waiting.add(request);
    this.#queues[isolate]?.wait(waiter).catch((error) => assert(request.gone || isFull, error.message));
  }

  finish(which: number): void {
    const [ended] = this.served.splice(which % this.served.length, 1);
    if (ended === undefined) return;
    ended.lease.release();
    this.#queues[ended.isolate]?.released(ended.lease.backend);
  }

  /** The end of a pause, or the beginning of one. */
  turn(which: number): void {
    const request = this.#waiting(which);
    if (request?.paused === true) request.due = true;
    else if (request !== undefined) request.paused = true;
  }

  resumeAll(): void {
    for (const request of this.waiting) request.due = request.paused;
  }

  leave(which: number): void {
    const request = this.#waiting(which);
    if (request === undefined) return;
    request.gone = true;
    this.waiting.delete(request);
  }

  /** It ends without a word; another takes its number. */
  die(isolate: number): void {
    this.looks.forget(isolate);
    for (const request of this.waiting) {
      if (request.isolate !== isolate) continue;
      request.gone = true;
      this.waiting.delete(request);
    }
    this.served = this.served.filter((request) => request.isolate !== isolate);
    this.shared.memory.reclaim(isolate);
    const line = this.#pools[isolate]?.shared.line;
    if (line !== undefined) this.#queues[isolate] = new RequestQueue(line, Memory.allocate().metrics);
  }

  /** Every isolate looks, until none finds anything: in the first pass one may find only that a client has gone. */
  settle(): void {
    for (let idle = 0, served = -1; idle < 2; idle = served === this.served.length ? idle + 1 : 0) {
      served = this.served.length;
      for (let isolate = 0; isolate < ISOLATES; isolate++) this.looks.look(isolate);
    }
  }

  /** Nobody waits for a place that is free; whoever was told a number is told the right one. */
  check(): void {
    for (const { wants, paused } of this.waiting) {
      if (paused) continue;
      for (const slot of wants ?? PLACES.keys()) {
        assert(this.shared.memory.connections.room(slot) <= 0, `somebody waits for ${slot}`);
      }
    }
    assertEquals(this.shared.line.queued(), this.waiting.size);
    PLACES.forEach((_, slot) => {
      const held = this.served.filter(({ lease }) => lease.backend.slot === slot).length;
      assertEquals(this.shared.memory.connections.current(slot), held);
    });
  }

  #waiting(which: number): Request | undefined {
    return [...this.waiting][which % this.waiting.size];
  }

  #tryLease(request: Request, ticket: number): Lease | undefined {
    if (request.paused) return undefined;
    for (const backend of this.#pools[request.isolate]?.backends ?? []) {
      if (request.wants?.includes(backend.slot) === false || !backend.hasRoomFor(ticket)) continue;
      const room = (backend.maxConnections ?? 0) - backend.currentConnections;
      const others = this.shared.line.queued() - (ticket === NO_TICKET ? 0 : 1);
      const lease = backend.lease();
      const overtaken = [...this.waiting].filter(({ order, wants, paused }) =>
        order < request.order && !paused && wants?.includes(backend.slot) !== false
      );
      if (lease !== undefined && room <= others) assertEquals(overtaken, [], "an older request could use the place");
      return lease;
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    for (let isolate = 0; isolate < ISOLATES; isolate++) this.die(isolate);
    this.looks[Symbol.dispose]();
  }
}

const isolate = fc.nat(ISOLATES - 1);
const wants = fc.oneof(
  fc.constant(undefined),
  fc.subarray([0, 1, 2], { minLength: 1 }),
);
const paused = fc.nat(3).map((draw) => draw === 0);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("arrive" as const), isolate, wants, paused }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("finish" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("look" as const), isolate }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("turn" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("leave" as const), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("die" as const), isolate }) },
);

// One whose pause was over stood in no line until the next look, and younger ones got its place.
// A place that came free went to whoever waited in the same isolate, and new requests took it from those that waited.
Deno.test("RequestQueue is first in, first out over all isolates, for each backend, and leaves no place empty", () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
    using world = new World();
    for (const step of steps) {
      if (step.type === "arrive") world.arrive(step.isolate, step.wants, step.paused);
      else if (step.type === "finish") world.finish(step.which);
      else if (step.type === "turn") world.turn(step.which);
      else if (step.type === "leave") world.leave(step.which);
      else if (step.type === "die") world.die(step.isolate);
      else world.looks.look(step.isolate);
    }
    world.settle();
    world.check();
    world.resumeAll();
    world.settle();
    world.check();
    while (world.served.length > 0) {
      world.finish(0);
      world.settle();
      world.check();
    }
    assertEquals([world.waiting.size, world.shared.line.empty], [0, true]);
  }));
});
