import { assert, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import {
  type ChangeDocument,
  EMPTY,
  fieldsOf,
  mayLack,
  merge,
  readDocument,
  readDocumentInParts,
  sameChanges,
} from "../../../src/cluster/document.ts";
import { StoreContentError } from "../../../src/cluster/errors.ts";
import { compareRevisions, counterOf, NO_REVISION, revisionOf } from "../../../src/cluster/revision.ts";
import { history, steps } from "../../support/cluster_documents.ts";

/** Two lines of versions that have a beginning in common. */
const branches = fc.tuple(steps, steps, steps, steps).map(([common, ...rest]) => {
  const start = history(common).at(-1) ?? EMPTY;
  return rest.map((branch) => history(branch, start).at(-1) ?? EMPTY);
});

function contents({ floor, entries }: ChangeDocument) {
  return { floor, entries: [...entries].sort(([one], [other]) => one < other ? -1 : 1) };
}

Deno.test("merge() is the same in whatever order, and however often", () => {
  fc.assert(fc.property(branches, ([one = EMPTY, two = EMPTY, three = EMPTY]) => {
    assertEquals(contents(merge(one, two)), contents(merge(two, one)));
    assertEquals(merge(one, two).revision, merge(two, one).revision);
    assertEquals(contents(merge(merge(one, two), three)), contents(merge(one, merge(two, three))));
    assertEquals(contents(merge(one, one)), contents(one));
    assert(sameChanges(merge(merge(one, two), two), merge(one, two)));
  }));
});

Deno.test("merge() of two versions of one line is the later one", () => {
  fc.assert(fc.property(steps, (steps) => {
    const documents = history(steps);
    for (const one of documents) {
      for (const other of documents) {
        const later = counterOf(one.revision) > counterOf(other.revision) ? one : other;
        assertEquals(contents(merge(one, other)), contents(later));
        // A replica that was away takes what the store has. One that knows more fills the store.
        assertEquals(mayLack(other, one), counterOf(one.revision) > counterOf(other.revision));
      }
    }
  }));
});

Deno.test("merge() loses no change, except for a newer one of the same backend or a drop of all", () => {
  fc.assert(fc.property(branches, ([one = EMPTY, two = EMPTY]) => {
    const merged = merge(one, two);
    for (const [key, entry] of [...one.entries, ...two.entries]) {
      const kept = merged.entries.get(key);
      if (counterOf(entry.revision) <= merged.floor) continue;
      assert(kept !== undefined && compareRevisions(kept.revision, entry.revision) >= 0);
    }
    for (const [key, entry] of merged.entries) {
      assert(one.entries.get(key) === entry || two.entries.get(key) === entry);
      assert(counterOf(entry.revision) > merged.floor);
    }
  }));
});

Deno.test("readDocument() reads what fieldsOf() writes, and takes known entries over", async () => {
  await fc.assert(fc.asyncProperty(steps, async (steps) => {
    for (const document of history(steps)) {
      assertEquals(await readDocumentInParts(fieldsOf(document), EMPTY), document);
      assertEquals(readDocument(fieldsOf(document)), document);
      const again = readDocument(fieldsOf(document), document);
      for (const [key, entry] of again.entries) assert(entry === document.entries.get(key));
    }
  }));
});

Deno.test("readDocument() refuses what no roundhouse has written, and says where", () => {
  const head: [string, string][] = [["line", "0123456789ab"], ["version", "3-0123456789ab"], ["floor", "0"]];
  const entry = `3-0123456789ab {"was":null,"listing":{"kind":"removed","drainMs":null},"state":null}`;
  const cases: [[string, string][], string][] = [
    [[], "line"],
    [[["line", "x"]], "line"],
    [[["version", "3"]], "version"],
    [[["version", "1e3-0123456789ab"]], "version"],
    [[["floor", "-1"]], "floor"],
    [[["default\nhttp://a:1", "no version"]], `"http://a:1" in pool "default": want a version first`],
    [[["default\nhttp://a:1", "3-0123456789ab {"]], "want JSON after the version"],
    [[["default\nhttp://a:1", entry.replace("removed", "gone")]], "listing"],
    [[["default\nhttp://a:1", entry.replace('"state":null', '"state":"asleep"')]], "state"],
    [[["default\nftp://a:1", entry]], "want a backend's URL"],
    [[["default\nhttp://a:1", `${entry}${" ".repeat(9000)}`]], "want a version first"],
    [[[
      "default\nhttp://a:1",
      entry.replace('"kind":"removed","drainMs":null', '"kind":"listed","spec":{"url":"http://b:1"}'),
    ]], "the same URL"],
    [[[
      "default\nhttp://a:1",
      entry.replace('"kind":"removed","drainMs":null', '"kind":"changed","fields":{"weight":257}'),
    ]], "weight"],
  ];
  assertEquals(readDocument(new Map([...head, ["default\nhttp://a:1", entry]])).entries.size, 1);
  for (const [wrong, place] of cases) {
    const fields = new Map(wrong.length === 0 ? [] : [...head, ...wrong]);
    assertThrows(() => readDocument(fields), StoreContentError, place);
  }
});

Deno.test("compareRevisions() orders by the counter, then by the mark", () => {
  const one = revisionOf(9, "ffffffffffff");
  const two = revisionOf(10, "000000000000");
  assert(compareRevisions(one, two) < 0 && compareRevisions(two, one) > 0);
  assert(compareRevisions(revisionOf(9, "000000000000"), one) < 0);
  assertEquals(compareRevisions(NO_REVISION, NO_REVISION), 0);
});
