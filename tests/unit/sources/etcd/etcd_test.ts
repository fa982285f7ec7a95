// Backends from etcd, with a stand-in that drops, freezes, repeats, reorders and lies.

import { assert, assertEquals } from "@std/assert";
import { EtcdSource } from "../../../../src/sources/etcd/etcd.ts";
import type { Clock } from "../../../../src/net/clock.ts";
import { EtcdStandIn } from "../../../support/etcd_stand_in.ts";
import { Told } from "../../../support/source.ts";
import { ManualClock, patientClock, waitFor } from "../../../support/wait.ts";

interface Settings {
  readonly endpoints?: readonly string[];
  readonly user?: string;
  readonly password?: string;
}

function watching(etcd: EtcdStandIn, settings: Settings = {}, clock: Clock = patientClock): Told {
  const { endpoints = [etcd.url], user = null, password = null } = settings;
  return new Told(new EtcdSource({ prefix: "/api/", endpoints, user, password }, { clock, random: () => 0.5 }));
}

/** Where nobody listens any more. */
async function goneUrl(): Promise<string> {
  await using etcd = new EtcdStandIn();
  return etcd.url;
}

/** Waits until a path was asked once more than so often, on a clock that the test moves. */
async function askedAgain(etcd: EtcdStandIn, path: string, before: number): Promise<void> {
  await waitFor(() => etcd.asked(path) > before, { what: `another request for ${path}`, timeoutMs: 60_000 });
}

Deno.test("etcd: the keys below the prefix are listed, and followed from then on", async () => {
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  etcd.put("/api/2", ` {"url": "http://10.0.0.2:8080/", "weight": 3, "backup": true}\n`);
  etcd.put("/api-other", "http://10.0.0.9:8080");
  etcd.put("/apj", "http://10.0.0.9:8080");
  await using source = watching(etcd);
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
  const second = source.last[1]?.spec;
  assertEquals([second?.weight, second?.backup], [3, true]);
  await etcd.isWatched();
  etcd.put("/api/3", `"https://10.0.0.3"`);
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080", "https://10.0.0.3");
  etcd.delete("/api/1");
  etcd.delete("/api-other");
  await source.finds("http://10.0.0.2:8080", "https://10.0.0.3");
  etcd.put("/api/3", "http://10.0.0.4:8080");
  await source.finds("http://10.0.0.2:8080", "http://10.0.0.4:8080");
  etcd.delete("/api/2");
  etcd.delete("/api/3");
  await source.finds();
  assertEquals([source.failures, etcd.asked("/v3/kv/range"), etcd.asked("/v3/watch")], [[], 1, 1]);
});

Deno.test("etcd: a prefix without keys is an answer, too", async () => {
  await using etcd = new EtcdStandIn();
  await using source = watching(etcd);
  await source.finds();
  assertEquals(source.failures, []);
});

Deno.test("etcd: an instance that stands there twice after a restart is one backend", async () => {
  // The lease of the instance that was killed goes on for a while. An error would have held back all other changes.
  await using etcd = new EtcdStandIn();
  etcd.put("/api/instance-1", "http://10.0.0.1:8080");
  etcd.put("/api/instance-2", `{"url": "http://10.0.0.1:8080"}`);
  await using source = watching(etcd);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  etcd.put("/api/instance-2", `{"url": "http://10.0.0.1:8080", "weight": 2}`);
  await source.fails(/^key "\/api\/instance-2": same backend as key "\/api\/instance-1"/);
});

const BAD_VALUES: readonly (readonly [string, RegExp])[] = [
  ["", /^key "\/api\/2": got "", want an http:\/\/ or https:\/\/ origin/],
  ["10.0.0.2:8080", /^key "\/api\/2": got "10.0.0.2:8080", want/],
  ["http://10.0.0.2:0", /^key "\/api\/2": got "http:\/\/10.0.0.2:0", want/],
  ["http://user:pass@10.0.0.2", /^key "\/api\/2": got "http:\/\/\*\*\*@10.0.0.2", want/],
  ["{", /^key "\/api\/2": got "{", want JSON/],
  ["[]", /^key "\/api\/2": got an empty list, want/],
  [`{"url": "http://10.0.0.2", "weight": -1}`, /^key "\/api\/2": weight: got -1, want a whole number from 0 to 256/],
  [`{"url": "http://10.0.0.2", "wieght": 1}`, /^key "\/api\/2": wieght: unknown setting, did you mean "weight"\?/],
  ["\xff\xfe", /^key "\/api\/2": want a value that is text/],
  [`http://10.0.0.2/${"x".repeat(20_000)}`, /^key "\/api\/2": the value is too long/],
];

