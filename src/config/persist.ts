/** Writes changes of the backends into the configuration file. The rest of the file stays as it is. */
import { basename, dirname } from "node:path";
import { applyEdits, type Node, parseTree } from "jsonc-parser";
import { ConfigError, messageOf } from "../errors.ts";
import { mustBeRegular } from "../regular_file.ts";
import { afterChange, type BackendChange } from "./backend_change.ts";
import { type Environment, readAsTyped, substitute } from "./environment.ts";
import { indentOf, type Item, joinList, splitList } from "./json_list.ts";
import { type JsonText, parseJsonText } from "./json_text.ts";
import { diagnosticLine, distinct, readWith } from "./diagnostics.ts";
import { type BackendSpec, backendSpecSchema, configSchema } from "./schema.ts";
import { sameBackends } from "./pool_checks.ts";
import { formatPath, isWithin, samePath } from "./setting_path.ts";

const BYTE_ORDER_MARK = "\uFEFF";

/** What is needed to read the backends of a file. */
export interface FileContext {
  readonly env: Environment;
  /** The name of the file in error lines, usually its path. Default: `configuration`. */
  readonly source?: string;
}

/**
 * How often a change is made again because somebody wrote the file meanwhile. An editor saves once. If a script writes
 * all the time, the change fails in the end.
 */
const MOST_TRIES = 5;

/** Makes the new list of backends from the list in the file. No URL may occur twice in it. */
type ChangeOfList = (written: readonly BackendSpec[]) => readonly BackendSpec[];

/**
 * The text of a configuration file with its `backends` changed, in the order of the changed list. Entries that stay the
 * same keep their text, with the comments beside them. Others are edited field by field. A comment on a line of its own
 * stays even if the entry below it is removed. Throws a `ConfigError` when the `backends` in the file can't be read, so
 * that an edit that is not finished is not lost.
 */
export function withBackends(text: string, change: ChangeOfList, context: FileContext): string {
  const { env, source = "configuration" } = context;
  const content = withoutMark(text);
  const byteOrderMark = text.slice(0, text.length - content.length);
  const json = parseJsonText(content, source);
  const root = parseTree(content, [], { allowTrailingComma: true });
  if (root?.type !== "object") throw new ConfigError([`${source}: want an object`]);
  const written = readBackends(json, env, source);
  const wanted = change(written).map(plainSpec);
  const style = styleOf(content, root);
  const list = root.children?.find(({ children: [key] = [] }) => key?.value === "backends")?.children?.[1];
  if (list === undefined && wanted.length === 0) return text;
  const [node, edited] = list === undefined
    ? [root, rootWithList(root, wanted, style)]
    : [list, editedList(list, { written, wanted, style })];
  return byteOrderMark + applyEdits(content, [{ offset: node.offset, length: node.length, content: edited }]);
}

/**
 * Replaces a file's content as a whole: a reader sees the old text or the new text, and so does the next start after a
 * power failure. The file keeps its mode. If it is a symbolic link, its target is replaced. Returns `false` and changes
 * nothing if the file no longer contains the text `before`. Throws a `ConfigError` that says why, and changes nothing,
 * if it can't replace it. Call it for the same file one after the other: of two calls at a time, chance decides which
 * one wins.
 */
