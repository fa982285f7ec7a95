import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { selfSignedCertificate } from "../../../src/tls/self_signed.ts";
import { TemporaryDirectory } from "../../support/certificates.ts";
import { RecordingLog } from "../../support/log.ts";

const DAY_MS = 86_400_000;
const NAMES = ["localhost", "Proxy.Example", "127.0.0.1", "::1"];
const START = new Date("2026-06-01T00:00:00Z");

function after(days: number): Date {
  return new Date(START.getTime() + days * DAY_MS);
}

Deno.test("selfSignedCertificate() is for all names, P-256, and valid for at most 397 days", async () => {
  const log = new RecordingLog();
  const { cert } = await selfSignedCertificate({ names: NAMES, directory: undefined, now: START, log });
  const certificate = new X509Certificate(cert);
  assertEquals(
    certificate.subjectAltName,
    "DNS:localhost, DNS:Proxy.Example, IP Address:127.0.0.1, IP Address:::1",
  );
  assertEquals(certificate.publicKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
  const validMs = new Date(certificate.validTo).getTime() - new Date(certificate.validFrom).getTime();
  assert(validMs > 390 * DAY_MS && validMs <= 397 * DAY_MS);
  assertEquals(log.of("certificate not kept").map(({ level }) => level), ["warn"]);
});

Deno.test("selfSignedCertificate() keeps one in files of its own and takes it again while it fits", async () => {
  using directory = new TemporaryDirectory();
  const log = new RecordingLog();
  const state = `${directory.path}/state`;
  const get = (now: Date, names = NAMES) => selfSignedCertificate({ names, directory: state, now, log });
  const first = await get(START);
  const mode = (path: string) => (Deno.statSync(path).mode ?? 0) & 0o777;
  const files = () => [...Deno.readDirSync(`${state}/tls`)].map(({ name }) => `${state}/tls/${name}`).sort();
  const [cert = "", key = "", ...more] = files();
  assertEquals([mode(`${state}/tls`), mode(cert), mode(key), more], [0o700, 0o644, 0o600, []]);
  assertMatch(`${cert} ${key}`, /self-signed-([0-9a-f]{12})\.crt .*self-signed-\1\.key$/);
  assertEquals(await get(after(0)), first);
  assertEquals(await get(after(365), ["::1", "LOCALHOST", "proxy.example", "127.0.0.1"]), first);
  assertEquals(log.of("certificate made").length, 1);

  const renewed = await get(after(367)); // less than 30 days left
  assertNotEquals(renewed, first);
  assertEquals(await get(after(367)), renewed);
  const early = await get(START); // not valid yet: the clock was set back
  assertNotEquals(early, renewed);

  Deno.writeTextFileSync(key, renewed.key); // another certificate's
  const repaired = await get(START);
  assertNotEquals(repaired, early);
  Deno.writeTextFileSync(cert, "damaged");
  assertNotEquals(await get(START), repaired);
  assertEquals([log.of("certificate made").length, files()], [5, [cert, key]]);
  assertEquals(log.of("certificate not kept"), []);
});

Deno.test("selfSignedCertificate() keeps one for each set of names: two proxies of one user leave each other theirs", async () => {
  // They shared one file, and each start put its own certificate in the place of the other's.
  using directory = new TemporaryDirectory();
  const log = new RecordingLog();
  const get = (names: string[]) => selfSignedCertificate({ names, directory: directory.path, now: START, log });
  const one = await get(["one.example", "localhost"]);
  const other = await get(["other.example"]);
  assertEquals(await get(["LOCALHOST", "one.example"]), one);
  assertEquals(await get(["other.example"]), other);
  assertEquals(log.of("certificate made").length, 2);
});

Deno.test("selfSignedCertificate() goes on in memory where it can't write", async () => {
  using directory = new TemporaryDirectory();
  const log = new RecordingLog();
  const notADirectory = directory.write("file", "");
  const { cert } = await selfSignedCertificate({ names: ["a"], directory: notADirectory, now: START, log });
  assertEquals(new X509Certificate(cert).subjectAltName, "DNS:a");
  assertEquals(log.of("certificate not kept").length, 1);
});

Deno.test({
  name: "selfSignedCertificate() asks for no permission that it was not given",
  permissions: { read: true, write: false, env: true },
  async fn() {
    const log = new RecordingLog();
    await selfSignedCertificate({ names: ["a"], directory: "/tmp/never-made-by-a-test", now: START, log });
    assertEquals(log.of("certificate not kept").map(({ fields }) => fields["reason"]), [
      "writing there is not permitted (--allow-write)",
    ]);
  },
});
