// SRV records name servers, and those have addresses of their own. What is known of them outlasts any failure.

import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { distinctPlaces, SrvSource } from "../../../../src/sources/dns/srv.ts";
import { type Asked, DnsServer, reply, type TestRecord, zone } from "../../../support/dns_server.ts";
import { Told } from "../../../support/source.ts";
import { ManualClock, waitFor } from "../../../support/wait.ts";

const NAME = "_http._tcp.api.test";

function srv(target: string, { priority = 0, weight = 1, port = 80, ttl = 30 } = {}): TestRecord {
  return { name: NAME, type: "SRV", ttl, data: { priority, weight, port, target } };
}

function a(name: string, data: string, ttl = 30): TestRecord {
  return { name, type: "A", data, ttl };
}

type Discover = ConstructorParameters<typeof SrvSource>[0];

function start(server: DnsServer, clock = new ManualClock(), discover: Partial<Discover> = {}): Told {
  const timing = { refreshMs: null, keepForMs: 30_000, drainMs: 30_000 };
  return new Told(
    new SrvSource({ name: NAME, scheme: "http", server: server.address, ...timing, ...discover }, {
      clock,
      random: () => 0,
    }),
  );
}

function specsOf({ last }: Told) {
  return last.map(({ spec: { url, weight, backup } }) => [url, weight, backup]);
}

const SERVFAIL = (asked: Asked) => [reply(asked, { code: 2 })];

Deno.test("srv: targets become backends with their ports and weights; those of higher priority are backups", async () => {
  const records = [
    srv("one.test", { weight: 10, port: 8001 }),
    srv("Two.test", { weight: 0, port: 8002 }),
    srv("three.test", { priority: 5, weight: 65_535, port: 8003 }),
    srv("three.test", { priority: 9, port: 8003 }),
    a("one.test", "10.0.0.1"),
    a("two.test", "10.0.0.2"),
    a("two.test", "10.0.0.22"),
    a("three.test", "10.0.0.3"),
  ];
  await using server = new DnsServer(zone(records));
  await using source = start(server);
  await source.word(1);
  assertEquals(specsOf(source), [
    ["http://10.0.0.1:8001", 10, false],
    ["http://10.0.0.22:8002", 1, false],
    ["http://10.0.0.2:8002", 1, false],
    ["http://10.0.0.3:8003", 256, true],
  ]);
  assertEquals(server.asked("A"), 3);
});

Deno.test("srv: addresses that come with the records are not asked for; https carries each target's name", async () => {
  await using server = new DnsServer((asked) => [
    reply(asked, {
      answers: [srv("one.test", { port: 443 })],
      additionals: [a("one.test", "10.0.0.1", 4), a("x.test", "10.0.0.2")],
    }),
  ]);
  const clock = new ManualClock();
  await using source = start(server, clock, { scheme: "https" });
  assertEquals(await source.word(1), ["https://10.0.0.1"]);
  assertEquals(source.last[0]?.spec.tls.serverName, "one.test");
  assertEquals(server.questions.map(({ type }) => type), ["SRV"]);
  // Without them, the next answer leads to questions, and a failure of those removes nothing.
  server.answer = (asked) =>
    asked.type === "SRV" ? [reply(asked, { answers: [srv("one.test", { port: 443 })] })] : SERVFAIL(asked);
  await waitFor(() => clock.pending === 1, { what: "the pause" });
  await clock.advance(4000);
  assertMatch(String(await source.word(2)), /^failed: A one.test: .*SERVFAIL/);
  assertEquals(source.all.length, 2);
});

Deno.test("srv: the target that is a dot, no records and no such name mean that there are none", async () => {
  for (const answer of [zone([srv(".")]), (asked: Asked) => [reply(asked)], zone([])]) {
    await using server = new DnsServer(answer);
    await using source = start(server);
    assertEquals(await source.word(1), []);
  }
});

Deno.test("srv: one target that fails holds back no other, and loses nothing that it had", async () => {
  const records = [srv("one.test"), srv("two.test"), a("one.test", "10.0.0.1"), a("two.test", "10.0.0.2")];
  const failing = (name: string) => (asked: Asked) => asked.name === name ? SERVFAIL(asked) : zone(records)(asked);
  const clock = new ManualClock();
  await using server = new DnsServer(failing("two.test"));
  await using source = start(server, clock);
  assertEquals(await source.word(1), ["http://10.0.0.1"]);
  const steps: [afterMs: number, answer: DnsServer["answer"], told: string[] | RegExp][] = [
    [200, failing("two.test"), /^failed: A two.test: .*SERVFAIL/],
    [400, zone(records), ["http://10.0.0.1", "http://10.0.0.2"]],
    [30_000, failing("two.test"), /^failed: A two.test/],
    [200, failing(NAME), /^failed: SRV .*SERVFAIL/],
    [400, failing("one.test"), /^failed: A one.test/],
    [800, zone(records.slice(1)), ["http://10.0.0.2"]],
    [30_000, zone(records.slice(0, -1)), ["http://10.0.0.1"]], // an answer: two.test does not exist
  ];
  for (const [at, [ms, answer, wanted]] of steps.entries()) {
    server.answer = answer;
    const before = source.all.length;
    await waitFor(() => clock.pending === 1, { what: "the pause" });
    await clock.advance(ms);
    const told = await source.word(before + 1);
    if (wanted instanceof RegExp) assertMatch(String(told), wanted, `step ${at}`);
    else assertEquals(told, wanted, `step ${at}`);
  }
});

Deno.test("srv: records that can't be believed change nothing", async () => {
  for (
    const [record, error] of [
      [srv("one.test", { port: 0 }), `failed: SRV ${NAME}: got port 0 of "one.test", want 1 to 65535`],
      [srv("one two.test"), `failed: SRV ${NAME}: got "one two.test", want a host name`],
    ] as const
  ) {
    await using server = new DnsServer(zone([srv("fine.test"), record, a("fine.test", "10.0.0.1")]));
    await using source = start(server);
    assertEquals(await source.word(1), error);
  }
});

Deno.test("distinctPlaces() has each place once, with weights from 1 to 256 that keep their order and proportion", () => {
  const place = fc.record({
    address: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    port: fc.constantFrom(1, 2),
    priority: fc.integer({ min: 0, max: 2 }),
    weight: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 65_535 })),
    target: fc.constant("a"),
  });
  fc.assert(fc.property(fc.array(place, { maxLength: 12 }), (places) => {
    const distinct = distinctPlaces(places);
    const keyOf = ({ address, port }: { address: string; port: number }) => `${address} ${port}`;
    assertEquals(distinct.map(keyOf), [...new Set(places.map(keyOf))]);
    for (const { priority, weight, ...at } of distinct) {
      const same = places.filter((place) => keyOf(place) === keyOf(at));
      assertEquals(priority, Math.min(...same.map(({ priority }) => priority)));
      assertEquals(weight >= 1 && weight <= 256, true);
      const sum = same.filter((place) => place.priority === priority).reduce((sum, { weight }) => sum + weight, 0);
      const peers = distinct.filter((peer) => peer.priority === priority).map((peer) =>
        places.filter((place) => keyOf(place) === keyOf(peer) && place.priority === priority)
          .reduce((sum, { weight }) => sum + weight, 0)
      );
      const scale = Math.max(...peers, 256) / 256;
      assertEquals(Math.abs(weight - Math.max(1, sum / scale)) <= 0.5, true);
    }
  }));
});
