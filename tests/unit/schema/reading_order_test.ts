// The pages stood in no order: a reader could not go from one to the next. `deno task schema` writes their feet.

import { assertEquals, assertThrows } from "@std/assert";
import { readingOrder, withFoot } from "../../../scripts/schema/reading_order.ts";
import { readPage } from "../../support/page.ts";

const root = new URL("../../../", import.meta.url);
const order = readingOrder(readPage("README.md"));

Deno.test("every page of docs/ has a row in the table of README.md", () => {
  const pages = Array.from(Deno.readDirSync(new URL("docs/", root)), ({ name }) => `docs/${name}`);
  const listed = order.map(({ path }) => path);
  assertEquals(
    pages.filter((path) => path.endsWith(".md") && !listed.includes(path)),
    [],
    "add a row where it is read",
  );
  assertEquals(new Set(listed).size, listed.length);
});

Deno.test("every page ends with links to the one before and the one behind it", () => {
  for (const { path } of order) {
    const page = readPage(path);
    assertEquals(page.slice(-300), withFoot(page, path, order).slice(-300), `${path}: run \`deno task schema\``);
  }
});

Deno.test("withFoot() writes what is before and behind a page, and nothing twice", () => {
  const order = readingOrder(
    "# x\n\n## Documentation\n\n| [A](docs/a.md) | first |\n| [B](docs/b/README.md) | second |\n| [C](docs/c.md) | last |\n",
  );
  const first = "# A\n\n<!-- foot -->\n\nNext: [B](b/README.md) · [All pages](../README.md#documentation)\n";
  assertEquals(withFoot("# A\n", "docs/a.md", order), first);
  assertEquals(withFoot(first, "docs/a.md", order), first);
  assertEquals(
    withFoot("# B\n", "docs/b/README.md", order),
    "# B\n\n<!-- foot -->\n\nPrevious: [A](../a.md) · Next: [C](../c.md) · [All pages](../../README.md#documentation)\n",
  );
  assertThrows(() => withFoot("# D\n", "docs/d.md", order), Error, "docs/d.md has no row");
});
