import { assertEquals } from "@std/assert";
import { EMPTY } from "../../../src/cluster/document.ts";
import { entryKey } from "../../../src/cluster/entry.ts";
import { StateFile } from "../../../src/cluster/state_file.ts";
import { history } from "../../support/cluster_documents.ts";
import { RecordingLog } from "../../support/log.ts";

const DRAFT = {
  pool: "default",
  url: "http://a:1",
  was: null,
  listing: { kind: "removed", drainMs: 5 },
  state: null,
} as const;
const DOCUMENT = history([{ draft: DRAFT, mark: "0123456789ab" }])[1] ?? EMPTY;

const limitsFor = (replicas: number) => ({ replicas, seed: "00c0ffee00c0ffee" });

Deno.test("StateFile keeps the last state, for its owner alone", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const log = new RecordingLog();
    const options = { directory: `${directory}/state`, owner: "redis://a roundhouse", log };
    const file = new StateFile(options);
    assertEquals({ ...file.read(), limits: limitsFor(1) }, { document: EMPTY, local: new Map(), limits: limitsFor(1) });
    const local = new Map([[entryKey(DRAFT), { ...DRAFT, revision: "1-0123456789ab" }]]);
    for (let i = 0; i < 20; i++) file.keep({ document: EMPTY, local: new Map(), limits: limitsFor(2) });
    file.keep({ document: DOCUMENT, local, limits: limitsFor(3) });
    await file.settled();
    assertEquals(new StateFile(options).read(), { document: DOCUMENT, local, limits: limitsFor(3) });
    assertEquals(new StateFile({ ...options, owner: "redis://b roundhouse" }).read().document, EMPTY);
    const [{ name } = { name: "" }, ...others] = [...Deno.readDirSync(`${directory}/state/cluster`)];
    const path = `${directory}/state/cluster/${name}`;
    assertEquals([others.length, (Deno.statSync(path).mode ?? 0) & 0o777], [0, 0o600]);
    assertEquals(log.lines, []);

    Deno.writeTextFileSync(path, Deno.readTextFileSync(path).slice(0, -20));
    assertEquals(new StateFile(options).read().document, EMPTY);
    assertEquals(log.lines.map(({ message }) => message), ["cluster state not used"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("StateFile goes on without a place to write to, and says so once", async () => {
  const log = new RecordingLog();
  for (const directory of [undefined, "/proc/never"]) {
    const file = new StateFile({ directory, owner: "a", log });
    for (let i = 0; i < 3; i++) {
      file.keep({ document: DOCUMENT, local: new Map(), limits: limitsFor(1) });
      await file.settled();
    }
  }
  assertEquals(log.lines.map(({ message }) => message), ["cluster state not kept", "cluster state not kept"]);
});
