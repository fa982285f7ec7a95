// Backends of a Kubernetes service, from an API server that may be slow, silent, gone or wrong. After each of that, the
// list is the true one again, and meanwhile it is the last one.

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Pod } from "../../../../src/sources/kubernetes/access.ts";
import type { Clock } from "../../../../src/net/clock.ts";
import { type KubernetesSettings, KubernetesSource } from "../../../../src/sources/kubernetes/kubernetes.ts";
import { HttpBackend } from "../../../support/http_backend.ts";
import { OWN_HOST } from "../../../support/own_host.ts";
import { Relay } from "../../../support/relay.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../../../support/certificates.ts";
import { KubernetesApiStandIn, sliceJson, status } from "../../../support/kubernetes_api.ts";
import { Told } from "../../../support/source.ts";
import { ManualClock, waitFor } from "../../../support/wait.ts";

const SETTINGS = {
  namespace: "shop",
  service: "web",
  port: null,
  scheme: "http",
  api: null,
  token: null,
  ca: null,
} as const;

const NOWHERE: Pod = { env: () => undefined, folder: "/nowhere" };

/** The real time, but pauses after failures are short, and are remembered. Limits are long, for a busy machine. */
class QuickClock implements Clock {
  readonly pauses: number[] = [];

  now(): number {
    return Date.now();
  }

  after(ms: number, callback: () => void): () => void {
    const isPause = ms < 10_000;
    if (isPause) this.pauses.push(ms);
    const timer = setTimeout(callback, isPause ? 1 : ms * 20);
    return () => clearTimeout(timer);
  }
}

interface RunningOptions {
  readonly clock?: Clock;
  readonly pod?: Pod;
}

/** A source that runs until it is disposed of. */
class Running extends Told {
  constructor(settings: Partial<KubernetesSettings>, { clock = new QuickClock(), pod = NOWHERE }: RunningOptions = {}) {
    super(new KubernetesSource({ ...SETTINGS, ...settings }, { clock, random: () => 0.4, pod }));
  }

  /** Waits for a failure. It may have been mended since. */
  async hasFailed(message: string): Promise<void> {
    await waitFor(() => this.failures.some((error) => error.includes(message)), { what: message })
      .catch((error) => {
        throw new Error(`${error.message}: ${JSON.stringify(this.failures)}`);
      });
  }
}

function slice(name: string, ...last: readonly number[]): Record<string, unknown> {
  return sliceJson(name, last.map((byte) => `10.0.0.${byte}`));
}

function addresses(...last: readonly number[]): string[] {
  return last.map((byte) => `http://10.0.0.${byte}:8080`);
}

/** Waits until the source knows that its watch is open: there is one list for the list, and one for each watch. */
async function opened(running: Running, watches: number): Promise<void> {
  await waitFor(() => running.lists.length > watches, {
    what: `the word that watch ${watches} is open`,
    timeoutMs: 20_000,
  });
}

/** Waits until a number of watches is open, all in all. */
async function watched(api: KubernetesApiStandIn, times: number): Promise<void> {
  await waitFor(() => api.count("watch") >= times && api.watches > 0, { what: `watch ${times}` });
}

