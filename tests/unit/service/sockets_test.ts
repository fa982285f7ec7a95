import { assertEquals, assertRejects, assertThrows } from "@std/assert";
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

Deno.test("a successor finds each socket where its predecessor has put it, and where it was to be", () => {
  const uses = fc.array(fc.constantFrom<SocketUse>("proxy", "admin", "redirect"), { minLength: 1, maxLength: 8 });
  fc.assert(fc.property(uses, fc.boolean(), (uses, fromSystemd) => {
    const sockets: SocketToHand[] = uses.map((use, index) => ({ use, descriptor: 90 + index, address: `${use}:80` }));
    const read = readHandover(handoverText(sockets, fromSystemd));
    const at = (use: SocketUse) => uses.flatMap((other, index) => other === use ? [LINE + 1 + index] : []);
    const addresses = new Map(uses.map((use) => [use, `${use}:80`]));
    const handed = { proxy: at("proxy"), admin: at("admin")[0], redirect: at("redirect")[0], fromSystemd, addresses };
    assertEquals(read, { predecessor: Deno.pid, sockets: handed });
  }));
});

Deno.test("readHandover() takes what a version without addresses has said, and nothing that is not ours", () => {
  assertEquals(readHandover("7 own proxy")?.sockets.addresses?.size, 0);
  for (
    const text of ["", "x own proxy", "7 own", "7 own door", "7 own proxy,", "7 own proxy a,b", "7 own proxy a more"]
  ) {
    assertEquals(readHandover(text), undefined, text);
  }
});

Deno.test("a successor whose predecessor is not the parent, but lives, does not start", async () => {
  // It opened other sockets at the same port, and half of the clients waited for ever.
  const given = environment({ [HANDOVER]: `${Deno.pid} own proxy` });
  await assertRejects(() => Predecessor.take(given), Error, "is not the parent");
  assertEquals(given.left.size, 0);
  assertEquals(await Predecessor.take(environment({})), undefined);
});
