// The table in docs/architecture.md of what the proxy promises, and the tests that hold it, names tests that exist.

import { assert, assertEquals } from "@std/assert";

const tests = new URL("../", import.meta.url);

/** Names of tests by file, as the table has them: a file in backticks, the beginnings of names in quotes behind it. */
function tableOf(page: string): Map<string, Set<string>> {
  const [, section = ""] = page.split("\n## What the proxy promises, and the tests that hold it\n");
  const table = new Map<string, Set<string>>();
  for (const row of section.split("\n").filter((line) => line.startsWith("|"))) {
    let names = new Set<string>();
    for (const [, file, name = ""] of row.matchAll(/`([^`]+\.ts)`|"([^"]+)"/g)) {
      if (file === undefined) names.add(name);
      else table.set(file, names = table.get(file) ?? new Set());
    }
  }
  return table;
}

/** The names of a file's tests as its source has them. */
async function namesIn(file: string): Promise<string[]> {
  const source = await Deno.readTextFile(new URL(file, tests));
  const starts = source.matchAll(/(?:\bDeno\.test\(\s*(?:name\()?|\bname: (?:name\()?)(["`])(.*?)\1/gs);
  return Array.from(starts, ([, , name = ""]) => name);
}

Deno.test("every test that the table of promises names exists, once", async () => {
  const table = tableOf(await Deno.readTextFile(new URL("../docs/architecture.md", tests)));
  assert(table.size > 10);
  const wrong: string[] = [];
  for (const [file, beginnings] of table) {
    const names = await namesIn(file);
    for (const beginning of beginnings) {
      const found = names.filter((name) => name.startsWith(beginning)).length;
      if (found !== 1) wrong.push(`${file}: ${found} tests begin with "${beginning}"`);
    }
  }
  assertEquals(wrong, []);
});
