// The configurations that README.md and docs/configuration.md show are accepted, and the errors that the page shows are
// those that the program prints. Names had been added to settings, and examples of errors had stayed behind.

import { assert, assertEquals } from "@std/assert";
import { loadConfig } from "../../../src/config/load.ts";
import { ConfigError } from "../../../src/errors.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(`../../../${path}`, import.meta.url));

/** The configurations that a page shows. */
function examplesOf(page: string): string[] {
  return Array.from(read(page).matchAll(/^```jsonc\n(.*?)^```$/gms), ([, example = ""]) => example);
}

/** The lines that refuse a configuration; none if it is accepted. */
function errorsOf(text: string): readonly string[] {
  try {
    loadConfig({ path: "shown.json", flags: {}, env: () => undefined, readFile: () => text, readStdin: () => "" });
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

const isBad = (example: string) => example.startsWith("// bad.json");

Deno.test("every configuration that the pages show is accepted", () => {
  for (const page of ["README.md", "docs/configuration.md"]) {
    const examples = examplesOf(page).filter((example) => !isBad(example));
    assert(examples.length > 0, page);
    for (const example of examples) assertEquals(errorsOf(example), [], example);
  }
});

Deno.test("docs/configuration.md shows the errors of its example as they are", () => {
  const page = "docs/configuration.md";
  const [, shown = ""] = /^\$ deno run -P main\.ts check -c bad\.json\n(.*?)^\$ /ms.exec(read(page)) ?? [];
  assertEquals(errorsOf(examplesOf(page).find(isBad) ?? ""), shown.trimEnd().split("\n"));
});
