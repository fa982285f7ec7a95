// A pool whose backends are the endpoints of a Kubernetes service, with the real program and a stand-in API server.

import { assert, assertEquals } from "@std/assert";
import { TemporaryDirectory } from "../support/certificates.ts";
import { HttpBackend } from "../support/http_backend.ts";
import { type EndpointOptions, KubernetesApiStandIn, sliceJson } from "../support/kubernetes_api.ts";
import { OWN_HOST } from "../support/own_host.ts";
import { Program } from "../support/program.ts";
import { Relay } from "../support/relay.ts";
import { waitFor } from "../support/wait.ts";

const ENGINES = ["fetch", "wire"] as const;

/** A pod of the service: a backend in an EndpointSlice of its own, since each has its own port here. */
class Pod implements AsyncDisposable {
  readonly name: string;
  /** Requests of clients that it got. */
  requests = 0;
  readonly backend: HttpBackend;

  constructor(name: string) {
    this.name = name;
    this.backend = new HttpBackend(async (request) => {
      if (!request.url.endsWith("/work")) return new Response("healthy");
      this.requests++;
      await new Promise((resolve) => setTimeout(resolve, this.requests % 5 === 0 ? 50 : 1));
      return new Response(name);
    });
  }

  get url(): string {
    return this.backend.url;
  }

  slice(options: Omit<EndpointOptions, "address"> = {}): Record<string, unknown> {
    const ports = [{ name: "http", port: this.backend.port }, { name: "metrics", port: 9090 }];
    return sliceJson(`web-${this.name}`, [{ address: OWN_HOST, ...options }], { ports });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend[Symbol.asyncDispose]();
  }
}

interface Shown {
  readonly backends: readonly { readonly url: string; readonly alive: boolean; readonly state: string }[];
  readonly requests: { readonly active: number; readonly failed: number };
  readonly pools: Record<
    string,
    { readonly source: { readonly kind: string; readonly ok: boolean; readonly error: string | null } }
  >;
}

async function statusOf(program: Program): Promise<Shown> {
  return await (await fetch(`${program.adminUrl}/status`)).json();
}

/** Starts the program with a pool that follows the service. */
async function start(api: string, engine: string, folder: TemporaryDirectory): Promise<Program> {
  const discover = { kubernetes: "shop/web:http", api, drain: "5s" };
  const health = { path: "/healthy", interval: "200ms" };
  const proxy = { host: "127.0.0.1", port: 0 };
  const config = folder.write("config.json", JSON.stringify({ proxy, admin: { port: 0 }, discover, health }));
  return await Program.start(["--config", config, "--engine", engine]);
}

/** Clients that send GET requests all the time, until they are stopped. */
class Load {
  readonly failures: string[] = [];
  readonly answers = new Map<string, number>();
  #stopped = false;
  readonly #clients: Promise<void>[];

  constructor(url: string, clients = 4) {
    this.#clients = Array.from({ length: clients }, () => this.#run(url));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#clients);
  }

  async #run(url: string): Promise<void> {
    while (!this.#stopped) {
      try {
        const response = await fetch(`${url}/work`);
        const text = await response.text();
        if (response.status !== 200) this.failures.push(`${response.status} ${text}`);
        else this.answers.set(text, (this.answers.get(text) ?? 0) + 1);
      } catch (error) {
        this.failures.push(String(error));
      }
    }
  }
}

