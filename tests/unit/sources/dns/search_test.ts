// A short name is looked for in several places. One that answers nothing must not make another one the right place.

import { assertEquals } from "@std/assert";
import { firstThatExists } from "../../../../src/sources/dns/search.ts";

const HERE = { items: ["10.0.0.1"], noSuchName: false, ttlS: 30, problem: null };
const KEPT = { ...HERE, problem: "SERVFAIL" };
const EMPTY = { items: [], noSuchName: false, ttlS: 20, problem: null };
const MISSING = { items: [], noSuchName: true, ttlS: 10, problem: null };
const LATER = { ...MISSING, ttlS: 40 };
const FAILED = { items: [], noSuchName: false, ttlS: undefined, problem: "SERVFAIL" };

Deno.test("firstThatExists() tells what is known of the first name that there is, and trusts no failure", async () => {
  const cases: [results: (typeof HERE | typeof KEPT | typeof FAILED)[], wanted: unknown, asked: number][] = [
    [[HERE, FAILED], HERE, 1],
    [[MISSING, HERE], HERE, 2],
    [[FAILED, HERE], HERE, 2],
    [[KEPT, HERE], KEPT, 1],
    [[EMPTY, HERE], EMPTY, 1],
    [[MISSING, LATER], MISSING, 2],
    [[LATER, MISSING], MISSING, 2],
    [[MISSING, FAILED], FAILED, 2],
    [[FAILED, MISSING], FAILED, 2],
    [[FAILED, EMPTY], FAILED, 2],
  ];
  for (const [results, wanted, count] of cases) {
    const asked: number[] = [];
    const found = await firstThatExists(["0", "1"], (name) => {
      asked.push(Number(name));
      return Promise.resolve(results[Number(name)] ?? FAILED);
    });
    assertEquals([found, asked.length], [wanted, count]);
  }
});