Deno.test("the source lists the slices of a service and follows their changes", async () => {
  await using api = new KubernetesApiStandIn();
  api.put([slice("web-a", 1, 2), slice("web-b", 3)]);
  await using running = new Running({ api: `${api.url}/`, token: "abc" });
  await running.finds(...addresses(1, 2, 3));
  await watched(api, 1);
  const [list, watch] = api.asked;
  assertEquals(Object.fromEntries(list?.query ?? []), {
    labelSelector: "kubernetes.io/service-name=web",
    limit: "100",
  });
  assertEquals(Object.fromEntries(watch?.query ?? []), {
    labelSelector: "kubernetes.io/service-name=web",
    watch: "true",
    allowWatchBookmarks: "true",
    resourceVersion: api.version,
    timeoutSeconds: "34",
  });
  assertEquals(api.asked.map(({ authorization }) => authorization), ["Bearer abc", "Bearer abc"]);
  api.put([slice("web-c", 4), slice("web-a", 2)]);
  await running.finds(...addresses(2, 3, 4));
  api.put([sliceJson("web-c", [{ address: "10.0.0.4", terminating: true, serving: true }])]);
  const isLeaving = () => running.last.map(({ leaving }) => leaving === true);
  await waitFor(() => isLeaving().includes(true), { what: "the endpoint that terminates" });
  assertEquals([running.lists.at(-1), isLeaving()], [addresses(2, 3, 4), [false, false, true]]);
  api.remove("web-a", "web-b", "web-c");
  await running.finds();
  assertEquals([running.failures, api.asked.length], [[], 2]);
});

Deno.test("the source reads a list of several pages, and begins again when a page is too old", async () => {
  await using api = new KubernetesApiStandIn();
  api.pageSize = 2;
  api.put(Array.from({ length: 5 }, (_, at) => slice(`web-${at}`, at + 1)));
  let pages = 0;
  api.answer = (asked) => asked.query.has("continue") && ++pages === 2 ? status(410, "too old") : undefined;
  await using running = new Running({ api: api.url });
  await running.finds(...addresses(1, 2, 3, 4, 5));
  assertEquals([running.failures, api.count("list"), pages], [[], 6, 4]);
});

Deno.test("a watch that ends or breaks off is opened again where it ended, also after a bookmark", async () => {
  for (const breaksOff of [false, true]) {
    await using api = new KubernetesApiStandIn();
    await using relay = new Relay({ hostname: OWN_HOST, port: api.port });
    const end = () => breaksOff ? relay.cut() : api.endWatches();
    api.put([slice("web-a", 1)]);
    await using running = new Running({ api: `http://${relay.host}` });
    await watched(api, 1);
    api.put([slice("web-a", 2)]);
    await running.finds(...addresses(2));
    const { version } = api;
    end();
    await waitFor(() => api.watches === 0 || api.count("watch") > 1, { what: "the end of the watch" });
    api.put([slice("web-a", 3)]); // perhaps while no watch is open
    await running.finds(...addresses(3));
    assertEquals(api.asked.findLast(({ kind }) => kind === "watch")?.query.get("resourceVersion"), version);
    await watched(api, 2);
    const { length } = running.lists;
    api.bookmark();
    await waitFor(() => running.lists.length > length, { what: "the bookmark" });
    const bookmarked = api.version;
    api.compact();
    end();
    await waitFor(() => api.count("watch") > 2, { what: "the third watch" });
    assertEquals(api.asked.findLast(({ kind }) => kind === "watch")?.query.get("resourceVersion"), bookmarked);
    api.put([slice("web-a", 4)]);
    await running.finds(...addresses(4));
    assertEquals(running.failures, []);
  }
});

Deno.test("a version that is no longer kept leads to a new list, by an event and by a status", async () => {
  await using api = new KubernetesApiStandIn();
  api.put([slice("web-a", 1), slice("web-b", 2)]);
  await using running = new Running({ api: api.url });
  await watched(api, 1);
  api.putSilently(slice("web-a", 3));
  api.compact();
  api.endWatches();
  await running.finds(...addresses(3, 2));
  await watched(api, 3);
  let refused = false;
  api.answer = ({ kind }) => {
    if (kind === "list" || refused) return undefined;
    refused = true;
    return status(410, "too old resource version");
  };
  api.putSilently(slice("web-b", 4));
  api.endWatches();
  await running.finds(...addresses(3, 4));
  assertEquals([running.failures, api.count("list")], [[], 3]);
});

