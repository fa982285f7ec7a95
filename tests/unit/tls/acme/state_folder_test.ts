import { assert, assertEquals } from "@std/assert";
import { NO_TRIES } from "../../../../src/tls/acme/schedule.ts";
import { StateFolder } from "../../../../src/tls/acme/state_folder.ts";
import { makePair, TemporaryDirectory } from "../../../support/certificates.ts";
import { RecordingLog } from "../../../support/log.ts";

const DIRECTORY = "https://acme.example/dir";

function folderIn(state: string | undefined, log = new RecordingLog(), directory = DIRECTORY): StateFolder {
  return new StateFolder({ state, directory, log });
}

/** The only folder of an authority. */
function pathIn(state: string): string {
  const [entry] = [...Deno.readDirSync(`${state}/acme`)];
  return `${state}/acme/${entry?.name}`;
}

Deno.test("a StateFolder finds again what it has kept, for its authority alone", async () => {
  using state = new TemporaryDirectory();
  const pair = await makePair({ name: "one.example" });
  const [account, tries] = [
    { key: "key", url: "https://acme.example/1", email: "me@one.example" },
    { failures: 2, lastMs: 5, notBeforeMs: -Infinity, error: "no such name" },
  ];
  const folder = folderIn(state.path);
  assertEquals([await folder.account(), folder.certificate("one.example"), folder.tries(null)], [
    undefined,
    undefined,
    NO_TRIES,
  ]);
  await folder.keepAccount(account);
  await folder.keepCertificate("one.example", pair);
  await folder.keepTries("one.example", tries);
  await folder.keepTries(null, { ...tries, notBeforeMs: 7 });
  const again = folderIn(state.path);
  assertEquals(await again.account(), account);
  assertEquals(again.certificate("one.example")?.cert.trim(), pair.cert.trim());
  assertEquals(again.certificate("one.example")?.key.trim(), pair.key.trim());
  assertEquals([again.tries("one.example"), again.tries(null)], [tries, { ...tries, notBeforeMs: 7 }]);
  await again.keepTries("one.example", NO_TRIES);
  await again.keepTries("one.example", NO_TRIES);
  assertEquals(folderIn(state.path).tries("one.example"), NO_TRIES);
  const other = folderIn(state.path, undefined, "https://staging.acme.example/dir");
  assertEquals([await other.account(), other.certificate("one.example")], [undefined, undefined]);
});

Deno.test("only its owner can read what a StateFolder keeps, and nothing half-written stays", async () => {
  using state = new TemporaryDirectory();
  const folder = folderIn(state.path);
  await folder.keepAccount({ key: "key", url: undefined, email: null });
  await folder.keepCertificate("one.example", await makePair());
  (await folder.lock())?.[Symbol.dispose]();
  const path = pathIn(state.path);
  const modes = Object.fromEntries(Array.from(Deno.readDirSync(path), ({ name }) => [
    name,
    ((Deno.statSync(`${path}/${name}`).mode ?? 0) & 0o777).toString(8),
  ]));
  assertEquals(modes, { "account.json": "600", "one.example.pem": "600", lock: "600" });
  assertEquals(((Deno.statSync(path).mode ?? 0) & 0o777).toString(8), "700");
});

Deno.test("damaged files count as none, and the log shows nothing of them", async () => {
  using state = new TemporaryDirectory();
  const log = new RecordingLog();
  const folder = folderIn(state.path, log);
  await folder.keepAccount({ key: "key", url: undefined, email: null });
  const path = pathIn(state.path);
  Deno.writeTextFileSync(`${path}/account.json`, `{"key":"SECRET`);
  Deno.writeTextFileSync(`${path}/one.example.pem`, "SECRET");
  Deno.writeTextFileSync(`${path}/one.example.tries.json`, `{"failures":-1}`);
  const again = folderIn(state.path, log);
  assertEquals([await again.account(), again.certificate("one.example"), again.tries("one.example")], [
    undefined,
    undefined,
    NO_TRIES,
  ]);
  assertEquals(log.of("kept file not used").length, 2);
  assert(!JSON.stringify(log.lines).includes("SECRET"));
});

Deno.test("one process at a time has the lock of a StateFolder", async () => {
  using state = new TemporaryDirectory();
  const [one, other] = [folderIn(state.path), folderIn(state.path)];
  {
    using _lock = await one.lock();
    assertEquals(await other.lock(), undefined);
  }
  using lock = await other.lock();
  assert(lock !== undefined);
});

// A process that is killed in the middle of an order must not keep others from ordering for ever.
Deno.test("the lock of a StateFolder ends with a process that is killed", async () => {
  using state = new TemporaryDirectory();
  const folder = folderIn(state.path);
  (await folder.lock())?.[Symbol.dispose]();
  const script = `const file = await Deno.open(Deno.args[0], { write: true }); console.log(await file.tryLock(true));
    setInterval(() => file, 1000);`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", state.write("hold.ts", script), `${pathIn(state.path)}/lock`],
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  assertEquals(new TextDecoder().decode((await reader.read()).value).trim(), "true");
  assertEquals(await folder.lock(), undefined);
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  using lock = await folder.lock();
  assert(lock !== undefined);
});

Deno.test("without a folder, or without room in it, a StateFolder says so once and all goes on", async () => {
  using state = new TemporaryDirectory();
  for (const place of [undefined, state.write("a-file", "")]) {
    const log = new RecordingLog();
    const folder = folderIn(place, log);
    const account = { key: "key", url: undefined, email: null };
    await folder.keepAccount(account);
    await folder.keepCertificate("one.example", await makePair());
    using lock = await folder.lock();
    assert(lock !== undefined);
    assertEquals(await folder.account(), account, "for as long as the process runs");
    assertEquals(log.of("certificates not kept").length, 1);
  }
});