export async function writeAtomically(path: string, before: string, text: string): Promise<boolean> {
  try {
    const target = await Deno.realPath(path);
    const { mode } = await Deno.stat(target);
    // A rename is atomic only within one file system. Within one directory, that is sure.
    const options = { dir: dirname(target), prefix: `.${basename(target)}.`, suffix: ".tmp" };
    const temporary = await Deno.makeTempFile(options);
    try {
      await writeDurably(temporary, text, mode);
      // Writing took a while, and the operator may have saved the file meanwhile.
      const isCurrent = await readExactly(path) === before;
      await (isCurrent ? Deno.rename(temporary, target) : Deno.remove(temporary));
      return isCurrent;
    } catch (error) {
      await Deno.remove(temporary).catch(() => {});
      throw error;
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError([`${path}: can't be written: ${reasonOf(error)}`], { cause: error });
  }
}

/** What a `ConfigPersistence` works with. */
export interface PersistenceOptions extends FileContext {
  readonly path: string;
  readonly wrote?: (before: string, after: string) => void;
}

/** Writes changes of the pool to a configuration file. */
export class ConfigPersistence {
  readonly #path: string;
  readonly #context: FileContext;
  readonly #wrote: (before: string, after: string) => void;
  #last: Promise<void> = Promise.resolve();

  /** @param options `wrote` gets the text of the file before and after. Both are equal if nothing had to be done. */
  constructor({ path, env, source = path, wrote = () => {} }: PersistenceOptions) {
    this.#path = path;
    this.#context = { env, source };
    this.#wrote = wrote;
  }

  /**
   * Makes a change in the list that the file contains when it is this change's turn. So edits by an operator that were
   * not reloaded yet are kept. Changes are made one after the other, in the order of the calls. Rejects with a
   * `ConfigError` when the file can't be read or written. The file then stays as it is, and later changes are still
   * tried.
   */
  save(change: BackendChange): Promise<void> {
    const saved = this.#last.then(() => this.#write(change));
    this.#last = saved.catch(() => {});
    return saved;
  }

  async #write(change: BackendChange): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const text = await readExactly(this.#path);
      const edited = withBackends(text, (written) => afterChange(written, change), this.#context);
      if (edited !== text && !await writeAtomically(this.#path, text, edited)) continue;
      this.#wrote(withoutMark(text), withoutMark(edited));
      return;
    }
    throw new ConfigError([`${this.#path}: can't be written: another program keeps changing it`]);
  }
}

/** Drops the byte order mark, as the runtime does when it reads a text. */
function withoutMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

async function writeDurably(path: string, text: string, mode: number | null): Promise<void> {
  using file = await Deno.open(path, { write: true });
  // Windows has none.
  if (mode !== null) await Deno.chmod(path, mode & 0o7777);
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  // Otherwise the rename may reach the disk before the content does. Not `syncData`, which may leave out the mode.
  await file.sync();
}

/**
 * The file's text with its byte order mark. Refuses bytes that are not UTF-8, because they would be written back
 * changed.
 */
async function readExactly(path: string): Promise<string> {
  try {
    mustBeRegular(path);
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(await Deno.readFile(path));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : reasonOf(error);
    throw new ConfigError([`${path}: can't be read: ${reason}`], { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) return "not permitted";
  return messageOf(error);
}

// What entries mean

const { url: _, ...FIELD_DEFAULTS } = plainSpec(backendSpecSchema.parse({ url: "http://127.0.0.1" }));

/** A copy with only the known keys, always in the same order. The backends of a pool have more keys. */
function plainSpec({ url, weight, maxConnections, backup, tls: { ca, insecure } }: BackendSpec): BackendSpec {
  return { url, weight, maxConnections, backup, tls: { ca, insecure } };
}

/** The entries of the file's list, in its order, as the loader reads them. */
function readBackends(json: JsonText, env: Environment, source: string): readonly BackendSpec[] {
  // Mistakes elsewhere in the file do not matter for the backends.
  const raw = Object.fromEntries(Object.entries(Object(json.value)).filter(([key]) => key === "backends"));
  const { value, diagnostics, references } = substitute(raw, env);
  const first = readWith(configSchema, value);
  if (!first.ok) {
    readAsTyped(
      value,
      references.filter((path) => first.diagnostics.some((diagnostic) => samePath(diagnostic.path, path))),
    );
  }
  const reading = readWith(configSchema, value);
  const found = [...json.diagnostics.filter(({ path }) => isWithin(path, ["backends"])), ...diagnostics];
  if (reading.ok) found.push(...sameBackends(reading.value.backends, formatPath));
  if (reading.ok && found.length === 0) return reading.value.backends.map(plainSpec);
  const all = distinct([...found, ...reading.ok ? [] : reading.diagnostics]);
  throw new ConfigError(all.map((diagnostic) => `${source}: ${diagnosticLine(diagnostic)}`));
}

type Fields = Readonly<Record<string, unknown>>;

/** Both have their keys in the same order, so comparing their text is enough. */
function sameValue(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A backend as a new entry: only a URL, if all else is default. */
function newEntry({ url, ...fields }: BackendSpec, urlText = JSON.stringify(url)): string {
  const properties = newProperties(fields, FIELD_DEFAULTS, []);
  return properties.length === 0 ? urlText : objectText([`"url": ${urlText}`, ...properties]);
}

/** Properties for fields that are not their default, without the `known` ones. */
function newProperties(fields: Fields, defaults: Fields, known: readonly unknown[]): string[] {
  return Object.entries(fields)
    .filter(([key, value]) => !known.includes(key) && !sameValue(value, defaults[key]))
    .map(([key, value]) => `${JSON.stringify(key)}: ${literal(value, defaults[key])}`);
}

function objectText(properties: readonly string[]): string {
  return `{ ${properties.join(", ")} }`;
}

function literal(value: unknown, fallback: unknown): string {
  if (isObject(value)) return objectText(newProperties(value, isObject(fallback) ? fallback : {}, []));
  if (typeof value === "string" && value.includes("${")) {
    // There is no way to escape it.
    throw new ConfigError([`backends: can't hold ${JSON.stringify(value)}, since "\${" begins a reference there`]);
  }
  return JSON.stringify(value);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

// Changing the text

interface Change {
  /** One for each entry of the file. */
  readonly written: readonly BackendSpec[];
  readonly wanted: readonly BackendSpec[];
  readonly style: Style;
}

/** The text of the list of backends, changed from the backends `written` in it to the `wanted` ones. */
function editedList(array: Node, { written, wanted, style }: Change): string {
  const list = splitList(style.text, array);
  const specs = new Map(wanted.map((spec) => [spec.url, spec]));
  const kept = new Map<string, Item>();
  let comments = "";
  for (const [index, item] of list.items.entries()) {
    const before = written[index];
    const after = before === undefined ? undefined : specs.get(before.url);
    if (before === undefined || after === undefined) {
      // Comments may be about more than this entry.
      if (item.above.trim() !== "") comments += item.above;
      continue;
    }
    kept.set(after.url, { ...item, above: comments + item.above, text: editedEntry(item, { before, after, style }) });
    comments = "";
  }
  const items = wanted.map((spec) => kept.get(spec.url) ?? newEntry(spec));
  const closing = indentAt(style.text, array.offset);
  return joinList({ ...list, tail: comments + list.tail }, items, { ...style, indent: closing + style.unit, closing });
}

interface EntryChange {
  readonly before: BackendSpec;
  readonly after: BackendSpec;
  readonly style: Style;
}

function editedEntry({ node, text }: Item, { before, after, style }: EntryChange): string {
  if (sameValue(before, after)) return text;
  if (node.type === "string") return newEntry(after, text);
  return editedObject(node, { before, after, defaults: FIELD_DEFAULTS, style });
}

interface ObjectChange {
  readonly before: Fields;
  readonly after: Fields;
  /** The values of fields that are not in the text. */
  readonly defaults: Fields;
  readonly style: Style;
}

/** The text of an object whose fields change. A field that becomes its default stays, if it was in the text. */
function editedObject(object: Node, { before, after, defaults, style }: ObjectChange): string {
  const list = splitList(style.text, object);
  const items = list.items.map((item) => {
    const [key, value] = item.node.children ?? [];
    const name = String(key?.value);
    const [was, is, usual] = [before[name], after[name], defaults[name]];
    if (value === undefined || sameValue(was, is)) return item;
    const text = value.type === "object" && isObject(was) && isObject(is) && isObject(usual)
      ? editedObject(value, { before: was, after: is, defaults: usual, style })
      : literal(is, usual);
    return { ...item, text: style.text.slice(item.node.offset, value.offset) + text };
  });
  const known = ["url", ...list.items.map(({ node }) => node.children?.[0]?.value)];
  const added = newProperties(after, defaults, known);
  return joinList(list, [...items, ...added], { ...style, multiline: false, indent: "", closing: "" });
}

/** The text of the file's object with a list of backends added to it. */
function rootWithList(root: Node, wanted: readonly BackendSpec[], style: Style): string {
  const object = splitList(style.text, root);
  const closing = indentAt(style.text, root.offset);
  const indent = closing + style.unit;
  const empty = { open: "[", head: "", items: [], tail: "", close: "]", trailingComma: false };
  const entries = wanted.map((spec) => newEntry(spec));
  const list = joinList(empty, entries, { ...style, indent: indent + style.unit, closing: indent });
  return joinList(object, [...object.items, `"backends": ${list}`], { ...style, indent, closing });
}

/** How a file is laid out. */
interface Style {
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
function indentAt(text: string, offset: number): string {
  const lineStart = Math.max(text.lastIndexOf("\n", offset - 1), text.lastIndexOf("\r", offset - 1)) + 1;
  return /^[ \t]*/.exec(text.slice(lineStart, offset))?.[0] ?? "";
}
