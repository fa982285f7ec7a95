// A thousand pools took 600 MB, because each backend's checks had an HTTP client of their own.

import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { CheckClients } from "../../../src/health/check_clients.ts";

Deno.test("CheckClients lends one client to all that trust the same authorities, and closes it after the last", () => {
  const clients = new CheckClients();
  const tls = { ca: null, insecure: false, serverName: null, cert: null, key: null } as const;
  const [one, two] = [clients.lend(tls), clients.lend(tls)];
  assertEquals(one.client === two.client, true);
  one.giveBack();
  assertEquals(clients.lend(tls).client === two.client, true);
  two.giveBack();
  two.giveBack();
  assertThrows(() => two.client.close(), Error, undefined, "it is closed");
  const next = clients.lend(tls);
  assertNotEquals(next.client, two.client);
  next.giveBack();
});
