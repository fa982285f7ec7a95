// The configurations that the pages show are accepted, and the errors that docs/configuration.md shows are those that the
// program prints (tests/e2e/page_examples_test.ts runs the examples). Names had been added to settings, and examples of
// errors had stayed behind.

import { assert, assertEquals } from "@std/assert";
import { readingOrder } from "../../../scripts/schema/reading_order.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { ConfigError } from "../../../src/errors.ts";
import { configsOf, filesOf, readPage } from "../../support/page.ts";

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

Deno.test("every configuration that the pages show is accepted", () => {
  const pages = ["README.md", ...readingOrder(readPage("README.md")).map(({ path }) => path)];
  const configs = pages.flatMap((page) => configsOf(readPage(page)));
  assert(configs.length > 30, `found ${configs.length} configurations only`);
  const isAboutFile = (line: string) => line.endsWith("want a file to read: no such file");
  for (const config of configs) assertEquals(errorsOf(config).filter((line) => !isAboutFile(line)), [], config);
});

Deno.test("docs/configuration.md shows the errors of its example as they are", () => {
  const page = readPage("docs/configuration.md");
  const [, shown = ""] = /^\$ deno run -P main\.ts check -c bad\.json\n(.*?)^\$ /ms.exec(page) ?? [];
  assertEquals(errorsOf(filesOf(page).get("bad.json") ?? ""), shown.trimEnd().split("\n"));
});
