import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { ConfigError } from "../../../src/errors.ts";
import { Challenges } from "../../../src/tls/acme/challenges.ts";
import type { AcmeContext } from "../../../src/tls/acme/context.ts";
import { CertificateStore } from "../../../src/tls/store.ts";
import type { TlsConfig } from "../../../src/tls/sources.ts";
import type { NamedCertificate, ServerCertificate } from "../../../src/tls/server_certificate.ts";
import { keptCertificate, makePair, StateDirectory, TemporaryDirectory } from "../../support/certificates.ts";
import { RecordingLog } from "../../support/log.ts";
import { ManualClock, waitFor } from "../../support/wait.ts";

const DAY_MS = 86_400_000;

function selfSigned(...names: string[]): TlsConfig {
  return { files: [], acme: null, selfSigned: names, clientCertificates: null, redirectFrom: null };
}

function files({ cert, key }: { cert: string; key: string }): TlsConfig {
  return {
    files: [{ place: [], cert, key }],
    acme: null,
    selfSigned: null,
    clientCertificates: null,
    redirectFrom: null,
  };
}

function noAcme(): AcmeContext {
  return { state: undefined, folders: new Map(), challenges: new Challenges(), shared: () => undefined };
}

/** A store whose engine remembers the first certificates that it was told to show, if it can show others at all. */
async function start(tls: TlsConfig | null, { changeable = true, clock = new ManualClock() } = {}) {
  const log = new RecordingLog();
  const shown: NamedCertificate[] = [];
  const store = await CertificateStore.obtain({ tls, acme: noAcme(), log, clock });
  const told: string[] = [];
  store.watch(changeable ? ({ certificates: [first] }) => void shown.push(first) : undefined, {
    changed: ({ names }) => void told.push(`changed ${names.join()}`),
    expires: ({ names }, remedy) => void told.push(`expires ${names.join()} ${remedy}`),
    failed: (source, error) => void told.push(`failed ${source} ${error}`),
  });
  return { store, clock, log, shown, told };
}

function names({ cert }: ServerCertificate): string | undefined {
  return new X509Certificate(cert).subjectAltName;
}

Deno.test("CertificateStore makes another self-signed one when less than 30 days are left, again and again", async () => {
  using directory = new StateDirectory();
  const { store, clock, log, shown } = await start(selfSigned("localhost"));
  const first = store.current?.certificates[0];
  for (let round = 1; round <= 2; round++) {
    await clock.advance(364 * DAY_MS);
    assertEquals(shown.length, round - 1);
    await clock.advance(3 * DAY_MS); // it is made in real time, while these days pass
    await waitFor(() => shown.length === round && clock.pending === 2, { what: "another certificate" });
  }
  const [second, third] = shown;
  assertEquals(new Set([first?.cert, second?.cert, third?.cert]).size, 3);
  assertEquals(third, store.current?.certificates[0]);
  // The next start shows the same one.
  assertEquals(keptCertificate(directory.path), third?.cert);
  assertEquals(log.of("certificate changed").length, 2);
  assertEquals(log.lines.filter(({ level }) => level !== "info"), []);
  await store.stop();
  assertEquals(clock.pending, 0);
});

Deno.test("CertificateStore makes another self-signed one when a reload names other hosts, and then goes by these", async () => {
  using _directory = new StateDirectory();
  const { store, clock, shown } = await start(selfSigned("one.example"));
  assertEquals((await store.prepare(selfSigned("ONE.example")))(), false);
  assertEquals(shown, []);
  assertEquals((await store.prepare(selfSigned("two.example")))(), false);
  assertEquals(shown.map(names), ["DNS:two.example"]);
  await clock.advance(367 * DAY_MS);
  await waitFor(() => shown.length === 2, { what: "another certificate" });
  assertEquals(shown.map(names), ["DNS:two.example", "DNS:two.example"]);
  await store.stop();
});

Deno.test("CertificateStore shows what the files hold at a reload, and nothing of a reload that is refused", async () => {
  using directory = new TemporaryDirectory();
  const pair = await makePair();
  const tls = files(directory.writePair(pair));
  const { store, shown, told } = await start(tls);
  assertEquals((await store.prepare(tls))(), false);
  assertEquals([shown, told], [[], []]);
  const next = await makePair();
  Deno.writeTextFileSync(`${directory.path}/server.crt`, next.cert);
  await assertRejects(() => store.prepare(tls), ConfigError, "does not belong to");
  directory.writePair(next);
  const use = await store.prepare(tls);
  assertEquals(store.current?.certificates[0].cert, pair.cert); // nothing has changed yet
  assertEquals(use(), false);
  assertEquals(shown, [{ ...next, names: ["localhost", "127.0.0.1"] }]);
  assertEquals([store.current?.certificates[0]], shown);
  assertEquals(told, ["changed localhost,127.0.0.1"]);
  await store.stop();
});

