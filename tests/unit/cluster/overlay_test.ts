import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { type Entry, entryKey, fingerprint } from "../../../src/cluster/entry.ts";
import { type BaseList, draftsOf, type Entries, layOver } from "../../../src/cluster/overlay.ts";
import { newMark, revisionOf } from "../../../src/cluster/revision.ts";
import { afterChange, type BackendChange } from "../../../src/config/backend_change.ts";
import type { BackendSpec } from "../../../src/config/schema.ts";
import { backend } from "../../support/cluster.ts";

const A = backend("http://a:1");
const B = backend("http://b:1", { weight: 5 });
const C = backend("http://c:1");

function file(...specs: readonly BackendSpec[]): BaseList {
  return { origin: "file", specs };
}

/** The entries after some changes, each made on the result of the earlier ones. */
function entriesAfter(changes: readonly BackendChange[], base: BaseList): Entries {
  const entries = new Map<string, Entry>();
  for (const [index, change] of changes.entries()) {
    for (const draft of draftsOf({ kind: "backends", pool: "default", change }, base, entries)) {
      entries.set(entryKey(draft), { ...draft, revision: revisionOf(index + 1, newMark()) });
    }
  }
  return entries;
}

function byUrl(specs: readonly BackendSpec[]): BackendSpec[] {
  return [...specs].sort((one, other) => one.url < other.url ? -1 : 1);
}

const spec = fc.record({
  url: fc.constantFrom("http://a:1", "http://b:1", "http://c:1", "http://d:1"),
  weight: fc.constantFrom(0, 1, 7),
  backup: fc.boolean(),
}).map(({ url, ...fields }) => backend(url, fields));
const specs = fc.uniqueArray(spec, { selector: ({ url }) => url, maxLength: 4 });
const change: fc.Arbitrary<BackendChange> = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), spec }),
  fc.record({
    kind: fc.constant("change" as const),
    url: spec.map(({ url }) => url),
    fields: fc.record({ weight: fc.constantFrom(2, 9) }),
  }),
  fc.record({ kind: fc.constant("remove" as const), url: spec.map(({ url }) => url) }),
  fc.record({ kind: fc.constant("replace" as const), specs, drainMs: fc.constantFrom(0, 10) }),
);
const changes = fc.array(change, { maxLength: 8 });

/** Changes as an operator can make them: one adds only what is not there, and changes and removes only what is. */
function possible(base: readonly BackendSpec[], changes: readonly BackendChange[]) {
  let list = base;
  const made = changes.filter((change) => {
    if (change.kind !== "replace") {
      const url = change.kind === "add" ? change.spec.url : change.url;
      if (list.some((spec) => spec.url === url) === (change.kind === "add")) return false;
    }
    list = afterChange(list, change);
    return true;
  });
  return { made, list };
}

Deno.test("layOver() gives the list that the changes made", () => {
  fc.assert(fc.property(specs, changes, (base, changes) => {
    const { made, list } = possible(base, changes);
    const laid = layOver("default", file(...base), entriesAfter(made, file(...base)));
    assertEquals(byUrl(laid.specs), byUrl(list));
  }));
});

Deno.test("layOver() takes a backend as the file has it when the file describes it otherwise than at the change", () => {
  fc.assert(fc.property(specs, changes, specs, (base, changes, later) => {
    const { made, list } = possible(base, changes);
    const entries = entriesAfter(made, file(...base));
    const laid = new Map(layOver("default", file(...later), entries).specs.map((spec) => [spec.url, spec]));
    for (const url of ["http://a:1", "http://b:1", "http://c:1", "http://d:1"]) {
      const [before, now, changed] = [base, later, list].map((specs) => specs.find((spec) => spec.url === url));
      const isSame = (before && fingerprint(before)) === (now && fingerprint(now));
      assertEquals(laid.get(url), isSame ? changed : now);
    }
  }));
});

Deno.test("layOver() leaves other pools alone, and keeps the file's order", () => {
  const entries = entriesAfter(
    [{ kind: "add", spec: C }, { kind: "change", url: A.url, fields: { weight: 3 } }],
    file(A, B),
  );
  assertEquals(layOver("api", file(A), entries).specs, [A]);
  assertEquals(layOver("default", file(B, A), entries).specs, [B, { ...A, weight: 3 }, C]);
});

Deno.test("layOver() has the operator's state, and the drains of what was removed", () => {
  const base = file(A, B, C);
  const entries = entriesAfter([
    { kind: "change", url: A.url, fields: {}, state: "draining" },
    { kind: "change", url: A.url, fields: { weight: 2 } },
    { kind: "remove", url: B.url, drainMs: 30 },
    { kind: "remove", url: C.url },
  ], base);
  const laid = layOver("default", base, entries);
  assertEquals(laid.specs, [{ ...A, weight: 2 }]);
  assertEquals([...laid.states], [[A.url, "draining"]]);
  assertEquals([...laid.drains], [[B.url, 30]]);
  // A deployment keeps the state of what stays, and a backend that is added again is active.
  const deployed = entriesAfter(
    [
      { kind: "change", url: A.url, fields: {}, state: "disabled" },
      { kind: "replace", specs: [{ ...A, weight: 9 }, B], drainMs: 5 },
      { kind: "remove", url: A.url },
      { kind: "add", spec: A },
    ].slice(0, 2) as BackendChange[],
    base,
  );
  assertEquals([...layOver("default", base, deployed).states], [[A.url, "disabled"]]);
  assertEquals([...layOver("default", base, deployed).drains], [[C.url, 5]]);
});

Deno.test("a change of a backend that a source found outlives whatever the source says of it", () => {
  const found = (...specs: BackendSpec[]): BaseList => ({ origin: "found", specs });
  const entries = entriesAfter([{ kind: "change", url: A.url, fields: { backup: true }, state: "disabled" }], found(A));
  assertEquals(layOver("default", found({ ...A, weight: 77 }, B), entries).specs, [
    { ...A, weight: 77, backup: true },
    B,
  ]);
  assertEquals([...layOver("default", found(A), entries).states], [[A.url, "disabled"]]);
  assertEquals(layOver("default", found(), entries).specs, []);
  // It was made while the pool's list was the file's: the file no longer says that.
  assertEquals(layOver("default", found(A), entriesAfter([{ kind: "remove", url: A.url }], file(A))).specs, [A]);
});

Deno.test("draftsOf() makes no entry for a backend that a deployment leaves as it is", () => {
  const change: BackendChange = { kind: "replace", specs: [A, { ...B, weight: 1 }], drainMs: 0 };
  const drafts = draftsOf({ kind: "backends", pool: "default", change }, file(A, B), new Map());
  assertEquals(drafts.map(({ url }) => url), [B.url]);
});

Deno.test("fingerprint() stays the same when a later version knows a setting that is off", () => {
  const later = { ...A, tls: { ...A.tls, later: null, other: false }, deep: { off: { off: false } } };
  assertEquals(fingerprint(later), fingerprint(A));
  assertEquals(fingerprint({ ...A, weight: 2 }) === fingerprint(A), false);
});
