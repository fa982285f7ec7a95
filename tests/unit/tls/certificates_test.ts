import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { ConfigError } from "../../../src/errors.ts";
import { readCertificate } from "../../../src/tls/certificates.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../../support/certificates.ts";

const DAY_MS = 86_400_000;

Deno.test("readCertificate() takes a chain, and warns of an end within 14 days", async () => {
  using directory = new TemporaryDirectory();
  const authority = await makeAuthority();
  const pair = await makePair({ authority, days: 90 });
  const files = directory.writePair({ cert: `Subject: a note\n${pair.cert}\n${authority.cert}\n`, key: pair.key });
  const { certificate, warning } = readCertificate(files, new Date());
  assertEquals([certificate.key, warning], [pair.key, undefined]);
  assertEquals(certificate.cert.includes(authority.cert.trim()), true);
  const at = (days: number) => () => readCertificate(files, new Date(Date.now() + days * DAY_MS));
  assertEquals(at(75)().warning, undefined);
  assertMatch(at(77)().warning ?? "", /^proxy\.tls\.cert: the certificate in .*server\.crt expires at 20\d\d-/);
  assertThrows(at(91), ConfigError, "server.crt expired at 20");
  assertMatch(at(-300)().warning ?? "", /is not valid before 20/);
});

Deno.test("readCertificate() names what is wrong with a file", async () => {
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
    assertThrows(() => readCertificate(files, new Date()), ConfigError, message);
  }
  assertThrows(() => readCertificate({ ...files, cert: directory.path }, new Date()), ConfigError, "it is a directory");
});
