// Whose certificate a client has shown, and what backends get of it.

import { assertEquals } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { clientCertHeader, ClientIdentities } from "../../../src/tls/client_identity.ts";
import { issue, issueAuthority } from "../../support/chains.ts";

const HOUR_MS = 3_600_000;

/** The certificate of RFC 9440, appendix A, and its field value in section 2.2. */
const RFC_VALUE = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMM" +
  "EkxBIEludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYI" +
  "KoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAw" +
  "CQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYIKwYBBQUHAwIw" +
  "HQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8T" +
  "AiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:";

Deno.test("clientCertHeader() writes the example of RFC 9440 as the RFC does", () => {
  const { raw, subject } = new X509Certificate(
    `-----BEGIN CERTIFICATE-----\n${RFC_VALUE.slice(1, -1)}\n-----END CERTIFICATE-----`,
  );
  assertEquals([subject, raw.length], ["CN=BC", 428]);
  assertEquals(clientCertHeader(raw), RFC_VALUE);
  assertEquals(clientCertHeader(new Uint8Array([9, ...raw, 9]).subarray(1, -1)), RFC_VALUE); // a part of a buffer
});

Deno.test("ClientIdentities believes what was verified in a full handshake, and nothing else there", async () => {
  const authority = await issueAuthority();
  const [own, foreign] = [await issue("own", { issuer: authority }), await issue("foreign")];
  const identities = new ClientIdentities({ ca: authority.cert, require: true });
  const full = (chain: Uint8Array[], verified: boolean) => identities.headerFor({ chain, verified, resumed: false });
  assertEquals(await full([own.der], true), clientCertHeader(own.der));
  assertEquals([await full([own.der], false), await full([foreign.der], false), await full([], true)], [
    null,
    null,
    null,
  ]);
});

Deno.test("ClientIdentities knows a client again that resumes its session, from here or from another worker", async () => {
  const authority = await issueAuthority();
  const own = await issue("own", { issuer: authority });
  const here = new ClientIdentities({ ca: authority.cert, require: true });
  const elsewhere = new ClientIdentities({ ca: authority.cert, require: true });
  await here.headerFor({ chain: [own.der], verified: true, resumed: false });
  for (const identities of [here, elsewhere, elsewhere]) {
    const header = await identities.headerFor({ chain: [own.der], verified: true, resumed: true });
    assertEquals(header, clientCertHeader(own.der));
  }
});

Deno.test("ClientIdentities believes no resumed session of a client that was refused, or that other authorities know", async () => {
  // The runtime gives tickets to clients before it tells what came of their certificates, and says of a resumed session
  // that all is well.
  const [authority, former] = [await issueAuthority("authority"), await issueAuthority("former")];
  const identities = new ClientIdentities({ ca: authority.cert, require: true });
  const refused = await issue("refused", { issuer: former });
  const resumed = (chain: Uint8Array[]) => identities.headerFor({ chain, verified: true, resumed: true });
  assertEquals(await identities.headerFor({ chain: [refused.der], verified: false, resumed: false }), null);
  assertEquals([await resumed([refused.der]), await resumed([refused.der, former.der])], [null, null]);
  // An authority that is there beside the former one knows both.
  const both = new ClientIdentities({ ca: former.cert + authority.cert, require: true });
  const header = await both.headerFor({ chain: [refused.der], verified: true, resumed: true });
  assertEquals(header, clientCertHeader(refused.der));
});

Deno.test("ClientIdentities looks again after an hour, and when the certificate has ended", async () => {
  const authority = await issueAuthority();
  const [long, short] = [
    await issue("long", { issuer: authority }),
    await issue("short", { issuer: authority, until: 1 / 48 }),
  ];
  let now = Date.now();
  const identities = new ClientIdentities({ ca: authority.cert, require: false }, () => now);
  // Without an authority in its chain, only memory knows this one.
  const stranger = await issue("stranger", { issuer: await issueAuthority("unknown") });
  for (const { der } of [long, short, stranger]) {
    await identities.headerFor({ chain: [der], verified: true, resumed: false });
  }
  const known = async () => {
    const headers = [long, short, stranger].map(({ der }) =>
      identities.headerFor({ chain: [der], verified: true, resumed: true })
    );
    return (await Promise.all(headers)).map((header) => header !== null);
  };
  assertEquals(await known(), [true, true, true]);
  now += HOUR_MS * 0.75;
  assertEquals(await known(), [true, false, true]);
  now += HOUR_MS * 0.5;
  assertEquals(await known(), [true, false, false]);
});

Deno.test("ClientIdentities remembers 10,000 certificates", async () => {
  const authority = await issueAuthority();
  const stranger = await issue("stranger", { issuer: await issueAuthority("unknown") });
  const identities = new ClientIdentities({ ca: authority.cert, require: true });
  const verify = (chain: Uint8Array[]) => identities.headerFor({ chain, verified: true, resumed: false });
  await verify([stranger.der]);
  const other = Uint8Array.from((await issue("other", { issuer: authority })).der);
  for (let number = 0; number < 10_000; number++) {
    other.set([number & 255, number >> 8], other.length - 2); // another signature
    await verify([other]);
  }
  assertEquals(await identities.headerFor({ chain: [stranger.der], verified: true, resumed: true }), null);
  assertEquals(await identities.headerFor({ chain: [other], verified: true, resumed: true }), clientCertHeader(other));
});
