/** Random documents of the cluster: histories of changes, as replicas make them. */

import * as fc from "fast-check";
import { type ChangeDocument, EMPTY } from "../../src/cluster/document.ts";
import { type Draft, entryKey } from "../../src/cluster/entry.ts";
import { counterOf, revisionOf } from "../../src/cluster/revision.ts";
import { backend } from "./cluster.ts";

const URLS = ["http://a:1", "http://b:1", "http://c:1", "http://d:1"];

/** One step of a history: a change of a backend, or a drop of all changes. */
export type Step = { readonly draft: Draft; readonly mark: string } | { readonly clear: true; readonly mark: string };

const mark = fc.stringMatching(/^[0-9a-f]{12}$/);

const draft: fc.Arbitrary<Draft> = fc.record({
  pool: fc.constantFrom("default", "api"),
  url: fc.constantFrom(...URLS),
  was: fc.constantFrom(null, '{"weight":1}', '{"weight":2}'),
  state: fc.constantFrom(null, "active", "draining", "disabled"),
  kind: fc.constantFrom("listed", "changed", "removed"),
  weight: fc.integer({ min: 0, max: 256 }),
}).map(({ pool, url, was, state, kind, weight }): Draft => {
  const listing = kind === "listed"
    ? { kind, spec: backend(url, { weight }) }
    : kind === "changed"
    ? { kind, fields: { weight } }
    : { kind: "removed" as const, drainMs: weight === 0 ? null : weight };
  return { pool, url, was, listing, state };
});

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 9, arbitrary: fc.record({ draft, mark }) },
  { weight: 1, arbitrary: fc.record({ clear: fc.constant(true as const), mark }) },
);

export const steps: fc.Arbitrary<Step[]> = fc.array(step, { maxLength: 12 });

/** A document as it was before any of these steps, after the first one, and so on. */
export function history(steps: readonly Step[], from: ChangeDocument = { ...EMPTY, line: "0123456789ab" }) {
  const documents = [from];
  for (const step of steps) documents.push(after(documents.at(-1) ?? from, step));
  return documents;
}

function after(document: ChangeDocument, step: Step): ChangeDocument {
  const counter = counterOf(document.revision) + 1;
  const revision = revisionOf(counter, step.mark);
  if ("clear" in step) return { ...document, revision, floor: counter, entries: new Map() };
  const entries = new Map(document.entries);
  entries.set(entryKey(step.draft), { ...step.draft, revision });
  return { ...document, revision, entries };
}
