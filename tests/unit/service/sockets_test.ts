import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { NO_SOCKETS, type SocketToHand, type SocketUse } from "../../../src/control/shared_ports.ts";
import { ConfigError } from "../../../src/errors.ts";
import { HANDOVER, handoverText, LINE, Predecessor, readHandover } from "../../../src/service/handover.ts";
import { takeListenFds } from "../../../src/service/listen_fds.ts";

/** Variables that can be taken out. */
function environment(variables: Record<string, string>) {
  const left = new Map(Object.entries(variables));
  return { left, get: (name: string) => left.get(name), delete: (name: string) => void left.delete(name) };
}

const OURS = { LISTEN_PID: String(Deno.pid) };

Deno.test("takeListenFds() takes the sockets by name, and the variables out of the environment", () => {
  const given = environment({ ...OURS, LISTEN_FDS: "3", LISTEN_FDNAMES: "admin:roundhouse.socket:redirect", A: "1" });
  assertEquals(takeListenFds(given), { proxy: [4], admin: 3, redirect: 5, fromSystemd: true });
  assertEquals([...given.left], [["A", "1"]]);
  assertEquals(takeListenFds(environment({ ...OURS, LISTEN_FDS: "1" })).proxy, [3]);
});

Deno.test("takeListenFds() leaves sockets alone that are not ours, and refuses two for one use", () => {
  const variables: Record<string, string>[] = [
    {},
    { LISTEN_FDS: "1" },
    { LISTEN_FDS: "1", LISTEN_PID: "1" },
    ...["0", "-1", "x", "", "1e9"].map((count) => ({ ...OURS, LISTEN_FDS: count })),
  ];
  for (const given of variables) {
    const all = environment(given);
    assertEquals(takeListenFds(all), NO_SOCKETS);
    assertEquals(all.left.size, 0);
  }
  const twice = environment({ ...OURS, LISTEN_FDS: "4", LISTEN_FDNAMES: "admin:a:admin" });
  const { lines } = assertThrows(() => takeListenFds(twice), ConfigError);
  assertEquals(lines.map((line) => line.slice(0, 36)), [
    "LISTEN_FDS: got 2 sockets for proxy,",
    "LISTEN_FDS: got 2 sockets for admin,",
  ]);
});

Deno.test("a successor finds each socket where its predecessor has put it", () => {
  const uses = fc.array(fc.constantFrom<SocketUse>("proxy", "admin", "redirect"), { minLength: 1, maxLength: 8 });
  fc.assert(fc.property(uses, fc.boolean(), (uses, fromSystemd) => {
    const sockets: SocketToHand[] = uses.map((use, index) => ({ use, descriptor: 90 + index }));
    const read = readHandover(handoverText(sockets, fromSystemd), Deno.pid);
    const at = (use: SocketUse) => uses.flatMap((other, index) => other === use ? [LINE + 1 + index] : []);
    assertEquals(read, { proxy: at("proxy"), admin: at("admin")[0], redirect: at("redirect")[0], fromSystemd });
  }));
});

Deno.test("readHandover() takes nothing that is not from the parent, and nothing else", () => {
  for (const text of [undefined, "", "1 own proxy", "7 own", "7 own door", "7 own proxy,", "7 own proxy more"]) {
    assertEquals(readHandover(text, 7), undefined, text);
  }
});

Deno.test("a successor whose predecessor has ended does not start, because it holds sockets that nobody serves", () => {
  // It opened others at the same port, and half of the clients waited for ever.
  const given = environment({ [HANDOVER]: `${Deno.pid} own proxy` });
  assertThrows(() => Predecessor.take(given), Error, "is not the parent");
  assertEquals(given.left.size, 0);
  assertEquals(Predecessor.take(environment({})), undefined);
});