Deno.test("a connection that is lost is noticed, although nobody closes it", async () => {
  // The watch waited for a connection that had died on the way. The backends stayed what they were, for ever.
  await using api = new KubernetesApiStandIn();
  await using relay = new Relay({ hostname: OWN_HOST, port: api.port });
  api.put([slice("web-a", 1)]);
  const clock = new ManualClock();
  await using running = new Running({ api: `http://${relay.host}` }, { clock });
  await opened(running, 1);
  relay.lose();
  api.put([slice("web-a", 2)]);
  await clock.advance(38_999);
  assertEquals(relay.connections, 2);
  await clock.advance(1);
  await running.finds(...addresses(2));
  assertEquals([running.failures, api.count("list"), relay.connections], [[], 1, 3]);
});

Deno.test("the slices are listed anew after ten minutes, so that a lost event is made up for", async () => {
  await using api = new KubernetesApiStandIn();
  api.put([slice("web-a", 1)]);
  const clock = new ManualClock();
  await using running = new Running({ api: api.url }, { clock });
  await opened(running, 1);
  api.putSilently(slice("web-a", 2));
  for (let watch = 2; watch <= 20; watch++) {
    await clock.advance(30_000);
    api.endWatches();
    await opened(running, watch);
  }
  assertEquals([api.count("list"), running.lists.at(-1)], [1, addresses(1)]);
  await clock.advance(30_000);
  api.endWatches();
  await running.finds(...addresses(2));
  assertEquals(running.failures, []);
});

Deno.test("a server that is frozen or slow is a failure after ten seconds, and nothing is lost once it is back", async () => {
  await using api = new KubernetesApiStandIn();
  api.put([slice("web-a", 1)]);
  const clock = new ManualClock();
  await using running = new Running({ api: api.url }, { clock });
  await opened(running, 1);
  api.freeze();
  await clock.advance(39_000); // the watch is silent
  await waitFor(() => api.count("watch") === 2, { what: "the next watch" });
  await clock.advance(10_000);
  await running.hasFailed("no answer within 10 s");
  assertEquals(running.lists.at(-1), addresses(1));
  api.put([slice("web-a", 2)]);
  api.thaw();
  await clock.advance(250);
  await running.finds(...addresses(2));
});

Deno.test("a list whose body never ends is a failure after ten seconds", async () => {
  await using api = new KubernetesApiStandIn();
  api.answer = () =>
    new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([0x7b])) }));
  const clock = new ManualClock();
  await using running = new Running({ api: api.url }, { clock });
  await waitFor(() => api.count("list") === 1, { what: "the list" });
  await clock.advance(10_000);
  await running.hasFailed("no answer within 10 s");
});

Deno.test("a server that is gone is a failure, and once it is back its list counts", async () => {
  const gone = new KubernetesApiStandIn();
  await using running = new Running({ api: gone.url });
  await running.finds();
  await gone[Symbol.asyncDispose]();
  await running.hasFailed("the API server can't be reached: ");
  const { length } = running.lists;
  await using api = new KubernetesApiStandIn({ port: gone.port });
  api.put([slice("web-a", 2)]);
  await running.finds(...addresses(2));
  assertEquals(running.lists.slice(length).filter((list) => list.length === 0), [], "no list while it was gone");
});

Deno.test("events that come late, twice or in another order end in the same list", async () => {
  await using api = new KubernetesApiStandIn();
  api.repeats = true;
  api.delayMs = 20;
  api.put([slice("web-a", 1)]);
  await using running = new Running({ api: api.url });
  await watched(api, 1);
  for (let round = 0; round < 20; round++) {
    api.put([slice("web-a", round, 200), slice("web-b", round + 100), slice("web-a", round)], { reorder: true });
    if (round === 10) api.remove("web-b");
  }
  await running.finds(...addresses(19, 119));
  assertEquals(running.failures, []);
});