Deno.test("etcd: a bad value changes nothing, names its key, and can be mended", async (test) => {
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  for (const [value, pattern] of BAD_VALUES) {
    await test.step(JSON.stringify(value.slice(0, 40)), async () => {
      const lists = source.lists.length;
      etcd.put("/api/2", value);
      etcd.put("/api/3", "http://10.0.0.3:8080");
      await source.fails(pattern);
      assertEquals(source.lists.length, lists);
      etcd.delete("/api/2");
      await source.finds("http://10.0.0.1:8080", "http://10.0.0.3:8080");
      etcd.delete("/api/3");
      await source.finds("http://10.0.0.1:8080");
    });
  }
});

Deno.test("etcd: a watch that is cut off is opened anew, with what has changed meanwhile, and is no failure", async () => {
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd);
  for (let round = 2; round < 5; round++) {
    await etcd.isWatched();
    etcd.isSilent = true;
    etcd.delete(`/api/${round - 1}`);
    etcd.put(`/api/${round}`, `http://10.0.0.${round}:8080`);
    etcd.isSilent = false;
    etcd.dropWatches();
    await source.finds(`http://10.0.0.${round}:8080`);
  }
  await etcd.isWatched();
  etcd.put("/api/9", "http://10.0.0.9:8080");
  await source.finds("http://10.0.0.4:8080", "http://10.0.0.9:8080");
  assertEquals(source.failures, []);
});

Deno.test("etcd: a watch that catches up in several responses loses none of them", async () => {
  // Each of them says the revision of the store, not how far it has come. Changes in the later ones were passed over.
  await using etcd = new EtcdStandIn();
  const change = (number: number) => ({
    kv: { key: btoa(`/api/${number}`), mod_revision: String(number), value: btoa(`http://10.0.0.${number}:8080`) },
  });
  const results = [{ created: true }, { events: [change(2)] }, { events: [change(3)] }]
    .map((result) => `${JSON.stringify({ result: { header: { revision: "2000" }, ...result } })}\n`);
  etcd.lie = ({ path }) => {
    if (path !== "/v3/watch") return undefined;
    const start = (stream: ReadableStreamDefaultController<string>) => results.forEach((line) => stream.enqueue(line));
    return new Response(new ReadableStream({ start }).pipeThrough(new TextEncoderStream()));
  };
  await using source = watching(etcd);
  await source.finds("http://10.0.0.2:8080", "http://10.0.0.3:8080");
  assertEquals([source.failures, etcd.asked("/v3/kv/range")], [[], 1]);
});

Deno.test("etcd: a watch that brings nothing is found out, and opened anew", async () => {
  const clock = new ManualClock();
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd, {}, clock);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  etcd.isSilent = true;
  etcd.put("/api/2", "http://10.0.0.2:8080");
  await clock.advance(10_000);
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080"); // by the list that the check asks for
  etcd.delete("/api/1");
  const ranges = etcd.asked("/v3/kv/range");
  await clock.advance(10_000);
  await askedAgain(etcd, "/v3/kv/range", ranges);
  etcd.isSilent = false;
  await waitFor(async () => {
    await clock.advance(250);
    return etcd.asked("/v3/watch") === 2;
  }, { what: "a second watch", timeoutMs: 60_000 });
  await source.finds("http://10.0.0.2:8080");
  assertEquals(source.failures, []);
});

Deno.test("etcd: as long as nothing changes, a check costs one short answer and says that the list is still true", async () => {
  const clock = new ManualClock();
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  etcd.put("/other", "x");
  await using source = watching(etcd, {}, clock);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  for (const checks of [1, 2, 3]) {
    etcd.put("/other", "y"); // the store's revision goes on all the same
    await clock.advance(10_000);
    await waitFor(() => source.lists.length === 1 + checks, { what: "the list once more", timeoutMs: 60_000 });
  }
  const checks = etcd.requests.filter(({ path }) => path === "/v3/kv/range").slice(1);
  assertEquals(checks.map(({ body }) => [body.limit, body.keys_only]), Array(3).fill(["1", true]));
  assertEquals(etcd.asked("/v3/watch"), 1);
});

