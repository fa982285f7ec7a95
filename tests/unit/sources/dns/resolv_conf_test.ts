// What the files of the system say is read as other programs read it, whatever stands in them.

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { addressesInHosts } from "../../../../src/sources/dns/hosts_file.ts";
import { readResolvConf, RESOLVER_DEFAULTS } from "../../../../src/sources/dns/resolv_conf.ts";
import { namesToTry } from "../../../../src/sources/dns/search.ts";
import { SystemFiles } from "../../../../src/sources/dns/system_files.ts";
import { TemporaryDirectory } from "../../../support/certificates.ts";

const NEVER = new AbortController().signal;

Deno.test("readResolvConf() reads servers, search list and options as resolv.conf(5) says", () => {
  const text = `# a comment
; another
nameserver 10.96.0.10
nameserver\tfd00::10   # text behind it
nameserver fe80::1%eth0
nameserver nonsense
search first.example
domain second.example.
search default.svc.cluster.local Svc.Cluster.Local. cluster.local
options ndots:5 timeout:3 attempts:1 rotate
options timeout:1 ndots:x
 nameserver 10.0.0.99
sortlist 130.155.160.0/255.255.240.0`;
  assertEquals(readResolvConf(text), {
    servers: ["10.96.0.10", "fd00::10", "fe80::1%eth0"].map((hostname) => ({ hostname, port: 53 })),
    search: ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"],
    ndots: 5,
    timeoutMs: 1000,
    attempts: 1,
  });
  assertEquals(readResolvConf("").servers, [{ hostname: "127.0.0.1", port: 53 }]);
  assertEquals(readResolvConf("domain a.example\nsearch .\n").search, []);
  assertEquals(readResolvConf("options timeout:0 attempts:99 ndots:99"), {
    ...RESOLVER_DEFAULTS,
    timeoutMs: 1000,
    attempts: 5,
    ndots: 15,
  });
});

Deno.test("readResolvConf() makes something sensible of any text", () => {
  const word = fc.oneof(
    fc.constantFrom("nameserver", "search", "domain", "options", "ndots:7", "timeout:9999999999"),
    fc.string(),
  );
  const text = fc.array(fc.array(word).map((words) => words.join(" "))).map((lines) => lines.join("\n"));
  fc.assert(fc.property(text, (text) => {
    const { servers, search, ndots, timeoutMs, attempts } = readResolvConf(text);
    assertEquals([servers.length >= 1, servers.length <= 8, search.length <= 32], [true, true, true]);
    assertEquals([ndots >= 0 && ndots <= 15, timeoutMs >= 1000 && timeoutMs <= 30_000], [true, true]);
    assertEquals(attempts >= 1 && attempts <= 5, true);
  }));
});

Deno.test("namesToTry() tries short names in the search domains first, and full ones as they are", () => {
  const config = { search: ["a.test", "b.test"], ndots: 2 };
  assertEquals(namesToTry("api", config), ["api.a.test", "api.b.test", "api"]);
  assertEquals(namesToTry("api.x", config), ["api.x.a.test", "api.x.b.test", "api.x"]);
  assertEquals(namesToTry("api.x.y", config), ["api.x.y", "api.x.y.a.test", "api.x.y.b.test"]);
  assertEquals(namesToTry("api.", config), ["api"]);
  assertEquals(namesToTry("api", { search: ["a.test", "a.test", "x".repeat(64), "c".repeat(62)], ndots: 1 }), [
    "api.a.test",
    `api.${"c".repeat(62)}`,
    "api",
  ]);
});

Deno.test("addressesInHosts() has every address of a name, and nothing of comments and other names", () => {
  const text = `127.0.0.1 localhost
::1 localhost ip6-localhost
10.0.0.1  API.test api   # api2
10.0.0.1 api.test
# 10.0.0.9 api.test
10.0.0.2\tother api.test
nonsense api.test
10.0.0.3 api.test.example`;
  assertEquals(addressesInHosts(text, "api.test"), ["10.0.0.1", "10.0.0.2"]);
  assertEquals(addressesInHosts(text, "localhost"), ["127.0.0.1", "::1"]);
  for (const name of ["api2", "test", "nonsense", "10.0.0.1"]) assertEquals(addressesInHosts(text, name), []);
});

Deno.test("SystemFiles reads files again when they change, and keeps what they said while they are missing", async () => {
  using directory = new TemporaryDirectory();
  const hosts = directory.write("hosts", "10.0.0.1 a");
  const resolvConf = `${directory.path}/resolv.conf`;
  const files = new SystemFiles({ hosts, resolvConf });
  assertEquals(await files.resolverConfig(NEVER), RESOLVER_DEFAULTS);
  directory.write("resolv.conf", "nameserver 10.0.0.2\n");
  assertEquals((await files.resolverConfig(NEVER)).servers, [{ hostname: "10.0.0.2", port: 53 }]);
  assertEquals(await files.resolverConfig(NEVER) === await files.resolverConfig(NEVER), true, "not read again");
  Deno.removeSync(resolvConf);
  assertEquals((await files.resolverConfig(NEVER)).servers, [{ hostname: "10.0.0.2", port: 53 }]);
  Deno.symlinkSync(directory.write("other", "nameserver 10.0.0.33\n"), resolvConf);
  assertEquals((await files.resolverConfig(NEVER)).servers, [{ hostname: "10.0.0.33", port: 53 }]);
  assertEquals(await files.hosts(NEVER), "10.0.0.1 a");
  directory.write("hosts", "10.0.0.22 a");
  assertEquals(await files.hosts(NEVER), "10.0.0.22 a");
});
