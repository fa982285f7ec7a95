import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ByName } from "../../../src/tls/by_name.ts";
import { endsSoon, leafOf } from "../../../src/tls/leaf.ts";
import { makePair } from "../../support/certificates.ts";

interface Entry {
  readonly id: number;
  readonly names: readonly string[];
}

/** Which of these, by its place, each name gets. */
function chosen(lists: readonly [string[], ...string[][]], asked: readonly (string | undefined)[]): number[] {
  const [first, ...others] = lists.map((names, id) => ({ id, names }));
  const byName = new ByName<Entry>([first ?? { id: -1, names: [] }, ...others]);
  return asked.map((name) => byName.get(name).id);
}

Deno.test("ByName chooses by the whole name, then by a wildcard for its first label, else the first one", () => {
  const lists = [["first.example"], ["a.example"], ["*.a.example", "*.b.example"], ["x.a.example"]] as const;
  const asked: [string | undefined, number][] = [
    ["first.example", 0],
    ["a.example", 1],
    ["y.a.example", 2],
    ["x.a.example", 3],
    ["y.x.a.example", 0], // a wildcard stands for one label
    ["b.example", 0],
    [".b.example", 0],
    ["example", 0],
    ["*.a.example", 2],
    ["", 0],
    [undefined, 0],
    ["unknown.example", 0],
  ];
  const [first, ...others] = lists.map((names) => [...names]);
  assertEquals(chosen([first ?? [], ...others], asked.map(([name]) => name)), asked.map(([, id]) => id));
});

Deno.test("ByName takes names in any case and with a last dot, and addresses in any spelling", () => {
  const lists: [string[], ...string[][]] = [["a.example"], ["b.example"], ["*.c.example"], [
    "127.0.0.1",
    "2001:db8::1",
  ]];
  const asked = ["B.Example", "b.example.", "X.C.EXAMPLE.", "127.0.0.1", "2001:DB8:0::1"];
  assertEquals(chosen(lists, asked), [1, 1, 2, 3, 3]);
});

Deno.test("ByName gives a name that two certificates have to the first of them", () => {
  assertEquals(
    chosen([["a.example"], ["b.example", "*.c.example"], ["b.example", "*.c.example"]], [
      "b.example",
      "x.c.example",
    ]),
    [1, 1],
  );
});

Deno.test("ByName agrees with a search from the first to the last", () => {
  const label = fc.constantFrom("a", "b", "*");
  const name = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."));
  const host = fc.array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 4 }).map((labels) =>
    labels.join(".")
  );
  fc.assert(fc.property(fc.array(fc.array(name), { minLength: 1, maxLength: 5 }), host, (lists, asked) => {
    const [first, ...others] = lists;
    const [, ...rest] = asked.split(".");
    const exact = lists.findIndex((names) => names.includes(asked));
    const wild = rest.length === 0 ? -1 : lists.findIndex((names) => names.includes(["*", ...rest].join(".")));
    assertEquals(chosen([first ?? [], ...others], [asked]), [exact >= 0 ? exact : Math.max(wild, 0)]);
  }));
});

Deno.test("leafOf() tells the names and the end of the first certificate of a chain", async () => {
  const [leaf, issuer] = [
    await makePair({ name: "Leaf.Example" }),
    await makePair({ name: "issuer.example", days: 5 }),
  ];
  const { names, expires } = leafOf(`${leaf.cert}\n${issuer.cert}`);
  assertEquals(names, ["leaf.example"]);
  assertEquals(Math.round((expires.getTime() - Date.now()) / 86_400_000), 90);
  assertEquals(leafOf((await makePair()).cert).names, ["localhost", "127.0.0.1"]);
});

Deno.test("endsSoon() holds in the last two weeks, or in the last sixth of a short life", () => {
  const day = (days: number) => new Date(days * 86_400_000);
  const soon = (lifeDays: number, at: number) =>
    endsSoon({ names: [], begins: day(0), expires: day(lifeDays) }, day(at));
  assertEquals([soon(90, 75.9), soon(90, 76.1), soon(90, 91)], [false, true, true]);
  assertEquals([soon(6, 4.9), soon(6, 5.1)], [false, true]);
});
