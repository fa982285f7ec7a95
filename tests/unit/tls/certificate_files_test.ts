import { assertEquals, assertMatch, assertStrictEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../../src/errors.ts";
import { GoodPairs, readCertificates } from "../../../src/tls/certificate_files.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../../support/certificates.ts";

const DAY_MS = 86_400_000;

Deno.test("readCertificates() takes a chain, and warns of an end within 14 days", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const pair = await makePair({ authority, days: 90 });
  const files = directory.writePair({ cert: `Subject: a note\n${pair.cert}\n${authority.cert}\n`, key: pair.key });
  const read = readCertificates([{ place: [], ...files }], new Date());
  const [certificate] = read?.certificates ?? [];
  assertEquals([certificate?.key, read?.warnings], [pair.key, []]);
  assertEquals(certificate?.cert.includes(authority.cert.trim()), true);
  const at = (days: number) => () =>
    readCertificates([{ place: [], ...files }], new Date(Date.now() + days * DAY_MS))?.warnings.join("\n");
  assertEquals(at(75)(), "");
  assertMatch(at(77)() ?? "", /^proxy\.tls\.cert: the certificate in .*server\.crt expires at 20\d\d-/);
  assertThrows(at(91), ConfigError, "server.crt expired at 20");
  assertMatch(at(-300)() ?? "", /is not valid before 20/);
});

Deno.test("readCertificates() names what is wrong with a file", async () => {
  using directory = new TemporaryDirectory();
  const { cert, key } = await makePair();
  const files = directory.writePair({ cert, key });
  const damage = (pem: string) => pem.replace(/\n(.{20})/, "\nAAAAAAAAAAAAAAAAAAAA");
  const cases: [string, string, string][] = [
    ["cert", damage(cert), "proxy.tls.cert: certificate 1 of"],
    ["key", damage(key), "proxy.tls.key: the key in"],
    [
      "key",
      "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
      "without a passphrase",
    ],
    ["cert", key, "server.crt has no certificate in PEM"],
    ["key", cert, "server.key has no private key in PEM"],
  ];
  for (const [which, text, message] of cases) {
    directory.writePair({ cert, key, [which]: text });
    assertThrows(() => readCertificates([{ place: [], ...files }], new Date()), ConfigError, message);
  }
  const folder = { place: [], ...files, cert: directory.path };
  assertThrows(() => readCertificates([folder], new Date()), ConfigError, "it is a directory");
});

Deno.test("readCertificates() reports all files that can't be used, each by its place in the configuration", async () => {
  using directory = new TemporaryDirectory();
  const [one, other] = [await makePair({ days: 5 }), await makePair()];
  const path = (name: string, text: string) => directory.write(name, text);
  const good = { cert: path("one.crt", one.cert), key: path("one.key", one.key) };
  const files = [good, { cert: path("two.crt", other.cert), key: good.key }, { ...good, key: "/none" }];
  const placed = files.map((pair, index) => ({ place: ["certificates", index], ...pair }));
  const error = assertThrows(() => readCertificates(placed, new Date()), ConfigError);
  assertEquals(error.lines.map((line) => line.split(": ")[0]), [
    "proxy.tls.certificates[1].key",
    "proxy.tls.certificates[2].key",
  ]);
  const [warning = ""] = readCertificates(placed.slice(0, 1), new Date())?.warnings ?? [];
  assertMatch(warning, /^proxy\.tls\.certificates\[0\]\.cert: the certificate in .* expires at /);
  assertEquals(readCertificates([], new Date()), undefined);
});

Deno.test("readCertificates() does not check again what was good and is the same, and still reads it", async () => {
  // With ten thousand certificates a reload stood still for a minute.
  using directory = new TemporaryDirectory();
  const files = [{ place: [], ...directory.writePair(await makePair()) }];
  const good = new GoodPairs();
  const [first, second] = [
    readCertificates(files, new Date(), good)?.certificates[0],
    readCertificates(files, new Date(), good)?.certificates[0],
  ];
  assertStrictEquals(second, first);
  const next = await makePair({ days: 5 });
  directory.write("server.crt", next.cert);
  assertThrows(() => readCertificates(files, new Date(), good), ConfigError, "does not belong to");
  directory.write("server.key", next.key);
  const read = readCertificates(files, new Date(), good);
  assertEquals([read?.certificates[0], read?.warnings.length], [next, 1]);
  assertThrows(() => readCertificates(files, new Date(Date.now() + 6 * DAY_MS), good), ConfigError, "expired at");
  Deno.removeSync(files[0]?.cert ?? "");
  assertThrows(() => readCertificates(files, new Date(), good), ConfigError, "no such file");
});
