// Sources can name anything. What would loop, or what the engine can't reach, is refused with the whole list.

import { assertEquals, assertThrows } from "@std/assert";
import { normaliseBackendUrl } from "../../../src/config/backend_url.ts";
import { isOwnHost } from "../../../src/control/own_host.ts";
import { type Limits, mustBeServable, mustNameNoSockets } from "../../../src/control/servable.ts";
import { backendSpec } from "../../support/pool.ts";

const OWN = [{ host: "0.0.0.0", port: 8080 }, { host: "127.0.0.1", port: 8081 }];

function errorOf(url: string, limits: Partial<Limits> = {}, spec = {}): string {
  const backends = [backendSpec("http://10.0.0.1"), backendSpec(url, spec)];
  return assertThrows(() => mustBeServable(backends, { engine: "fetch", own: OWN, ...limits }), Error).message;
}

Deno.test("mustBeServable() refuses roundhouse's own addresses, repetitions and what the engine can't reach", () => {
  const itself = "is an address of this roundhouse, so requests would come back to it";
  for (const host of ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.9.9.9", "[::ffff:127.0.0.1]"]) {
    assertEquals(errorOf(`http://${host}:8080`), `http://${host}:8080: ${itself}`);
  }
  // The system connects to this machine for these. A list with one of them showed the admin API to all clients.
  for (const host of ["0.0.0.0", "[::]", "localhost."]) {
    assertEquals(errorOf(`http://${host}:8081`), `http://${host}:8081: ${itself}`);
  }
  assertEquals(errorOf("http://localhost:8081/base"), `http://localhost:8081/base: ${itself}`);
  assertEquals(errorOf("http://10.0.0.1"), "http://10.0.0.1: is there twice");
  assertEquals(errorOf("http://a:6000"), `http://a:6000: port 6000 is blocked by engine "fetch"`);
  const insecure = { tls: { ca: null, insecure: true, serverName: null, cert: null, key: null } };
  assertEquals(
    errorOf("https://a", {}, insecure),
    `https://a: tls.insecure: not supported by engine "fetch", use engine "wire"`,
  );
  const missing = errorOf("https://a", { engine: "wire" }, {
    tls: { ca: "/nowhere/ca.pem", insecure: false, serverName: null, cert: null, key: null },
  });
  assertEquals(missing.includes("/nowhere/ca.pem"), true, missing);
});

Deno.test("mustBeServable() knows the socket that the proxy listens on, in any spelling", () => {
  const own = [{ host: "unix:/run/front.sock", port: 8080 }, { host: "127.0.0.1", port: 8081 }];
  const itself = "unix:/run/front.sock: is an address of this roundhouse, so requests would come back to it";
  assertEquals(errorOf(normaliseBackendUrl("unix:///run/front.sock"), { own }), itself);
  const others = ["unix:/run/app.sock", "http://127.0.0.1:8080"].map((url) => backendSpec(url));
  mustBeServable(others, { engine: "fetch", own });
});

Deno.test("mustNameNoSockets() refuses a list with a socket in it", () => {
  mustNameNoSockets([backendSpec("http://a")]);
  const list = [backendSpec("http://a"), backendSpec("unix:/var/run/docker.sock")];
  const { message } = assertThrows(() => mustNameNoSockets(list), Error);
  assertEquals(message.startsWith("unix:/var/run/docker.sock: only the configuration"), true, message);
});

Deno.test("mustBeServable() takes everything else", () => {
  mustBeServable([], { engine: "fetch", own: OWN });
  const others = ["http://127.0.0.1:8082", "http://127.0.0.2:8081", "http://192.0.2.1:8080", "http://example.com:8080"];
  mustBeServable(others.map((url) => backendSpec(url)), { engine: "fetch", own: OWN });
  const insecure = backendSpec("https://a:6000", {
    tls: { ca: null, insecure: true, serverName: null, cert: null, key: null },
  });
  mustBeServable([insecure], { engine: "wire", own: OWN });
});

Deno.test("isOwnHost() knows the addresses of this machine where a server listens on all of them", () => {
  const addresses = Deno.networkInterfaces().map(({ address }) => address).filter((address) =>
    !address.startsWith("fe80:")
  ); // such an address means nothing without its interface
  assertEquals(addresses.filter((address) => !isOwnHost(address, "0.0.0.0")), []);
  assertEquals([isOwnHost("a.example", "a.example"), isOwnHost("a.example", "0.0.0.0")], [true, false]);
  assertEquals(isOwnHost("192.0.2.1", "10.0.0.1"), false);
  assertEquals(isOwnHost("localhost.", "127.0.0.1"), true);
});
