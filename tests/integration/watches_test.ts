// Every source that watches, behind a network and before a server that fail at random. The watch must come back from
// whatever happens: in the end the list is the true one, and in between it is one that was true at some time.
//
// In another proxy a watch that had died once never came back, and requests went to addresses of long ago.

import { assertEquals } from "@std/assert";
import type { Clock } from "../../src/net/clock.ts";
import { DockerSource } from "../../src/sources/docker/docker.ts";
import { EtcdSource } from "../../src/sources/etcd/etcd.ts";
import { KubernetesSource } from "../../src/sources/kubernetes/kubernetes.ts";
import type { BackendSource } from "../../src/sources/source.ts";
import { DockerStandIn } from "../support/docker_stand_in.ts";
import { EtcdStandIn } from "../support/etcd_stand_in.ts";
import { KubernetesApiStandIn, sliceJson } from "../support/kubernetes_api.ts";
import { OWN_HOST } from "../support/own_host.ts";
import { seededRandom } from "../support/random.ts";
import { Relay, type RelayTarget } from "../support/relay.ts";
import { Told } from "../support/source.ts";
import { waitFor } from "../support/wait.ts";

/** A server that a source watches, with up to four backends: the numbers 1 to 4. */
interface Watched extends AsyncDisposable {
  readonly target: RelayTarget;
  source(relay: Relay, clock: Clock): BackendSource;
  add(number: number): void;
  remove(number: number): void;
  /** Requests get no answer from now on. */
  freeze(): void;
  thaw(): void;
  /** Ends all watches, as a server does that is stopped. */
  endWatches(): void;
}

const NUMBERS = [1, 2, 3, 4];

const addressOf = (number: number) => `10.0.0.${number}`;

/** What a source must find then. Its order does not matter. */
function urlsOf(numbers: ReadonlySet<number>): string[] {
  return NUMBERS.filter((number) => numbers.has(number)).map((number) => `http://${addressOf(number)}:8080`);
}

