// A failure is not a removal. Elsewhere a lookup that failed has emptied pools.

import { assertEquals, assertMatch } from "@std/assert";
import { pauseMsAfter } from "../../../../src/sources/dns/following.ts";
import { resolve } from "../../../../src/sources/dns/resolver.ts";
import { type DnsContext, DnsSource } from "../../../../src/sources/dns/dns.ts";
import { TemporaryDirectory } from "../../../support/certificates.ts";
import { type Asked, DnsServer, reply, type TestRecord, zone } from "../../../support/dns_server.ts";
import { Told } from "../../../support/source.ts";
import { ManualClock, waitFor } from "../../../support/wait.ts";

const DISCOVER = {
  host: "api.test",
  port: 80,
  scheme: "http",
  server: null,
  refreshMs: null,
  keepForMs: 30_000,
  drainMs: 30_000,
} as const;

type Discover = ConstructorParameters<typeof DnsSource>[0];

/** A source on a clock that the test moves. */
class Bench implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly source: Told;

  constructor(discover: Partial<Discover>, context: Partial<DnsContext> = {}) {
    this.source = new Told(
      new DnsSource({ ...DISCOVER, ...discover }, { clock: this.clock, random: () => 0, ...context }),
    );
  }

  /** The next lookup, `ms` later. */
  async after(ms: number) {
    const count = this.source.all.length;
    await waitFor(() => this.clock.pending === 1, { what: "the pause" });
    await this.clock.advance(ms - 1);
    assertEquals([this.clock.pending, this.source.all.length], [1, count], "too early");
    await this.clock.advance(1);
    return await this.source.word(count + 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.source[Symbol.asyncDispose]();
    assertEquals(this.clock.pending, 0);
  }
}

function a(data: string, ttl = 30): TestRecord {
  return { name: "api.test", type: "A", data, ttl };
}

function aaaa(data: string, ttl = 30): TestRecord {
  return { name: "api.test", type: "AAAA", data, ttl };
}

const SERVFAIL = (asked: Asked) => [reply(asked, { code: 2 })];

Deno.test("every A and AAAA address is a backend, in one order, however the server turns them", async () => {
  const records = [a("10.0.0.2"), a("10.0.0.1"), aaaa("fd00::1"), a("10.0.0.1"), aaaa("::ffff:10.0.0.2")];
  await using server = new DnsServer(zone(records));
  await using bench = new Bench({ server: server.address });
  const wanted = ["http://10.0.0.1", "http://10.0.0.2", "http://[fd00::1]"];
  assertEquals(await bench.source.word(1), wanted);
  const { last } = bench.source;
  records.reverse();
  assertEquals(await bench.after(30_000), wanted);
  assertEquals(bench.source.last === last, true, "the very same list, so that nobody need compare it");
});

Deno.test("the time to the next question is the shortest of the answers, from 1 s to 60 s", async () => {
  await using server = new DnsServer(zone([a("10.0.0.1", 20), aaaa("fd00::1", 7)]));
  await using bench = new Bench({ server: server.address });
  await bench.source.word(1);
  await bench.after(7000);
  server.answer = zone([a("10.0.0.1", 0)]);
  await bench.after(7000);
  await bench.after(1000);
});

Deno.test("pauseMsAfter() keeps within 1 s and 60 s with jitter, and asks for an empty answer before it removes", () => {
  const one = [{ spec: {} as never }];
  const timing = { refreshMs: null, keepForMs: 30_000 };
  const range = (ttlS: number | undefined, backends = one, more = {}) =>
    [0, 0.999999].map((random) => pauseMsAfter({ ttlS, backends }, { ...timing, ...more }, () => random));
  assertEquals(range(0), [1000, 1100]);
  assertEquals(range(30), [30_000, 33_000]);
  assertEquals(range(2 ** 31), [54_545, 60_000]);
  assertEquals(range(undefined), [5000, 5500]);
  assertEquals(range(3, []), [3000, 3300]);
  assertEquals(range(900, []), [6818, 7500]);
  assertEquals(range(900, [], { keepForMs: 0 }), [1000, 1100]);
  assertEquals(range(900, [], { refreshMs: 250 }), [250, 250]);
});

