/** Replaces a part of the text of a configuration file. All around it stays as it is, comments included. */
import { applyEdits, type Node, parseTree } from "jsonc-parser";
import { ConfigError } from "../errors.ts";
import type { Environment } from "./environment.ts";
import { indentOf, splitList } from "./json_list.ts";
import { type JsonText, parseJsonText } from "./json_text.ts";
import type { Path } from "./setting_path.ts";

const BYTE_ORDER_MARK = "\uFEFF";

/** What is needed to understand the text of a file. */
export interface FileContext {
  readonly env: Environment;
  /** The name of the file in error lines, usually its path. Default: `configuration`. */
  readonly source?: string;
}

/** A file whose text has no mistakes of syntax. */
export interface ReadFile {
  readonly json: JsonText;
  readonly root: Node;
  readonly style: Style;
}

/** The new text of a part. */
export interface Edit {
  readonly node: Node;
  readonly text: string;
}

/**
 * The text of a file after an edit; the same text where there is none.
 *
 * @throws {ConfigError} when the text is no object in JSON with comments
 */
export function editedFile(text: string, source: string, edit: (file: ReadFile) => Edit | undefined): string {
  const content = withoutMark(text);
  const json = parseJsonText(content, source);
  const root = parseTree(content, [], { allowTrailingComma: true });
  if (root?.type !== "object") throw new ConfigError([`${source}: want an object`]);
  const edited = edit({ json, root, style: styleOf(content, root) });
  if (edited === undefined) return text;
  const { node: { offset, length }, text: inside } = edited;
  return text.slice(0, text.length - content.length) + applyEdits(content, [{ offset, length, content: inside }]);
}

/** Drops the byte order mark, as the runtime does when it reads a text. */
export function withoutMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

/** The node at a path below another one. Of keys that occur twice, the first counts. */
export function nodeAt(root: Node, path: Path): Node | undefined {
  let node: Node | undefined = root;
  for (const step of path) {
    if (typeof step === "number") node = node?.type === "array" ? node.children?.[step] : undefined;
    else if (node?.type !== "object") return undefined;
    else node = node.children?.find(({ children: [key] = [] }) => key?.value === step)?.children?.[1];
  }
  return node;
}

/** How a file is laid out. */
export interface Style {
  readonly text: string;
  readonly lineBreak: string;
  /** Whether a list or object that was empty gets its items on lines of their own. */
  readonly multiline: boolean;
  /** The indentation of each level. */
  readonly unit: string;
}

function styleOf(text: string, root: Node): Style {
  const { items } = splitList(text, root);
  const indent = items.map(indentOf).find((found) => found !== undefined) ?? "";
  const whole = text.slice(root.offset, root.offset + root.length);
  return {
    text,
    lineBreak: text.includes("\r\n") ? "\r\n" : "\n",
    multiline: items.length === 0 || /[\r\n]/.test(whole),
    unit: indent.slice(indentAt(text, root.offset).length) || "  ",
  };
}

/** The indentation of the line at a place. */
export function indentAt(text: string, offset: number): string {
  const lineStart = Math.max(text.lastIndexOf("\n", offset - 1), text.lastIndexOf("\r", offset - 1)) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart, offset))?.[0] ?? "";
}
