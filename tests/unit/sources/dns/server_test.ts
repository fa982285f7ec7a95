// What comes from a DNS server may be late, cut, forged or nonsense. Only the answer to the question counts, and whatever
// else comes ends in time with a reason.

import { assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { askServer } from "../../../../src/sources/dns/server.ts";
import { SourceError } from "../../../../src/sources/source.ts";
import { type Asked, DnsServer, framed, reply, type TestRecord } from "../../../support/dns_server.ts";

const A: TestRecord = { name: "api.test", type: "A", data: "10.0.0.1" };

async function ask(
  server: DnsServer,
  { timeoutMs = 5000, name = "api.test", stop = new AbortController().signal } = {},
) {
  const answer = await askServer({ name, type: "A" }, {
    server: { hostname: "127.0.0.1", port: server.port },
    timeoutMs,
    stop,
  });
  return answer.records().answers.map(({ data }) => data);
}

function failure(server: DnsServer, timeoutMs = 5000): Promise<string> {
  return assertRejects(() => ask(server, { timeoutMs }), SourceError).then(({ message }) => message);
}

Deno.test("askServer() asks by UDP with a new id and a new port each time, and room for a long answer", async () => {
  await using server = new DnsServer((asked) => [reply(asked, { answers: [A] })]);
  for (let count = 0; count < 8; count++) assertEquals(await ask(server), ["10.0.0.1"]);
  assertEquals(server.questions.every(({ extended, by }) => extended && by === "udp"), true);
  assertEquals(new Set(server.questions.map(({ id }) => id)).size > 6, true);
  assertEquals(new Set(server.questions.map(({ port }) => port)).size > 6, true);
});

Deno.test("askServer() takes no answer but that to its question from that server, and waits for it", async () => {
  const lies: [what: string, lie: (asked: Asked) => Uint8Array][] = [
    ["another id", (asked) => reply(asked, { id: asked.id ^ 1, answers: [A] })],
    ["another name", (asked) => reply(asked, { name: "b.test", answers: [A] })],
    ["another type", (asked) => reply(asked, { type: "AAAA", answers: [A] })],
    ["a question", (asked) => reply(asked, { answers: [A] }).map((byte, at) => at === 2 ? byte & 0x7f : byte)],
    ["nothing", () => new Uint8Array(0)],
    ["noise", () => crypto.getRandomValues(new Uint8Array(100))],
    ["half an answer", (asked) => reply(asked, { answers: [A] }).subarray(0, 40)],
    ["no question", (asked) => reply(asked).subarray(0, 12).map((byte, at) => at === 5 ? 0 : byte)],
  ];
  for (const [what, lie] of lies) {
    await using server = new DnsServer((
      asked,
    ) => [lie(asked), reply(asked, { answers: [{ ...A, data: "10.0.0.2" }] })]);
    assertEquals(await ask(server), ["10.0.0.2"], what);
    await using liar = new DnsServer((asked) => [lie(asked)]);
    assertMatch(
      await failure(liar, 100),
      /^(an answer to another question|a malformed answer: .*|no answer .*)$/,
      what,
    );
  }
});

Deno.test("askServer() takes no answer from another address or port", async () => {
  const other = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  await using server = new DnsServer(async (asked) => {
    const forged = reply(asked, { answers: [{ ...A, data: "6.6.6.6" }] });
    await other.send(forged, { transport: "udp", hostname: "127.0.0.1", port: asked.port });
    return [reply(asked, { answers: [A] })];
  });
  assertEquals(await ask(server), ["10.0.0.1"]);
  other.close();
});

Deno.test("askServer() gives up a question that others flood with answers", async () => {
  await using server = new DnsServer((asked) => Array<Uint8Array>(150).fill(reply(asked, { id: asked.id ^ 1 })));
  const startedAt = performance.now();
  assertEquals(await failure(server, 60_000), "an answer to another question");
  assertLess(performance.now() - startedAt, 30_000);
});

Deno.test("askServer() asks by TCP when the answer was cut", async () => {
  const many = Array.from({ length: 2000 }, (_, at): TestRecord => ({ ...A, data: `10.0.${at >> 8}.${at & 255}` }));
  await using server = new DnsServer((asked) => [
    asked.by === "udp" ? reply(asked, { truncated: true, answers: [A] }) : reply(asked, { answers: many }),
  ]);
  assertEquals(await ask(server), many.map(({ data }) => data));
  assertEquals([server.asked("A", "udp"), server.asked("A", "tcp")], [1, 1]);
});

Deno.test("askServer() fails in time with what TCP clients can be told", async () => {
  const cases: [tcp: NonNullable<DnsServer["tcp"]>, error: RegExp][] = [
    [() => ({ bytes: new Uint8Array(0) }), /^the connection ended within the answer$/],
    [() => ({ bytes: new Uint8Array([0]) }), /^the connection ended within the answer$/],
    [() => ({ bytes: new Uint8Array([0]), stay: true }), /^no answer within 150 ms$/],
    [() => ({ bytes: new Uint8Array([1, 0, 7]), stay: true }), /^no answer within 150 ms$/],
    [() => ({ bytes: new Uint8Array([0, 0]) }), /^a malformed answer: it is too short$/],
    [() => ({ bytes: new Uint8Array([255, 255, 7]) }), /^the connection ended within the answer$/],
    [(asked) => ({ bytes: framed([reply(asked, { id: asked.id ^ 1 })]) }), /^an answer to another question by TCP$/],
    [(asked) => ({ bytes: framed([reply(asked, { truncated: true })]) }), /^a truncated answer by TCP$/],
  ];
  for (const [tcp, error] of cases) {
    await using server = new DnsServer((asked) => [reply(asked, { truncated: true })]);
    server.tcp = tcp;
    assertMatch(await failure(server, 150), error);
  }
});

Deno.test("askServer() tells a name that does not exist from a server that fails", async () => {
  for (const [code, error] of [[2, "SERVFAIL"], [4, "NOTIMP"], [5, "REFUSED"], [9, "code 9"]] as const) {
    await using server = new DnsServer((asked) => [reply(asked, { code })]);
    assertEquals(await failure(server), error);
  }
  await using missing = new DnsServer();
  assertEquals(await ask(missing), []);
  await using referring = new DnsServer((asked) => [
    reply(asked, { recursive: false, authorities: [{ name: "test", type: "NS", data: "ns.test" }] }),
  ]);
  assertEquals(await failure(referring), "a referral to other servers");
  await using silent = new DnsServer(() => []);
  assertEquals(await failure(silent, 50), "no answer within 50 ms");
});

Deno.test("askServer() asks a server that refuses EDNS without it", async () => {
  await using server = new DnsServer((asked) => [reply(asked, asked.extended ? { code: 1 } : { answers: [A] })]);
  assertEquals(await ask(server), ["10.0.0.1"]);
});

Deno.test("askServer() ends at once when it is stopped, by UDP and by TCP", async () => {
  for (const answer of [() => [], (asked: Asked) => asked.by === "udp" ? [reply(asked, { truncated: true })] : []]) {
    const stop = new AbortController();
    await using server = new DnsServer(answer);
    server.tcp = () => {
      stop.abort();
      return { bytes: new Uint8Array(0), stay: true };
    };
    const asking = assertRejects(() => ask(server, { timeoutMs: 60_000, stop: stop.signal }), SourceError, "given up");
    if (answer.length === 0) stop.abort();
    await asking;
  }
  const stopped = AbortSignal.abort();
  await using server = new DnsServer();
  await assertRejects(() => ask(server, { stop: stopped }), SourceError, "given up");
});