Deno.test("no such name and no addresses are answers: there are none", async () => {
  const soa: TestRecord = { name: "test", type: "SOA", ttl: 5, data: { mname: "a.test", rname: "b.test", minimum: 3 } };
  for (const code of [0, 3]) {
    await using server = new DnsServer((asked) => [reply(asked, { code, authorities: [soa] })]);
    await using bench = new Bench({ server: server.address });
    assertEquals(await bench.source.word(1), []);
    assertEquals(await bench.after(3000), []);
  }
});

Deno.test("servers that fail, refuse, lie or say nothing remove nothing, and are asked again with growing pauses", async () => {
  await using server = new DnsServer(zone([a("10.0.0.1")]));
  await using bench = new Bench({ server: server.address });
  await bench.source.word(1);
  server.answer = SERVFAIL;
  const error = `failed: A api.test: ${server.address}: SERVFAIL; AAAA api.test: ${server.address}: SERVFAIL`;
  assertEquals(await bench.after(30_000), error);
  server.answer = (asked) => [reply(asked, { code: 5 })];
  assertMatch(String(await bench.after(200)), /REFUSED/); // 250 ms, less the jitter
  server.answer = zone([a("0.0.0.0")]);
  assertEquals(await bench.after(400), `failed: A api.test: got the address "0.0.0.0", want that of a machine`);
  server.answer = zone([a("10.0.0.2")]);
  assertEquals(await bench.after(800), ["http://10.0.0.2"]);
  server.answer = SERVFAIL;
  assertEquals(await bench.after(30_000), error);
  assertEquals(await bench.after(200), error);
});

Deno.test("a failure of one family does not remove its addresses, while the other one may change", async () => {
  const v4 = [a("10.0.0.1")];
  await using server = new DnsServer(zone([...v4, aaaa("fd00::1")]));
  await using bench = new Bench({ server: server.address });
  assertEquals(await bench.source.word(1), ["http://10.0.0.1", "http://[fd00::1]"]);
  server.answer = (asked) => asked.type === "AAAA" ? SERVFAIL(asked) : zone(v4)(asked);
  const error = `failed: AAAA api.test: ${server.address}: SERVFAIL`;
  assertEquals(await bench.after(30_000), error, "nothing has changed");
  v4[0] = a("10.0.0.2");
  assertEquals(await bench.after(200), ["http://10.0.0.2", "http://[fd00::1]"]);
  assertEquals(await bench.after(400), error);
  server.answer = zone(v4);
  assertEquals(await bench.after(800), ["http://10.0.0.2"]);
});

Deno.test("a family that has never had addresses may fail, or stay silent, for ever", async () => {
  for (const answer of [SERVFAIL, () => []]) {
    await using server = new DnsServer((asked) => asked.type === "AAAA" ? answer(asked) : zone([a("10.0.0.1")])(asked));
    await using bench = new Bench({ server: server.address });
    if (answer.length === 0) {
      await waitFor(() => bench.clock.pending === 1, { what: "the patience for AAAA" });
      assertEquals(bench.source.all, []);
      await bench.clock.advance(1000);
    }
    assertEquals(await bench.source.word(1), ["http://10.0.0.1"]);
    assertEquals(bench.source.all.length, 1);
  }
  // But where the other family has none either, nobody knows.
  await using server = new DnsServer((asked) => asked.type === "AAAA" ? SERVFAIL(asked) : [reply(asked)]);
  await using bench = new Bench({ server: server.address });
  assertMatch(String(await bench.source.word(1)), /SERVFAIL/);
});

