// How long a file and a function may be: what is longer has probably a second idea in it.

import { assertEquals } from "@std/assert";

const MOST_FILE_LINES = 350;
const MOST_FUNCTION_LINES = 50;

const ROOT = new URL("../../", import.meta.url);
const FOLDERS = ["src/", "scripts/"];
const IS_CODE = /\.(ts|js|css)$/;

/** Lines that begin a block which is no function. */
const OTHER_BLOCK = /^\s*(?:\} )?(?:export |abstract |default )*(?:if|else|for|while|do|switch|case|try|catch|class)\b/;

/** The last line of a function's head: `…) {`, `…): Type {` or `… => {`. */
const FUNCTION_HEAD = /(?:=>|\)(?::[^=]*)?) \{$/;

interface Span {
  /** Counted from 1. */
  readonly line: number;
  readonly lines: number;
}

/** The functions in formatted code: there, a block ends at the first line with nothing but its indentation and `}`. */
function functionsIn(text: string): Span[] {
  const lines = text.split("\n");
  const found: Span[] = [];
  for (const [at, line] of lines.entries()) {
    if (!FUNCTION_HEAD.test(line) || OTHER_BLOCK.test(line)) continue;
    const indentation = line.slice(0, line.length - line.trimStart().length);
    const end = lines.findIndex((other, index) => index > at && other.startsWith(`${indentation}}`));
    found.push({ line: at + 1, lines: end - startOfHead(lines, at, indentation) + 1 });
  }
  return found;
}

/** A head of several lines ends with one that begins with `)`, or `}` or `]` of a parameter that is taken apart. */
function startOfHead(lines: readonly string[], at: number, indentation: string): number {
  if (!/^[)}\]]/.test(lines[at]?.trimStart() ?? "")) return at;
  const isStart = (line: string) => line.startsWith(indentation) && /^[^\s)}\]]/.test(line.slice(indentation.length));
  return lines.slice(0, at).findLastIndex(isStart);
}

function* filesBelow(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, ROOT))) {
    if (entry.isDirectory) yield* filesBelow(`${folder}${entry.name}/`);
    else if (IS_CODE.test(entry.name)) yield folder + entry.name;
  }
}

function* code(): Generator<{ readonly file: string; readonly text: string }> {
  for (const file of ["main.ts", ...FOLDERS.flatMap((folder) => Array.from(filesBelow(folder)))]) {
    yield { file, text: Deno.readTextFileSync(new URL(file, ROOT)) };
  }
}

Deno.test("no file of code is longer than 350 lines", () => {
  const long: string[] = [];
  for (const { file, text } of code()) {
    const lines = text.split("\n").length - 1;
    if (lines > MOST_FILE_LINES) long.push(`${file}: ${lines}`);
  }
  assertEquals(long, []);
});

Deno.test("no function is longer than 50 lines", () => {
  const long: string[] = [];
  for (const { file, text } of code()) {
    if (file.endsWith(".css")) continue;
    for (const { line, lines } of functionsIn(text)) {
      if (lines > MOST_FUNCTION_LINES) long.push(`${file}:${line}: ${lines}`);
    }
  }
  assertEquals(long, []);
});

Deno.test("functionsIn() measures functions of every form, with their heads, and no other block", () => {
  const text = `
export function one(text: string): void {
  if (text === "") {
    return;
  }
}

class Two {
  constructor(
    { three }: Options,
    four: string,
  ) {
    super();
  }

  async #five<T>(value: T): Promise<T> {
    return value;
  }

  readonly #six = (error: unknown): void => {
    this.#failed(error);
  };
}

const seven = {
  eight() {
    for (const nine of []) {
      nine();
    }
  },
};

ten(async () => {
  await eleven();
});
`;
  const measured = functionsIn(text).map(({ line, lines }) => [line, lines]);
  assertEquals(measured, [[2, 5], [12, 6], [16, 3], [20, 3], [26, 5], [33, 3]]);
});
