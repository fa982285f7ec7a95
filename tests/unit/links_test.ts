// Every relative link of a page, and every anchor in it, leads somewhere. A page that moved left links to nothing behind.

import { assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url);

/** The pages of the project, by their paths from its root. */
function pages(): string[] {
  const found: string[] = [];
  for (const folder of ["", "docs/", "docs/decisions/"]) {
    for (const entry of Deno.readDirSync(new URL(folder, root))) {
      if (entry.isFile && entry.name.endsWith(".md")) found.push(folder + entry.name);
    }
  }
  return found.sort();
}

/** The text without what stands in blocks of code. */
function prose(page: URL): string {
  return Deno.readTextFileSync(page).replaceAll(/^ *```.*?^ *```$/gms, "");
}

/** The anchors that GitHub gives to the headings. */
function anchorsOf(page: URL): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ""] of prose(page).matchAll(/^#+ (.+)$/gm)) {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const slug = text.toLowerCase().replaceAll(/[^\p{L}\p{N}\-_ ]/gu, "").replaceAll(" ", "-");
    let anchor = slug;
    for (let copy = 1; anchors.has(anchor); copy++) anchor = `${slug}-${copy}`;
    anchors.add(anchor);
  }
  return anchors;
}

/** Where the page's links and pictures lead, but for other sites. */
function targetsOf(page: URL): string[] {
  const links = prose(page).matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)"/g);
  return [...links].map(([, markdown, html]) => markdown ?? html ?? "").filter((target) => !/^[a-z]+:/.test(target));
}

/** Why the link leads nowhere; `undefined`: it does lead somewhere. */
function fault(page: URL, target: string): string | undefined {
  const url = new URL(target, page);
  const anchor = decodeURIComponent(url.hash.slice(1));
  url.hash = "";
  try {
    if (Deno.statSync(url).isDirectory) return anchor === "" ? undefined : "a folder has no anchors";
  } catch {
    return "no such file";
  }
  return anchor === "" || anchorsOf(url).has(anchor) ? undefined : "no such heading";
}

Deno.test("every relative link and anchor of the documentation leads somewhere", () => {
  const faults: string[] = [];
  let links = 0;
  for (const path of pages()) {
    const page = new URL(path, root);
    for (const target of targetsOf(page)) {
      links++;
      const reason = fault(page, target);
      if (reason !== undefined) faults.push(`${path}: ${target}: ${reason}`);
    }
  }
  assertEquals(faults, []);
  assertEquals(links > 100, true, `found ${links} links only`);
});