Deno.test("what can't be believed is a failure that says why, and the next true list counts", async () => {
  await using api = new KubernetesApiStandIn();
  api.put([slice("web-a", 1)]);
  await using running = new Running({ api: api.url });
  await watched(api, 1);
  const portZero = sliceJson("web-a", ["10.0.0.7"], { ports: [{ port: 0 }] });
  const stamp = { ...portZero, metadata: { ...portZero.metadata as object, resourceVersion: "9999" } };
  const lies: [string, string][] = [
    ["<html>\n", 'got "<html>", want JSON'],
    [`{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"web-a"}}}\n`, 'kind: got "Pod", want "EndpointSlice"'],
    [
      `${JSON.stringify({ type: "MODIFIED", object: stamp })}\n`,
      "ports[0].port: got 0, want a whole number from 1 to 65535",
    ],
    ["x".repeat(5 * 1024 * 1024), "got more than 4194304 bytes as a line"],
  ];
  for (const [index, [text, message]] of lies.entries()) {
    const { length } = running.lists;
    api.putSilently(slice("web-a", index + 10));
    api.send(text);
    await running.hasFailed(message);
    await running.finds(...addresses(index + 10));
    await watched(api, index + 2);
    for (const list of running.lists.slice(length)) assertEquals(list.length, 1);
  }

  const answers: [() => Response, string][] = [
    [() => new Response("gone fishing"), 'got "gone fishing", want JSON'],
    [() => Response.json([]), "the list: got an empty list, want an object"],
    [() => Response.json({ kind: "PodList", metadata: { resourceVersion: "1" }, items: [] }), 'got "PodList"'],
    [() => new Response(null, { status: 302, headers: { location: "/" } }), "the API server reports an error (302)"],
    [() => status(500, "etcd\nis away"), "the API server reports an error (500): etcd is away"],
    [() => status(404, "no such resource"), "has no endpointslices of discovery.k8s.io/v1 (404)"],
    [
      () => status(403, 'User "x" cannot list'),
      'on endpointslices of discovery.k8s.io in the namespace shop: User "x"',
    ],
    [() => new Response(new Uint8Array(33 * 1024 * 1024)), "got more than 33554432 bytes as a response"],
  ];
  for (const [index, [answer, message]] of answers.entries()) {
    api.answer = ({ kind }) => kind === "list" ? answer() : status(410, "too old");
    api.endWatches();
    await running.hasFailed(message);
    api.answer = undefined;
    api.putSilently(slice("web-a", index + 30));
    await running.finds(...addresses(index + 30));
    await waitFor(() => api.watches === 1, { what: "the watch" });
  }
});

Deno.test("a list that makes no backends is a failure until an event mends it", async () => {
  await using api = new KubernetesApiStandIn();
  const ports = [{ name: "http", port: 80 }, { name: "admin", port: 81 }];
  api.put([sliceJson("web-a", ["10.0.0.1"], { ports })]);
  await using running = new Running({ api: api.url });
  await running.hasFailed('got no port in the setting, want one of "admin" (81), "http" (80)');
  await watched(api, 1);
  api.put([slice("web-a", 1)]);
  await running.finds(...addresses(1));
  assertEquals(api.count("watch"), 1);
});

Deno.test("in a pod, the files of the service account are read for each request", async () => {
  // The token was read once. After an hour the API server refused it, and the backends never changed again.
  const authority = await makeAuthority();
  const pair = await makePair({ authority });
  await using api = new KubernetesApiStandIn({ pair });
  api.token = "first";
  api.put([slice("web-a", 1)]);
  using folder = new TemporaryDirectory();
  folder.write("ca.crt", (await makeAuthority()).cert);
  folder.write("token", "first\n");
  const env = new Map([["KUBERNETES_SERVICE_HOST", "127.0.0.1"], ["KUBERNETES_SERVICE_PORT", String(api.port)]]);
  await using running = new Running({}, { pod: { env: (name) => env.get(name), folder: folder.path } });
  await running.hasFailed("certificate");
  folder.write("ca.crt", authority.cert);
  await running.finds(...addresses(1));
  await watched(api, 1);
  api.token = "second";
  folder.write("token", "second");
  api.endWatches();
  api.put([slice("web-a", 2)]);
  await running.finds(...addresses(2));
  assertEquals([api.asked.at(-1)?.authorization, api.count("list")], ["Bearer second", 1]);
  api.token = "third";
  api.endWatches();
  await running.hasFailed("the API server does not accept the token (401): Unauthorized");
  folder.write("token", "third");
  api.put([slice("web-a", 3)]);
  await running.finds(...addresses(3));
});