Deno.test("etcd: a server that stands still is a failure after its limits, and none once it goes on", async () => {
  const clock = new ManualClock();
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd, {}, clock);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  etcd.isFrozen = true;
  const before = etcd.asked("/v3/kv/range");
  await clock.advance(10_000);
  await askedAgain(etcd, "/v3/kv/range", before);
  assertEquals(source.failures, []);
  await clock.advance(5000);
  await source.fails(/^http:\/\/127\.0\.0\.1:\d+: no answer within 5 s$/);
  assertEquals(source.lists.at(-1), ["http://10.0.0.1:8080"]);
  etcd.put("/api/2", "http://10.0.0.2:8080");
  etcd.thaw();
  await waitFor(async () => {
    await clock.advance(250);
    return typeof source.all.at(-1) === "object";
  }, { what: "the recovery", timeoutMs: 60_000 });
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
});

Deno.test("etcd: when the revision to watch from has been compacted, it lists anew", async () => {
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  etcd.compacted = etcd.revision + 1;
  await using source = watching(etcd);
  await waitFor(() => etcd.asked("/v3/watch") > 0, { what: "a watch that is refused" });
  assertEquals(etcd.watches, 0);
  etcd.put("/api/2", "http://10.0.0.2:8080");
  await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
  await etcd.isWatched();
  assertEquals(source.failures, []);
});

Deno.test("etcd: a store that has begun again with lower revisions is listed anew", async () => {
  const clock = new ManualClock();
  await using etcd = new EtcdStandIn();
  for (let index = 0; index < 20; index++) etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd, {}, clock);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  etcd.forget();
  etcd.put("/api/2", "http://10.0.0.2:8080"); // a watch that begins at revision 21 never hears of it
  await clock.advance(10_000);
  await waitFor(async () => {
    await clock.advance(250);
    return etcd.asked("/v3/watch") === 2;
  }, { what: "a second watch", timeoutMs: 60_000 });
  await source.finds("http://10.0.0.2:8080");
  etcd.put("/api/3", "http://10.0.0.3:8080");
  await clock.advance(20);
  await waitFor(async () => {
    await clock.advance(20);
    return source.last.length === 2;
  }, { what: "the change after that" });
});

Deno.test("etcd: the next server is asked at once when one fails, and only the failure of all is one", async () => {
  await using etcd = new EtcdStandIn();
  etcd.put("/api/1", "http://10.0.0.1:8080");
  const gone = await goneUrl();
  await using source = watching(etcd, { endpoints: [gone, etcd.url] });
  await source.finds("http://10.0.0.1:8080");
  assertEquals(source.failures, []);
  await using nowhere = watching(etcd, { endpoints: [gone, gone] });
  await nowhere.fails(/^http:\/\/127\.0\.0\.1:\d+: .*Connection refused$/);
});

Deno.test("etcd: a token is asked for, and anew when it has ended", async () => {
  const clock = new ManualClock();
  await using etcd = new EtcdStandIn();
  etcd.login = { user: "roundhouse", password: "s3cret", token: "one" };
  etcd.put("/api/1", "http://10.0.0.1:8080");
  await using source = watching(etcd, { user: "roundhouse", password: "s3cret" }, clock);
  await source.finds("http://10.0.0.1:8080");
  await etcd.isWatched();
  assertEquals(etcd.asked("/v3/auth/authenticate"), 1);
  etcd.login.token = "two";
  await clock.advance(10_000);
  await waitFor(() => source.lists.length === 2, { what: "a check with a new token", timeoutMs: 60_000 });
  assertEquals([etcd.asked("/v3/auth/authenticate"), etcd.watches, source.failures], [2, 1, []]);
});

Deno.test("etcd: a wrong password, and no password where one is needed, are failures that do not show it", async () => {
  await using etcd = new EtcdStandIn();
  etcd.login = { user: "roundhouse", password: "s3cret", token: "one" };
  await using wrong = watching(etcd, { user: "roundhouse", password: "wr0ng" });
  const error = await wrong.fails(/got status 400: etcdserver: authentication failed, invalid user ID or password$/);
  assert(!error.includes("wr0ng"));
  await using none = watching(etcd);
  await none.fails(/got status 401: etcdserver: invalid auth token$/);
});

const MANY = 5000;
const OTHER_KEY = { key: btoa("/other"), mod_revision: "7", value: btoa("http://10.0.0.9") };
const NOT_BASE64 = { key: "/api/1", mod_revision: "7" };
const LISTS: readonly (readonly [string, () => BodyInit, RegExp])[] = [
  ["no JSON", () => "<html>", /got "<html>", want JSON$/],
  ["nothing", () => "", /want JSON$/],
  ["a list", () => "[]", /the answer: got an empty list, want an object$/],
  ["no header", () => "{}", /the answer: header: got nothing, want an object$/],
  [
    "a number for text",
    () => JSON.stringify({ header: { revision: 5 } }),
    /header.revision: got 5, want a number as text$/,
  ],
  ["a key that was not asked for", () => list([OTHER_KEY]), /got the key "\/other", want keys below the prefix$/],
  ["a key that is no base64", () => list([NOT_BASE64]), /want keys below the prefix$/],
  ["too many", () => list([], MANY), /got 5000 keys, want at most 4096$/],
  ["half a list", () => list([], 2), /got 0 of 2 keys, want all$/],
  ["too many bytes", () => "x".repeat(17 * 1024 * 1024), /got more than 16777216 bytes/],
];