for (const engine of ENGINES) {
  Deno.test(`${engine}: a rolling update under load loses no request, and no pod that has gone gets one`, async () => {
    await using api = new KubernetesApiStandIn();
    using folder = new TemporaryDirectory();
    await using stack = new AsyncDisposableStack();
    const podNamed = (name: string) => stack.use(new Pod(name));
    const old = ["old-1", "old-2", "old-3"].map(podNamed);
    api.put(old.map((pod) => pod.slice()));
    await using program = await start(api.url, engine, folder);
    await waitFor(async () => (await statusOf(program)).backends.filter(({ alive }) => alive).length === 3, {
      what: "three backends",
      timeoutMs: 60_000,
    });
    const load = new Load(program.url);
    const gone: { pod: Pod; requests: number }[] = [];
    for (const [index, pod] of old.entries()) {
      const next = podNamed(`new-${index + 1}`);
      api.put([next.slice({ ready: false })]);
      api.put([next.slice()]);
      await waitFor(() => load.answers.has(next.name), { what: `an answer of ${next.name}`, timeoutMs: 60_000 });
      api.put([pod.slice({ terminating: true, serving: true })]);
      if (index === 1) api.endWatches();
      api.put([pod.slice({ terminating: true, serving: false })]);
      api.remove(`web-${pod.name}`);
      await waitFor(async () => (await statusOf(program)).backends.every(({ url }) => url !== pod.url), {
        what: `the removal of ${pod.name}`,
        timeoutMs: 60_000,
      });
      gone.push({ pod, requests: pod.requests });
    }
    const before = gone.map(({ requests }) => requests);
    const [first] = load.answers.keys();
    assert(first !== undefined);
    const answers = () => [...load.answers.values()].reduce((sum, count) => sum + count, 0);
    const enough = answers() + 100;
    await waitFor(() => answers() >= enough, { what: "more answers", timeoutMs: 60_000 });
    await load.stop();
    assertEquals(load.failures, []);
    assertEquals(gone.map(({ pod }) => pod.requests), before);
    for (const name of ["old-1", "old-2", "old-3", "new-1", "new-2", "new-3"]) assert(load.answers.has(name), name);
    const { requests, backends } = await statusOf(program);
    assertEquals([requests.active, requests.failed, backends.length], [0, 0, 3]);
  });

  Deno.test(`${engine}: the last pod serves while it terminates, and the next one takes over without a failure`, async () => {
    await using api = new KubernetesApiStandIn();
    using folder = new TemporaryDirectory();
    await using old = new Pod("old");
    await using next = new Pod("next");
    api.put([old.slice()]);
    await using program = await start(api.url, engine, folder);
    const load = new Load(program.url);
    await waitFor(() => load.answers.has("old"), { what: "an answer", timeoutMs: 60_000 });
    api.put([old.slice({ terminating: true, serving: true })]);
    const served = old.requests;
    await waitFor(() => old.requests >= served + 20, {
      what: "requests of the pod that terminates",
      timeoutMs: 60_000,
    });
    api.put([next.slice()]);
    await waitFor(() => load.answers.has("next"), { what: "an answer of the next pod", timeoutMs: 60_000 });
    api.remove("web-old");
    await waitFor(async () => (await statusOf(program)).backends.length === 1, {
      what: "the removal",
      timeoutMs: 60_000,
    });
    const { requests } = old;
    const answered = load.answers.get("next") ?? 0;
    await waitFor(() => (load.answers.get("next") ?? 0) >= answered + 50, { what: "more answers", timeoutMs: 60_000 });
    await load.stop();
    assertEquals([load.failures, old.requests], [[], requests]);
  });

  Deno.test(`${engine}: without the API server all goes on, /status says so, and its news counts once it is back`, async () => {
    await using first = new KubernetesApiStandIn();
    await using relay = new Relay({ hostname: OWN_HOST, port: first.port });
    using folder = new TemporaryDirectory();
    await using one = new Pod("one");
    await using two = new Pod("two");
    first.put([one.slice()]);
    await using program = await start(`http://${relay.host}`, engine, folder);
    const sourceOf = async () => (await statusOf(program)).pools["default"]?.source;
    await waitFor(async () => (await statusOf(program)).backends.length === 1, {
      what: "the backend",
      timeoutMs: 60_000,
    });
    assertEquals((await sourceOf())?.kind, "kubernetes");
    const load = new Load(program.url, 2);
    await waitFor(() => load.answers.has("one"), { what: "an answer", timeoutMs: 60_000 });
    first.answer = () => new Response("<html>", { status: 502 });
    relay.cut();
    await waitFor(async () => (await sourceOf())?.ok === false, { what: "the failure in /status", timeoutMs: 60_000 });
    assertEquals((await sourceOf())?.error, "the API server reports an error (502)");
    first.put([two.slice()]);
    const answered = load.answers.get("one") ?? 0;
    await waitFor(() => (load.answers.get("one") ?? 0) >= answered + 20, { what: "more answers", timeoutMs: 60_000 });
    first.answer = undefined;
    await waitFor(() => load.answers.has("two"), { what: "an answer of the second pod", timeoutMs: 60_000 });
    await waitFor(async () => (await sourceOf())?.ok === true, { what: "the recovery in /status", timeoutMs: 60_000 });
    await load.stop();
    assertEquals(load.failures, []);
  });
}