Deno.test("aliases are followed, asked for where the answer ends with one, and never in circles", async () => {
  const alias = (name: string, data: string): TestRecord => ({ name, type: "CNAME", data, ttl: 9 });
  await using server = new DnsServer((asked) => {
    const at = { "api.test": [alias("api.test", "b.test"), alias("b.test", "c.test")] }[asked.name];
    return at === undefined
      ? zone([{ name: "c.test", type: "A", data: "10.0.0.1" }])(asked)
      : [reply(asked, { answers: at })];
  });
  await using bench = new Bench({ server: server.address });
  assertEquals(await bench.source.word(1), ["http://10.0.0.1"]);
  server.answer = (asked) => [reply(asked, { answers: [alias("api.test", "b.test"), alias("b.test", "api.test")] })];
  assertMatch(String(await bench.after(9000)), /more than 8 aliases/);
  server.answer = (asked) => [reply(asked, { answers: [alias(asked.name, `x${asked.name}`)] })];
  assertMatch(String(await bench.after(200)), /more than 8 aliases/);
});

Deno.test("the next server is asked when one fails, each as often as resolv.conf says", async () => {
  await using broken = new DnsServer(SERVFAIL);
  await using good = new DnsServer(SERVFAIL);
  const servers = [broken, good].map(({ port }) => ({ hostname: "127.0.0.1", port }));
  const never = new AbortController().signal;
  const asking = { servers, timeoutMs: 5000, attempts: 2 };
  let message = "";
  await resolve({ name: "api.test", type: "A" }, asking, never).catch((error) => message = error.message);
  assertEquals(message, `A api.test: ${broken.address}: SERVFAIL; ${good.address}: SERVFAIL`);
  assertEquals([broken.asked("A"), good.asked("A")], [2, 2]);
  good.answer = zone([a("10.0.0.1")]);
  assertEquals((await resolve({ name: "api.test", type: "A" }, asking, never)).kind, "records");
  assertEquals([broken.asked("A"), good.asked("A")], [3, 3]);
});

Deno.test("/etc/hosts counts before DNS, unless a server is named", async () => {
  using directory = new TemporaryDirectory();
  const paths = {
    hosts: directory.write("hosts", "10.0.0.9 api.test"),
    resolvConf: directory.write("resolv.conf", "options attempts:1 timeout:1"),
  };
  await using bench = new Bench({}, { paths });
  assertEquals(await bench.source.word(1), ["http://10.0.0.9"]);
  directory.write("hosts", "10.0.0.10 api.test");
  assertEquals(await bench.after(5000), ["http://10.0.0.10"]);
  directory.write("hosts", "0.0.0.0 api.test"); // as lists of blocked names have it
  assertEquals(await bench.after(5000), `failed: ${paths.hosts}: got the address "0.0.0.0", want that of a machine`);
  await using server = new DnsServer(zone([a("10.0.0.1")]));
  await using named = new Bench({ server: server.address }, { paths });
  assertEquals(await named.source.word(1), ["http://10.0.0.1"]);
});

Deno.test("an address stands for itself and is never asked for; https carries the name of the certificate", async () => {
  for (const [host, url] of [["10.0.0.1", "http://10.0.0.1"], ["fd00::1", "http://[fd00::1]"]] as const) {
    await using bench = new Bench({ host });
    assertEquals(await bench.source.word(1), [url]);
  }
  await using server = new DnsServer(zone([a("10.0.0.1")]));
  await using bench = new Bench({ server: server.address, scheme: "https", port: 8443, host: "api.test." });
  assertEquals(await bench.source.word(1), ["https://10.0.0.1:8443"]);
  assertEquals(bench.source.last[0]?.spec.tls, {
    ca: null,
    insecure: false,
    serverName: "api.test",
    cert: null,
    key: null,
  });
});

Deno.test("a source that is stopped while it asks has nothing left over", async () => {
  await using server = new DnsServer(() => []);
  await using _bench = new Bench({ server: server.address });
  await waitFor(() => server.questions.length >= 2, { what: "the questions" });
});