Deno.test("CertificateStore shows what it has checked, whatever becomes of the files until the reload is through", async () => {
  // The files were read a second time once all else had been applied: changed in between, as by a renewal that writes
  // one after the other, they failed a reload that had already happened.
  using directory = new TemporaryDirectory();
  const tls = files(directory.writePair(await makePair()));
  const { store, shown } = await start(tls);
  const next = await makePair();
  directory.writePair(next);
  const use = await store.prepare(tls);
  directory.write("server.crt", "half a certificate");
  assertEquals(use(), false);
  assertEquals(shown, [{ ...next, names: ["localhost", "127.0.0.1"] }]);
  assertEquals([store.current?.certificates[0]], shown);
  await store.stop();
});

Deno.test("CertificateStore says what takes a restart: TLS on or off, and any change that the engine can't make", async () => {
  using directory = new StateDirectory();
  const tls = files(directory.writePair(await makePair()));
  const plain = await start(null);
  const fixed = await start(tls, { changeable: false });
  const changeable = await start(tls);
  const restart = async ({ store }: typeof plain, tls: TlsConfig | null) => (await store.prepare(tls))();
  assertEquals([await restart(plain, null), await restart(plain, tls)], [false, true]);
  assertEquals([await restart(fixed, tls), await restart(fixed, null)], [false, true]);
  assertEquals([await restart(changeable, tls), await restart(changeable, null)], [false, true]);
  directory.writePair(await makePair());
  assertEquals([await restart(fixed, tls), await restart(changeable, tls)], [true, false]);
  assertEquals(await restart(fixed, selfSigned("localhost")), true);
  assertEquals(fixed.log.of("certificate made"), []); // that is for the restart to do
  for (const { store } of [plain, fixed, changeable]) await store.stop();
  assertEquals(plain.clock.pending, 0);
});

Deno.test("CertificateStore warns each day when its file's certificate has less than 14 days left", async () => {
  using directory = new TemporaryDirectory();
  for (const [changeable, remedy] of [[true, /^a reload reads/], [false, /^a restart reads/]] as const) {
    const clock = new ManualClock();
    clock.jump(Date.now() - clock.now());
    const tls = files(directory.writePair(await makePair({ days: 20.5 })));
    const { store, log, told } = await start(tls, { changeable, clock });
    await clock.advance(6 * DAY_MS);
    assertEquals([log.lines, told, store.states().map(({ endsSoon }) => endsSoon)], [[], [], [false]]);
    await clock.advance(3 * DAY_MS);
    assertEquals(
      log.lines.map(({ level, message }) => `${level} ${message}`),
      Array(3).fill("warn certificate expires"),
    );
    assertMatch(String(log.lines[0]?.fields["remedy"]), remedy);
    assertEquals([told.length, store.states().map(({ endsSoon }) => endsSoon)], [3, [true]]);
    assertMatch(told[0] ?? "", /^expires localhost,127.0.0.1 a re/);
    await store.stop();
  }
});

Deno.test("CertificateStore tells and warns of the certificates that backends are shown", async () => {
  using directory = new TemporaryDirectory();
  const [soon, later] = [
    directory.writePair(await makePair({ name: "soon.example", days: 5 }), "soon"),
    directory.writePair(await makePair({ name: "later.example", days: 90 }), "later"),
  ];
  const clock = new ManualClock();
  await clock.advance(Date.now() + DAY_MS * 4.5 - clock.now());
  const { store, log, told } = await start(null, { clock });
  const backends = [{ tls: later }, { tls: soon }, { tls: soon }, { tls: { cert: null } }];
  store.follow(() => backends);
  const states = () => store.states().map(({ names: [name], source, endsSoon }) => [name, source, endsSoon]);
  assertEquals(states(), [["soon.example", "backend", true], ["later.example", "backend", false]]);
  assertEquals(store.states(1).length, 1);
  await clock.advance(DAY_MS);
  await waitFor(() => log.of("certificate expires").length === 1, { what: "the warning" });
  assertEquals(log.of("certificate expires")[0]?.fields["remedy"], "a reload reads the files again");
  assertEquals(told.length, 1);

  Deno.copyFileSync(later.cert, soon.cert);
  assertEquals(states()[0]?.[0], "soon.example"); // the engine has the old one still
  (await store.prepare(null))();
  assertEquals(states().map(([name]) => name), ["later.example", "later.example"]);
  backends.length = 0;
  assertEquals(states(), []);
  await store.stop();
});
