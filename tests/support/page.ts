/** What a page of the documentation shows: files, commands with their output, and tables of requests. */

const root = new URL("../../", import.meta.url);

/** A fenced block of code. */
export interface Block {
  /** Such as `jsonc` or `console`. */
  readonly kind: string;
  /** With a line feed at its end. */
  readonly text: string;
}

/** A command, and what it prints. */
export interface Command {
  readonly command: string;
  readonly output: string;
}

/** A configuration, and what the page shows of it before the next one. */
export interface Example {
  readonly config: string;
  readonly commands: readonly Command[];
  /** The rows below `<!-- requests -->`: a request, and the key of the route that takes it. */
  readonly requests: readonly (readonly [request: string, key: string])[];
}

/** @param path from the root of the project */
export function readPage(path: string): string {
  return Deno.readTextFileSync(new URL(path, root));
}

export function blocksOf(page: string): Block[] {
  return Array.from(page.matchAll(/^```(\w+)\n(.*?)^```$/gms), ([, kind = "", text = ""]) => ({ kind, text }));
}

/** The configurations of a page, but for those that are named `bad.json`. */
export function configsOf(page: string): string[] {
  return blocksOf(page).filter(({ kind, text }) => kind === "jsonc" && fileName(text) !== "bad.json")
    .map(({ text }) => text);
}

/** The files that a page shows, by name. A comment in the first line of a block names its file. */
export function filesOf(page: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const { text } of blocksOf(page)) {
    const name = fileName(text);
    if (name !== undefined) files.set(name, text.slice(text.indexOf("\n") + 1));
  }
  return files;
}

/** What a page begins with. */
export interface FirstExample {
  /** What the program is started with: a file that the page shows, or flags. */
  readonly args: readonly string[];
  /** All that the page shows before its first section. */
  readonly shown: string;
  readonly commands: readonly Command[];
}

/** @throws {Error} when the page does not begin with a configuration or a start, and commands below it */
export function firstExampleOf(page: string): FirstExample {
  const shown = page.slice(0, page.search(/^## /m));
  const blocks = blocksOf(shown);
  const [first] = blocks;
  const commands = blocks.filter(({ kind }) => kind === "console").flatMap(({ text }) => commandsOf(text));
  const file = first?.kind === "jsonc" ? fileName(first.text) : undefined;
  const [, flags] = first?.kind === "sh" ? /^(?:roundhouse|deno task start) (.+)\n$/m.exec(first.text) ?? [] : [];
  const args = file === undefined ? flags?.split(" ") : ["-c", file];
  if (args === undefined || commands.length === 0) throw new Error("the page does not begin with a working example");
  return { args, shown, commands };
}

/** Each configuration of a page with what follows it. */
export function examplesOf(page: string): Example[] {
  const starts = Array.from(page.matchAll(/^```jsonc\n(?!\/\/ bad\.json)/gm), ({ index }) => index);
  return starts.map((start, index) => {
    const part = page.slice(start, starts[index + 1]);
    const blocks = blocksOf(part);
    return {
      config: blocks[0]?.text ?? "",
      commands: blocks.filter(({ kind }) => kind === "console").flatMap(({ text }) => commandsOf(text)),
      requests: requestsOf(part),
    };
  });
}

function fileName(text: string): string | undefined {
  return /^(?:\/\/|<!--) ([\w.-]+\.\w+)(?: -->)?\n/.exec(text)?.[1];
}

/** The commands in a block. Each begins with `$ ` and goes on behind a backslash at the end of a line. */
export function commandsOf(text: string): Command[] {
  return Array.from(text.matchAll(/^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)/gm), ([, command = "", output = ""]) => {
    return { command, output };
  });
}

function requestsOf(part: string): Example["requests"] {
  const table = /^<!-- requests -->\n.*\n.*\n((?:\|.*\n)+)/m.exec(part)?.[1] ?? "";
  return Array.from(
    table.matchAll(/^\| `([^`]+)` \| `?([^`|]+?)`? \|/gm),
    ([, request = "", key = ""]) => [request, key],
  );
}
