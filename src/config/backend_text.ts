/** Changes the list of backends in the text of a configuration file: of the top level, or of a pool. */
import type { Node } from "jsonc-parser";
import { ConfigError } from "../errors.ts";
import { type Diagnostic, diagnosticLine, distinct, readWith } from "./diagnostics.ts";
import { readAsTyped, substitute } from "./environment.ts";
import { editedFile, type FileContext, indentAt, nodeAt, type Style } from "./json_edit.ts";
import { indentOf, type Item, joinList, splitList } from "./json_list.ts";
import type { JsonText } from "./json_text.ts";
import { sameBackends } from "./pool_checks.ts";
import { DEFAULT_POOL_NAME, poolPath, poolsOf } from "./pool_settings.ts";
import { type BackendSpec, backendSpecSchema, type Config, configSchema } from "./schema.ts";
import { formatPath, isWithin, samePath, valueAt } from "./setting_path.ts";

/** Makes the new list of backends from the list in the file. No URL may occur twice in it. */
type ChangeOfList = (written: readonly BackendSpec[]) => readonly BackendSpec[];

/** Whose list of backends changes, in which file. */
export interface ListContext extends FileContext {
  /** Default: the pool `default`, whose list stands at the top level. */
  readonly pool?: string;
}

/**
 * The text of a configuration file with the `backends` of a pool changed, in the order of the changed list. Entries that
 * stay the same keep their text, with the comments beside them. Others are edited field by field. A comment on a line of
 * its own stays even if the entry below it is removed. Throws a `ConfigError` when the `backends` in the file can't be
 * read, so that an edit that is not finished is not lost.
 */
export function withBackends(text: string, change: ChangeOfList, context: ListContext): string {
  const { source = "configuration", pool = DEFAULT_POOL_NAME } = context;
  return editedFile(text, source, ({ json, root, style }) => {
    const owner = nodeAt(root, poolPath(pool));
    if (owner?.type !== "object") throw new ConfigError([`${source}: ${formatPath(poolPath(pool))}: is no pool there`]);
    const written = readBackends(json, pool, context);
    const wanted = change(written).map(plainSpec);
    const list = nodeAt(owner, ["backends"]);
    if (list !== undefined) return { node: list, text: editedList(list, { written, wanted, style }) };
    return wanted.length === 0 ? undefined : { node: owner, text: objectWithList(owner, wanted, style) };
  });
}

// What entries mean

const { url: _, ...FIELD_DEFAULTS } = plainSpec(backendSpecSchema.parse({ url: "http://127.0.0.1" }));

/** A copy with only the known keys, always in the same order. The backends of a pool have more keys. */
function plainSpec({ url, weight, maxConnections, backup, tls }: BackendSpec): BackendSpec {
  const { ca, insecure, serverName, cert, key } = tls;
  return { url, weight, maxConnections, backup, tls: { ca, insecure, serverName, cert, key } };
}

/** The entries of a pool's list in the file, in its order, as the loader reads them. */
function readBackends(json: JsonText, pool: string, { env, source = "configuration" }: FileContext) {
  const list = [...poolPath(pool), "backends"];
  // Mistakes elsewhere in the file do not matter for the backends.
  const raw = list.reduceRight<unknown>(
    (inner, key) => inner === undefined ? {} : { [key]: inner },
    valueAt(json.value, list),
  );
  const { value, diagnostics, references } = substitute(raw, env);
  const first = readWith(configSchema, value);
  if (!first.ok) {
    readAsTyped(
      value,
      references.filter((path) => first.diagnostics.some((diagnostic) => samePath(diagnostic.path, path))),
    );
  }
  const reading = readWith(configSchema, value);
  const found = [
    ...json.diagnostics.filter(({ path }) => isWithin(path, list) || isWithin(list, path)),
    ...diagnostics,
  ];
  const backends = reading.ok ? backendsOf(reading.value, pool) : [];
  found.push(...sameBackends(backends, formatPath, list));
  if (reading.ok && found.length === 0) return backends.map(plainSpec);
  const all: readonly Diagnostic[] = distinct([...found, ...reading.ok ? [] : reading.diagnostics]);
  throw new ConfigError(all.map((diagnostic) => `${source}: ${diagnosticLine(diagnostic)}`));
}

function backendsOf(config: Config, pool: string): readonly BackendSpec[] {
  return poolsOf(config).get(pool)?.backends ?? [];
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

/** The text of an object, the file's or a pool's, with a list of backends added to it. */
function objectWithList(owner: Node, wanted: readonly BackendSpec[], style: Style): string {
  const object = splitList(style.text, owner);
  const closing = indentAt(style.text, owner.offset);
  const indent = closing + style.unit;
  const empty = { open: "[", head: "", items: [], tail: "", close: "]", trailingComma: false };
  const entries = wanted.map((spec) => newEntry(spec));
  // A pool that stands on one line stays there.
  const multiline = style.multiline &&
    (owner.parent === undefined || object.items.some((item) => indentOf(item) !== undefined));
  const list = joinList(empty, entries, { ...style, multiline, indent: indent + style.unit, closing: indent });
  return joinList(object, [...object.items, `"backends": ${list}`], { ...style, multiline, indent, closing });
}
