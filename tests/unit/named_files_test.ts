// Every file and every symbol of the code that the pages and the comments name exists. After files had moved, pages led
// newcomers to paths that were gone.

import { assert, assertEquals } from "@std/assert";

const root = new URL("../../", import.meta.url);

/** What a page names as an example, or what belongs to somebody else. */
const NOT_OURS = new Set(["src/balancing/first_available.ts", "tests/unit/balancing/first_available_test.ts"]);

/** The files below a folder, by their paths from the project's root; `.ci` is the only hidden folder of ours. */
function filesBelow(folder: string): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(new URL(folder, root))) {
    const path = folder + entry.name;
    if (entry.isFile) found.push(path);
    else if (entry.isDirectory) found.push(...filesBelow(`${path}/`));
  }
  return found;
}

const FOLDERS = ["src", "tests", "scripts", "docs", "deploy", "types", ".ci"];
const files = FOLDERS.flatMap((folder) => filesBelow(`${folder}/`));
for (const entry of Deno.readDirSync(root)) {
  if (entry.isFile) files.push(entry.name);
}
const text = new Map(
  files.filter((file) => /\.(md|ts|js|json|sh)$/.test(file)).map((file) =>
    [file, Deno.readTextFileSync(new URL(file, root))] as const
  ),
);
const isPage = (file: string) => file.endsWith(".md");

/** Every end of a path that names a file or a folder: for `src/net/pace.ts` also `net/pace.ts`, `pace.ts` and `net/`. */
const ends = new Set<string>();
for (const file of files) {
  const parts = file.split("/");
  for (let from = 0; from < parts.length; from++) {
    for (let to = from + 1; to <= parts.length; to++) {
      ends.add(parts.slice(from, to).join("/") + (to < parts.length ? "/" : ""));
    }
  }
}

/** The lines of a page, or the comments of a source file, with their numbers. */
function* prose(file: string, content: string): Generator<[line: number, words: string]> {
  for (const [index, line] of content.split("\n").entries()) {
    if (isPage(file)) yield [index + 1, line];
    const comment = /^\s*(?:\/\/|\/?\*).*|(?<=\s)\/\/ .*/.exec(line);
    if (!isPage(file) && comment !== null) yield [index + 1, comment[0]];
  }
}

/** The lines of a source file without its comments. */
const withoutComments = (content: string) => content.replaceAll(/^\s*(?:\/\/|\/?\*).*|(?<=\s)\/\/ .*/gm, "");

/** Every name that `pattern` finds in prose and that is `missing`, with its place. */
function absent(pattern: RegExp, among: (file: string) => boolean, missing: (name: string) => boolean) {
  const faults: string[] = [];
  let count = 0;
  for (const [file, content] of text) {
    if (!among(file)) continue;
    for (const [line, words] of prose(file, content)) {
      for (const [, name = ""] of words.matchAll(pattern)) {
        count++;
        if (missing(name)) faults.push(`${file}:${line}: ${name}`);
      }
    }
  }
  return { faults, count };
}

Deno.test("every file and folder of the code that pages and comments name exists", () => {
  const names = /(?<![\w./-])(?:\.{1,2}\/)*([\w./-]*[\w-]\.(?:ts|sh)(?!\w)|[\w-]+(?:\/[\w-]+)*\/(?=`))/g;
  const { faults, count } = absent(names, () => true, (name) => !ends.has(name) && !NOT_OURS.has(name));
  assertEquals(faults, []);
  assert(count > 300, `found ${count} names only`);
});

Deno.test("every symbol that the pages for developers name stands in the code", () => {
  const code = new Set<string>();
  for (const [file, content] of text) {
    if (isPage(file)) continue;
    for (const [word] of withoutComments(content).matchAll(/\w+/g)) code.add(word);
  }
  const developers = (file: string) => /^(CONTRIBUTING|docs\/(architecture|decisions\/.*))\.md$/.test(file);
  // `Memory.reclaim`, `mayRetry`, `StrategyFactory`: mixed case, and maybe a member.
  const symbols = /`((?=\w*[a-z]\w*[A-Z]|[A-Z]\w*[a-z])[A-Za-z]\w*(?:\.\w+)*)(?:\(\))?`/g;
  const { faults, count } = absent(symbols, developers, (name) => name.split(".").some((part) => !code.has(part)));
  assertEquals(faults, []);
  assert(count > 50, `found ${count} symbols only`);
});

Deno.test("the table of rooms on the architecture page has the rooms of src/, and each names files of its own", () => {
  const page = text.get("docs/architecture.md") ?? "";
  const [, section = ""] = page.split("\n| room | job | start reading at |\n");
  const rows = section.slice(0, section.indexOf("\n\n")).split("\n").slice(1);
  const rooms = new Set<string>();
  for (const row of rows) {
    const [, room = "", , start = ""] = row.split(/(?<!\\)\|/).map((cell) => cell.trim());
    const folder = `src/${room.replaceAll("`", "")}`;
    rooms.add(folder);
    const named = Array.from(start.matchAll(/`([^`]+)`/g), ([, name = ""]) => `${folder}${name}`);
    assert(named.length > 0, row);
    for (const name of named) assert(files.some((file) => file.startsWith(name)), `${room} names ${name}`);
  }
  const folders = new Set(files.filter((file) => /^src\/.+\//.test(file)).map((file) => file.split("/", 2).join("/")));
  rooms.delete("src/admin/dashboard/"); // a part of a room
  assertEquals(rooms, new Set([...folders].map((folder) => `${folder}/`)), "each room of src/ needs one row");
});
