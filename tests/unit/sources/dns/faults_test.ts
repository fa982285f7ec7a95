// A DNS server that changes its mind and fails in every way at random: nothing is ever told that was not true at some
// time, and the truth is told once the server is well.

import { assert, assertEquals } from "@std/assert";
import { DnsSource } from "../../../../src/sources/dns/dns.ts";
import { type Asked, DnsServer, framed, reply, type TestRecord } from "../../../support/dns_server.ts";
import { seededRandom } from "../../../support/random.ts";
import { Told } from "../../../support/source.ts";
import { ManualClock, waitFor } from "../../../support/wait.ts";

const STEPS = 120;

/** Something that goes wrong in place of an answer. */
const FAULTS: readonly ((asked: Asked, truth: Uint8Array) => readonly Uint8Array[])[] = [
  (asked) => [reply(asked, { code: 2 })],
  (asked) => [reply(asked, { code: 5 })],
  (asked) => [reply(asked, { recursive: false })],
  (asked) => [reply(asked, { answers: [recordOf(asked.name, asked.type === "A" ? "255.255.255.255" : "ff02::1")] })],
  (asked) => [reply(asked, { answers: [recordOf(asked.name, asked.type === "A" ? "fd00::9" : "10.0.0.9")] })],
  (asked) => [reply(asked, { code: 3, answers: [recordOf(`other.${asked.name}`, "10.0.0.9")] })],
  (asked) => [reply(asked, { answers: [{ name: asked.name, type: "CNAME", data: asked.name }] })],
  (asked, truth) => [reply(asked, { id: asked.id ^ 1, answers: [] }), truth],
  (_asked, truth) => [truth.subarray(0, truth.length - 3), truth],
  (_asked, truth) => [new Uint8Array(3), truth, truth],
];

/** What happens to a client of TCP. */
const TCP_FAULTS: readonly ((truth: Uint8Array) => Uint8Array)[] = [
  (truth) => framed([truth]),
  (truth) => framed([truth]).subarray(0, truth.length - 1),
  () => new Uint8Array(0),
];

function recordOf(name: string, address: string): TestRecord {
  return { name, type: address.includes(":") ? "AAAA" : "A", data: address, ttl: 1 };
}

/** At least one of them: a family that has never been empty must never be missing. */
function some(addresses: readonly string[], random: () => number): string[] {
  const kept = addresses.filter(() => random() < 0.6);
  return kept.length > 0 ? kept : addresses.slice(0, 1);
}

/** The addresses of a list, by family. */
function families(urls: readonly string[]): readonly string[] {
  const [v6, v4] = [urls.filter((url) => url.includes("[")), urls.filter((url) => !url.includes("["))];
  return [v4, v6].map((family) => [...family].sort().join());
}

Deno.test("DnsSource tells nothing that was never true, whatever the server does, and the truth at the end", async () => {
  for (const seed of [1, 2, 3]) {
    const random = seededRandom(seed);
    const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
    const [all4, all6] = [["10.0.0.1", "10.0.0.2", "10.0.0.3"], ["fd00::1", "fd00::2"]];
    let truth = [...all4, ...all6];
    let isWell = true;
    const true4 = new Set<string>();
    const true6 = new Set<string>();
    const note = () => {
      const [v4 = "", v6 = ""] = families(truth.map((one) => one.includes(":") ? `http://[${one}]` : `http://${one}`));
      true4.add(v4);
      true6.add(v6);
    };
    note();
    const answerTo = (asked: Asked) =>
      reply(asked, {
        answers: truth.map((address) => recordOf(asked.name, address)).filter(({ type }) => type === asked.type),
      });
    await using server = new DnsServer((asked) => {
      const answer = answerTo(asked);
      if (isWell || random() < 0.4) return [answer];
      return random() < 0.2 ? [reply(asked, { truncated: true })] : pick(FAULTS)(asked, answer);
    });
    server.tcp = (asked) => ({
      bytes: (isWell ? TCP_FAULTS[0] : pick(TCP_FAULTS))?.(answerTo(asked)) ?? new Uint8Array(0),
    });
    const clock = new ManualClock();
    const discover = { host: "api.test", port: 80, scheme: "http", server: server.address } as const;
    const timing = { refreshMs: 1000, keepForMs: 30_000, drainMs: 0 };
    await using told = new Told(new DnsSource({ ...discover, ...timing }, { clock, random }));
    const next = async () => {
      const [count, asked] = [told.all.length, server.questions.length];
      // In steps below the patience for the other family, which would break its question off.
      while (clock.pending === 1 && told.all.length === count && server.questions.length === asked) {
        await clock.advance(900);
      }
      await told.word(count + 1);
      await waitFor(() => clock.pending === 1, { what: "the pause" });
    };
    await told.word(1);
    for (let step = 0; step < STEPS; step++) {
      isWell = random() < 0.2;
      if (random() < 0.5) truth = [...some(all4, random), ...some(all6, random)];
      note();
      await next();
    }
    for (const urls of told.lists) {
      const [v4 = "", v6 = ""] = families(urls);
      assert(true4.has(v4) && true6.has(v6), `${urls}, seed ${seed}`);
    }
    assert(told.failures.length > STEPS / 20, "the faults were told");
    isWell = true;
    truth = ["10.0.0.2", "fd00::1"];
    await next();
    assertEquals(told.all.at(-1), ["http://10.0.0.2", "http://[fd00::1]"], `seed ${seed}`);
  }
});
