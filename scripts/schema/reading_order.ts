/** The pages of the documentation in the order in which they are read: that of the table in `README.md`. */

/** A row of the table. */
export interface Page {
  readonly title: string;
  /** From the root of the project. */
  readonly path: string;
}

/** Ends every page of the table: what is before it, what is behind it, and where the table is. */
const FOOT = "\n<!-- foot -->\n";

/** @param readme whose section "Documentation" has a row for each page */
export function readingOrder(readme: string): Page[] {
  const [, section = ""] = readme.split("\n## Documentation\n");
  return Array.from(section.matchAll(/^\| \[([^\]]+)\]\((docs\/[^)]+\.md)\) \|/gm), ([, title = "", path = ""]) => {
    return { title, path };
  });
}

/**
 * The page with its foot written anew; everything above it stays.
 *
 * @throws {Error} when the page is not in the order
 */
export function withFoot(page: string, path: string, order: readonly Page[]): string {
  const at = order.findIndex((entry) => entry.path === path);
  if (at === -1) throw new Error(`${path} has no row in the table "Documentation" of README.md`);
  const link = (word: string, to: Page | undefined) =>
    to === undefined ? [] : [`${word}: [${to.title}](${from(path, to.path)})`];
  const links = [
    ...link("Previous", order[at - 1]),
    ...link("Next", order[at + 1]),
    `[All pages](${from(path, "README.md#documentation")})`,
  ];
  const [body = ""] = page.split(FOOT);
  return `${body.trimEnd()}\n${FOOT}\n${links.join(" · ")}\n`;
}

/** The path to a file as it is written in a page. */
function from(path: string, to: string): string {
  const folders = path.split("/").slice(0, -1);
  const steps = to.split("/");
  while (folders.length > 0 && folders[0] === steps[0]) {
    folders.shift();
    steps.shift();
  }
  return [...folders.map(() => ".."), ...steps].join("/");
}
