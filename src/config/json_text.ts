/** Reads JSON with comments and trailing commas. Keeps track of positions, and of keys that occur twice. */
import { type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { ConfigError } from "../errors.ts";
import type { Diagnostic } from "./diagnostics.ts";
import type { Path } from "./setting_path.ts";

/** A file's content. `diagnostics` are mistakes that leave it readable: keys that occur twice, too deep nesting. */
export interface JsonText {
  readonly value: unknown;
  readonly diagnostics: readonly Diagnostic[];
}

/** No setting is deeper than 5. The limit keeps later recursion over the value from overflowing the stack. */
const MAX_DEPTH = 50;

/**
 * Reads a configuration file's text. `source` names it in messages. Throws a `ConfigError` with a line
 * `SOURCE:LINE:COLUMN: want ...` for each line of the text with a syntax error.
 */
export function parseJsonText(text: string, source: string): JsonText {
  const content = text.replace(/^\uFEFF/, "");
  const errors: ParseError[] = [];
  const root = treeOf(content, source, errors);
  if (root === undefined && errors.every(({ error }) => printParseErrorCode(error) === "ValueExpected")) {
    throw new ConfigError([`${source}: is empty, want an object such as {}`]);
  }
  if (root === undefined || errors.length > 0) throw new ConfigError(syntaxLines(errors, content, source));
  const diagnostics: Diagnostic[] = [];
  const placeOf = (offset: number) => place(content, offset, source);
  return { value: build(root, [], { diagnostics, placeOf }), diagnostics };
}

function treeOf(content: string, source: string, errors: ParseError[]): Node | undefined {
  try {
    return parseTree(content, errors, { allowTrailingComma: true });
  } catch (error) {
    // The parser is recursive: it calls itself once for each level.
    if (error instanceof RangeError) throw new ConfigError([`${source}: nested too deeply`], { cause: error });
    throw error;
  }
}

interface Build {
  readonly diagnostics: Diagnostic[];
  readonly placeOf: (offset: number) => string;
}

function build(node: Node, path: Path, context: Build): unknown {
  if (path.length > MAX_DEPTH) {
    context.diagnostics.push({ path: path.slice(0, 1), text: "nested too deeply" });
    return null;
  }
  const children = node.children ?? [];
  if (node.type === "array") return children.map((child, index) => build(child, [...path, index], context));
  if (node.type === "object") return buildObject(children, path, context);
  return node.value;
}

function buildObject(properties: readonly Node[], path: Path, context: Build): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const { children: [key, value] = [] } of properties) {
    // A tree without syntax errors has both; the types can't say so.
    if (key === undefined || value === undefined) continue;
    const name = String(key.value);
    const at = [...path, name];
    if (name === "__proto__") {
      // Assigning it would change the object's prototype instead of adding a key.
      context.diagnostics.push({ path: at, text: "unknown setting" });
    } else if (Object.hasOwn(object, name)) {
      context.diagnostics.push({ path: at, text: `given twice, again at ${context.placeOf(key.offset)}` });
    } else {
      object[name] = build(value, at, context);
    }
  }
  return object;
}

/** One message for each line of the text: further errors in it are usually consequences of the first. */
function syntaxLines(errors: readonly ParseError[], content: string, source: string): string[] {
  const lines = new Map<string, string>();
  const codes = errors.map(({ error }) => printParseErrorCode(error));
  for (const [index, { offset }] of errors.entries()) {
    const at = place(content, offset, source);
    const line = at.slice(0, at.lastIndexOf(":"));
    // A name without quotes is reported twice: as no symbol of JSON, then as no name.
    const isName = codes[index] === "InvalidSymbol" && codes[index + 1] === "PropertyNameExpected";
    const code = isName ? "PropertyNameExpected" : codes[index];
    if (!lines.has(line)) lines.set(line, `${at}: want ${EXPECTED[code ?? ""] ?? "valid JSON"}`);
  }
  return [...lines.values()];
}

function place(content: string, offset: number, source: string): string {
  const before = content.slice(0, offset).split("\n");
  return `${source}:${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}

const EXPECTED: Readonly<Record<string, string>> = {
  InvalidSymbol: "a value: an object, a list, text in double quotes, a number, true, false or null",
  ValueExpected: "a value: an object, a list, text in double quotes, a number, true, false or null",
  InvalidNumberFormat: "a number such as 10 or 0.5",
  UnexpectedEndOfNumber: "a number such as 10 or 0.5",
  PropertyNameExpected: "a setting's name in double quotes",
  ColonExpected: "a colon",
  CommaExpected: "a comma",
  CloseBraceExpected: 'a closing "}"',
  CloseBracketExpected: 'a closing "]"',
  EndOfFileExpected: "nothing after the configuration's last brace",
  InvalidCommentToken: "a comment that begins with // or /*",
  UnexpectedEndOfComment: "a closing */",
  UnexpectedEndOfString: "a closing double quote on the same line",
  InvalidUnicode: "four hexadecimal digits after \\u",
  InvalidEscapeCharacter: 'one of " \\ / b f n r t u after a backslash',
  InvalidCharacter: "no control characters in text; write \\n or \\t",
};