Deno.test("the source says what is missing when it is not in a pod", async () => {
  using folder = new TemporaryDirectory();
  const env = new Map<string, string>();
  const pod = { env: (name: string) => env.get(name), folder: folder.path };
  await using running = new Running({}, { pod });
  await running.hasFailed(`not in a pod (KUBERNETES_SERVICE_HOST is not set)`);
  env.set("KUBERNETES_SERVICE_HOST", "::1");
  await running.hasFailed(`${folder.path}/token can't be read: no such file`);
  folder.write("token", "a\nb");
  await running.hasFailed(`${folder.path}/token holds no token`);
  folder.write("token", "abc");
  await running.hasFailed(`${folder.path}/ca.crt can't be read: no such file`);
});

Deno.test("a redirect does not get the token", async () => {
  let asked = 0;
  await using other = new HttpBackend(() => {
    asked++;
    return new Response();
  });
  await using api = new KubernetesApiStandIn();
  api.answer = () => Response.redirect(`${other.url}/`, 307);
  await using running = new Running({ api: api.url, token: "abc" });
  await running.hasFailed("(307)");
  assertEquals(asked, 0);
});

Deno.test("pauses grow while watches end at once", async () => {
  // A server that accepts a watch and ends it was asked thousands of times a second.
  await using api = new KubernetesApiStandIn();
  api.answer = ({ kind }) => kind === "watch" ? new Response("") : undefined;
  const clock = new QuickClock();
  await using _running = new Running({ api: api.url }, { clock });
  await waitFor(() => clock.pauses.length >= 6, { what: "the sixth pause" });
  assertEquals(clock.pauses.slice(0, 6), [240, 480, 960, 1920, 3840, 7680]);
  assertEquals(api.count("list"), 1);
});

Deno.test("the source stops at once, whatever it is waiting for", async () => {
  const clock = () => new ManualClock();
  await using api = new KubernetesApiStandIn();
  {
    const running = new Running({ api: api.url }, { clock: clock() });
    await running.stop(); // before the first answer
  }
  {
    const running = new Running({ api: api.url }, { clock: clock() });
    await watched(api, 1);
    await running.stop(); // in a watch
  }
  {
    api.answer = () => status(500, "no");
    const running = new Running({ api: api.url }, { clock: clock() });
    await running.hasFailed("(500)");
    await running.stop(); // in a pause
  }
  {
    api.freeze();
    const { length } = api.asked;
    const running = new Running({ api: api.url }, { clock: clock() });
    await waitFor(() => api.asked.length > length, { what: "the list" });
    await running.stop(); // while nothing is answered
    assertEquals([running.failures, running.lists], [[], []]);
  }
  await waitFor(() => api.watches === 0, { what: "the end of the watches" });
});

Deno.test("errors are one line, and have no token in them", async () => {
  await using api = new KubernetesApiStandIn();
  api.token = "other";
  api.answer = () => status(403, "a\r\nb\u0007c");
  await using running = new Running({ api: api.url, token: "secret-token" });
  await running.hasFailed("(401)");
  api.token = null;
  await running.hasFailed("(403)");
  for (const error of running.failures) {
    assertMatch(error, /^[\x20-\x7e]+$/);
    assert(!error.includes("secret-token"));
  }
});
