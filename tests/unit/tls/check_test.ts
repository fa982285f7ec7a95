// What `roundhouse check` says of the files of certificates.

import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { configSchema } from "../../../src/config/schema.ts";
import { ConfigError } from "../../../src/errors.ts";
import { checkCertificateFiles } from "../../../src/tls/check.ts";
import { makeAuthority, makePair, TemporaryDirectory } from "../../support/certificates.ts";

Deno.test("checkCertificateFiles() says which names each certificate has and when it ends, and what is doubtful", async () => {
  using directory = new TemporaryDirectory();
  const names = ["b", "c", "d", "e", "f", "g"].map((label) => `${label}.example`);
  const certificates = [
    directory.writePair(await makePair({ name: "a.example", names }), "many"),
    directory.writePair(await makePair({ name: "b.example", days: 5 }), "soon"),
  ];
  const config = configSchema.parse({ engine: "wire", proxy: { tls: { certificates } } });
  const { certificates: [many = "", soon = ""], warnings } = checkCertificateFiles(config, new Date());
  assertMatch(
    many,
    /^proxy\.tls\.certificates\[0\]\.cert: a\.example, b\.example, c\.example, d\.example, e\.example and 2 more, until 20\d\d-.*Z$/,
  );
  assertMatch(soon, /^proxy\.tls\.certificates\[1\]\.cert: b\.example, until 20/);
  assertEquals(warnings.map((line) => line.replace(/ in \/.*/, "")), [
    "proxy.tls.certificates[1].cert: b.example is also in proxy.tls.certificates[0].cert, which is used for it",
    "proxy.tls.certificates[1].cert: the certificate",
  ]);
  assertEquals(checkCertificateFiles(configSchema.parse({}), new Date()), { certificates: [], warnings: [] });
});

// The end of these was shown nowhere: all requests failed one morning.
Deno.test("checkCertificateFiles() says when the certificates for backends end, too", async () => {
  using directory = new TemporaryDirectory();
  const tls = directory.writePair(await makePair({ name: "proxy.example", days: 5 }), "soon");
  const config = configSchema.parse({
    backends: [{ url: "https://a", tls }, { url: "https://b", tls }],
    pools: { other: { backends: [{ url: "https://c", tls }] } },
  });
  const { certificates, warnings } = checkCertificateFiles(config, new Date());
  assertEquals(certificates.map((line) => line.replace(/until 20.*Z$/, "until")), [
    "backends[0].tls.cert: proxy.example, until",
  ]);
  assertEquals(warnings.map((line) => line.replace(/ in \/.*/, "")), ["backends[0].tls.cert: the certificate"]);
});

Deno.test("checkCertificateFiles() reports all bad files at once: those of the proxy, of its clients and of backends", async () => {
  using directory = new TemporaryDirectory();
  const { cert } = directory.writePair(await makePair());
  const ca = directory.write("ca.pem", (await makeAuthority()).cert);
  const config = configSchema.parse({
    engine: "wire",
    proxy: { tls: { cert, key: "/none.key", clientCertificates: { ca: "/none.pem" } } },
    backends: [{ url: "https://a", tls: { ca: "/none.ca" } }, { url: "https://b", tls: { ca } }],
  });
  const error = assertThrows(() => checkCertificateFiles(config, new Date()), ConfigError);
  assertEquals(error.lines, [
    "proxy.tls.key: /none.key can't be read: no such file",
    "proxy.tls.clientCertificates.ca: /none.pem can't be read: no such file",
    "backends[0].tls.ca: /none.ca can't be read: no such file",
  ]);
});