function list(kvs: readonly object[], count = kvs.length): string {
  return JSON.stringify({ header: { revision: "9" }, kvs, count: String(count) });
}

Deno.test("etcd: a list that can't be believed changes nothing, and the next one is asked for", async (test) => {
  for (const [name, body, pattern] of LISTS) {
    await test.step(name, async () => {
      await using etcd = new EtcdStandIn();
      etcd.put("/api/1", "http://10.0.0.1:8080");
      etcd.lie = ({ path }) => path === "/v3/kv/range" ? new Response(body()) : undefined;
      await using source = watching(etcd);
      await source.fails(pattern);
      assertEquals(source.lists, []);
      etcd.lie = () => undefined;
      await source.finds("http://10.0.0.1:8080");
    });
  }
});

const LINES: readonly (readonly [string, unknown, RegExp | undefined])[] = [
  ["no JSON", "<html>", /got "<html>", want JSON$/],
  ["nothing that is known", {}, /the watch: want a result$/],
  ["an error", { error: { grpc_code: 14, message: "etcdserver: no leader\n" } }, /the watch: etcdserver: no leader$/],
  ["an end", { result: { header: {}, canceled: true, cancel_reason: "no" } }, /the watch was cancelled: no$/],
  ["a compaction", { result: { header: {}, canceled: true, compact_revision: "3" } }, undefined],
  ["an event of another prefix", { result: { header: {}, events: [{ kv: OTHER_KEY }] } }, /got the key "\/other"/],
  ["an unknown event", { result: { header: {}, events: [{ type: "MOVE", kv: OTHER_KEY }] } }, /type: got "MOVE"/],
  ["a line without end", "x".repeat(17 * 1024 * 1024), /got more than 16777216 bytes as a line$/],
];

Deno.test("etcd: whatever a watch brings, the list stays right and changes go on", async (test) => {
  for (const [name, line, pattern] of LINES) {
    await test.step(name, async () => {
      await using etcd = new EtcdStandIn();
      etcd.put("/api/1", "http://10.0.0.1:8080");
      await using source = watching(etcd);
      await source.finds("http://10.0.0.1:8080");
      await etcd.isWatched();
      etcd.send(line);
      if (pattern !== undefined) {
        await waitFor(() => source.failures.some((text) => pattern.test(text)), { what: name });
      }
      await waitFor(() => etcd.asked("/v3/watch") > 1 && etcd.watches > 0, { what: "another watch" });
      etcd.put("/api/2", "http://10.0.0.2:8080");
      await source.finds("http://10.0.0.1:8080", "http://10.0.0.2:8080");
      assert(source.lists.every((list) => list.length > 0));
    });
  }
});

Deno.test("etcd: a server that gives lists but no watch is asked less and less often", async () => {
  const clock = new ManualClock();
  await using etcd = new EtcdStandIn();
  etcd.lie = ({ path }) => path === "/v3/watch" ? new Response("") : undefined;
  await using source = watching(etcd, {}, clock);
  for (let second = 0; second < 60; second++) {
    // So that it gets as far as it can before the clock goes on.
    const idle = () => clock.pending === 1;
    await waitFor(idle, { what: "a pause", timeoutMs: 60_000 });
    await clock.advance(1000);
  }
  const watches = etcd.asked("/v3/watch");
  assert(watches >= 5 && watches <= 12, `${watches} watches in a minute`);
  assertEquals(source.failures, []);
});

Deno.test("etcd: a source that is stopped leaves nothing behind, wherever it is", async () => {
  await using etcd = new EtcdStandIn();
  etcd.isFrozen = true;
  {
    await using _ = watching(etcd);
    await waitFor(() => etcd.requests.length > 0, { what: "a request" });
  }
  etcd.thaw();
  {
    await using _ = watching(etcd);
    await etcd.isWatched();
  }
  await waitFor(() => etcd.watches === 0, { what: "the end of the watch" });
  {
    await using source = watching(etcd, { endpoints: [await goneUrl()] });
    await source.fails(/refused/);
  }
});
