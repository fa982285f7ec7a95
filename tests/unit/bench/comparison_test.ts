import { assert, assertAlmostEquals, assertEquals, assertMatch } from "@std/assert";
import { compare, comparisonLines } from "../../../scripts/bench/comparison.ts";
import type { Result } from "../../../scripts/bench/results.ts";

const theirs = [20, 30, 25, 22, 28, 40, 21, 26];

Deno.test("compare() tells a small difference in every round from noise, however much the rounds differ", () => {
  const { ratios, chance } = compare(theirs.map((figure) => figure * 1.05), theirs);
  assertAlmostEquals(ratios.median, 1.05);
  assertAlmostEquals(chance, 2 / 2 ** theirs.length); // all signs as found, or all turned round
});

Deno.test("compare() takes differences that go either way for noise", () => {
  const mine = theirs.map((figure, round) => figure * (round % 2 === 0 ? 1.1 : 0.9));
  assert(compare(mine, theirs).chance > 0.5);
  assertEquals(compare(theirs, theirs).chance, 1);
});

Deno.test("compare() pairs the rounds: the same figures in another order say something else", () => {
  const mine = theirs.map((figure) => figure * 1.05);
  assert(compare(mine.toReversed(), theirs).chance > compare(mine, theirs).chance);
});

Deno.test("comparisonLines() has a line for each form that was measured at both trees, with its verdict", () => {
  const row = (name: string, figures: readonly number[]) => ({
    name,
    title: name,
    own: true,
    version: "",
    samples: figures.map((cpu) => ({ cpu })),
  });
  const result: Result = {
    name: "small",
    title: "Small",
    about: "",
    columns: [{ key: "cpu", title: "CPU", digits: 1 }],
    rows: [
      row("wire", theirs.map((figure) => figure * 1.1)),
      row("wire@abc", theirs),
      row("fetch", theirs),
      row("fetch@abc", theirs),
      row("haproxy", theirs),
    ],
  };
  const [wire = "", fetch = "", ...rest] = comparisonLines([result], "abc");
  assertMatch(wire, /^small, wire: \+10\.0 % CPU than abc .*: MORE$/);
  assertMatch(fetch, /^small, fetch: .*: noise$/);
  assertEquals(rest, []);
});