function kubernetes(): Watched {
  const api = new KubernetesApiStandIn();
  return {
    target: { hostname: OWN_HOST, port: api.port },
    source: (relay, clock) =>
      new KubernetesSource({
        namespace: "shop",
        service: "web",
        port: null,
        scheme: "http",
        api: `http://${relay.host}`,
        token: null,
        ca: null,
      }, { clock, random: () => 0.5 }),
    add: (number) => api.put([sliceJson(`web-${number}`, [addressOf(number)])]),
    remove: (number) => api.remove(`web-${number}`),
    freeze: () => api.freeze(),
    thaw: () => api.thaw(),
    endWatches: () => api.endWatches(),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

function docker(): Watched {
  const api = new DockerStandIn();
  return {
    target: { transport: "unix", path: api.host.slice("unix://".length) },
    source: (relay, clock) =>
      new DockerSource({
        label: "roundhouse.pool",
        value: "api",
        port: 8080,
        scheme: "http",
        network: null,
        host: `tcp://${relay.host}`,
      }, { clock, random: () => 0.5 }),
    add: (number) => api.start(`web-${number}`, { networks: { app: addressOf(number) } }),
    remove: (number) => api.stop(`web-${number}`),
    freeze: () => void (api.isFrozen = true),
    thaw: () => api.thaw(),
    endWatches: () => api.dropStreams(),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

function etcd(): Watched {
  const store = new EtcdStandIn();
  return {
    target: { hostname: "127.0.0.1", port: Number(new URL(store.url).port) },
    source: (relay, clock) =>
      new EtcdSource({ prefix: "/api/", endpoints: [`http://${relay.host}`], user: null, password: null }, {
        clock,
        random: () => 0.5,
      }),
    add: (number) => store.put(`/api/${number}`, `http://${addressOf(number)}:8080`),
    remove: (number) => store.delete(`/api/${number}`),
    freeze: () => void (store.isFrozen = true),
    thaw: () => store.thaw(),
    endWatches: () => store.dropWatches(),
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

/** Every source that watches a server. */
const KINDS: Readonly<Record<string, () => Watched>> = { kubernetes, docker, etcd };

/** How many times faster than the real time it is. Limits of ten seconds still leave a busy machine one second. */
const SPEED = 10;

const fastClock: Clock = {
  now: () => performance.now() * SPEED,
  after(ms, callback) {
    const timer = setTimeout(callback, ms / SPEED);
    return () => clearTimeout(timer);
  },
};

const FAULTS = ["cut", "lose", "freeze", "thaw", "end", "change", "change", "wait"] as const;

/** What is on the server, and every list that was ever true. */
class Truth {
  readonly past = new Set([JSON.stringify([])]);
  readonly #watched: Watched;
  readonly #numbers = new Set<number>();

  constructor(watched: Watched) {
    this.#watched = watched;
  }

  get urls(): string[] {
    return urlsOf(this.#numbers);
  }

  /** Makes one change after the other, so that every list that a source may see is remembered. */
  set(...wanted: readonly number[]): void {
    for (const number of NUMBERS) {
      if (wanted.includes(number) === this.#numbers.has(number)) continue;
      if (this.#numbers.delete(number)) this.#watched.remove(number);
      else {
        this.#numbers.add(number);
        this.#watched.add(number);
      }
      this.past.add(JSON.stringify(this.urls));
    }
  }
}

/** Waits until the last word is the true list. */
async function finds(told: Told, { urls }: Truth): Promise<void> {
  const isTrue = () => {
    const last = told.all.at(-1);
    return Array.isArray(last) && JSON.stringify(last.toSorted()) === JSON.stringify(urls);
  };
  await waitFor(isTrue, { what: `the list ${urls}`, timeoutMs: 60_000 });
}

async function survives(kind: () => Watched, seed: number): Promise<void> {
  const random = seededRandom(seed);
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)] as T; // none of them is empty
  await using watched = kind();
  await using relay = new Relay(watched.target);
  const truth = new Truth(watched);
  truth.set(1, 2);
  await using told = new Told(watched.source(relay, fastClock));
  await finds(told, truth);
  const happened: string[] = [];
  for (let step = 0; step < 12; step++) {
    const fault = pick(FAULTS);
    happened.push(fault);
    if (fault === "cut") relay.cut();
    else if (fault === "lose") relay.lose();
    else if (fault === "freeze") watched.freeze();
    else if (fault === "thaw") watched.thaw();
    else if (fault === "end") watched.endWatches();
    else if (fault === "change") truth.set(...NUMBERS.filter(() => random() < 0.5));
    if (fault === "wait" || random() < 0.5) await new Promise((resolve) => setTimeout(resolve, random() * 300));
  }
  watched.thaw();
  truth.set(pick(NUMBERS));
  try {
    await finds(told, truth);
  } catch (error) {
    throw new Error(`seed ${seed}: ${happened.join(", ")}`, { cause: error });
  }
  assertEquals(
    told.lists.filter((list) => !truth.past.has(JSON.stringify(list.toSorted()))),
    [],
    `seed ${seed}: never true`,
  );
}

for (const [name, kind] of Object.entries(KINDS)) {
  Deno.test(`${name}: the watch comes back from any faults of network and server, to the true list`, async () => {
    const seeds = Array.from({ length: 6 }, (_, index) => index + 1);
    await Promise.all(seeds.map((seed) => survives(kind, seed)));
  });

  Deno.test(`${name}: a connection that breaks off again and again loses no change`, async () => {
    await using watched = kind();
    await using relay = new Relay(watched.target);
    const truth = new Truth(watched);
    truth.set(1);
    await using told = new Told(watched.source(relay, fastClock));
    await finds(told, truth);
    for (let round = 0; round < 10; round++) {
      const { connections } = relay;
      relay.cut();
      truth.set(1 + round % 4, 1 + (round + 2) % 4);
      await finds(told, truth);
      await waitFor(() => relay.connections > connections, { what: "another connection" });
    }
  });
}
