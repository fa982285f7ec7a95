/** A setting and every fact about it: what it means, its default, its engine, whether a change takes a restart. */
import * as z from "zod";
import { type InUnit, type Unit, unitOf, withUnit, wordsFor } from "./kind.ts";
import type { Path } from "./setting_path.ts";

// Compiling the schemas takes longer than to read a configuration with them, of thousands of backends, too.
z.config({ jitless: true });

/** The engines by name. */
export const ENGINES = ["fetch", "wire"] as const;
export type EngineName = (typeof ENGINES)[number];

/** The optional facts of a setting. */
export interface Particulars {
  /** The only engine that it works with. Default: both. */
  readonly engine?: EngineName;
  /**
   * Whether a change of it takes a restart, because it is bound to a listening socket or an isolate. `"presence"`: only
   * setting it or setting it to `null` does. The settings inside it have facts of their own.
   */
  readonly restart?: true | "presence";
  /**
   * What error lines and `GET /config` hide: all of it, the values of entries whose names look like those of secrets,
   * such parameters of its query, or the user and password of a URL. Error lines hide all of such a URL.
   */
  readonly secret?: "whole" | "by-name" | "in-query" | "in-url";
  /** What the page of settings says after `about`, in Markdown. Links start at `docs/`. */
  readonly more?: string;
}

/** All facts of a setting. */
export interface SettingFacts extends Particulars {
  /** What it means, in one or two sentences of Markdown, for editors and for the page of settings. */
  readonly about: string;
  /** What the file may say, in Markdown. */
  readonly words: string;
  /**
   * The default in the file's words, in its usual spelling. `undefined`: the setting must be given, or has no value
   * when it is left out.
   */
  readonly fallback?: unknown;
  /** Whether it must be given. */
  readonly required?: boolean;
  /** Whether it is an override: see `overrides`. */
  readonly overrides?: true;
}

/** A setting with its place in the file. */
export interface Setting extends SettingFacts {
  /** Keys from the top of the file down. `EACH` stands for every entry of a list or a record. */
  readonly path: readonly string[];
}

/** In a setting's path: every entry of a list or a record, such as each backend and each pool. */
export const EACH = "[]";

/**
 * What is said of a setting is made from its kind when somebody asks: the start of the program asks for little of it, and
 * all of it would take a tenth of the start.
 */
const facts = new WeakMap<z.core.$ZodType, SettingFacts>();

/** A setting with a default. `fallback` is the default as one would write it in the file. */
export function setting<T extends z.ZodType>(
  kind: T,
  fallback: z.input<T> & z.core.util.NoUndefined<z.input<T>>,
  about: string,
  particulars: Particulars = {},
) {
  const made = kind.prefault(fallback);
  const known: SettingFacts = {
    ...particulars,
    about,
    get words() {
      return wordsFor(kind);
    },
    get fallback() {
      return z.encode(made, made.parse(undefined));
    },
  };
  describe(made, () => `${descriptionOf(known)} Default: ${JSON.stringify(fallback)}.`);
  facts.set(made, known);
  return made;
}

/** A setting without a default. It must be given, unless its kind is optional. */
export function bareSetting<T extends z.ZodType>(kind: T, about: string, particulars: Particulars = {}) {
  const known: SettingFacts = {
    ...particulars,
    about,
    required: !(kind instanceof z.ZodOptional),
    get words() {
      return wordsFor(kind);
    },
  };
  const made = kind.clone(); // the same kind may stand at several places
  describe(made, () => descriptionOf(known));
  facts.set(made, known);
  return made;
}

/** A group of settings that may be left out. Each setting then has its default. */
export function section<T extends z.ZodType>(kind: T, about: string) {
  // Every setting of a section has a default, so an empty object is always valid input for it.
  return describe(kind.prefault({} as z.core.util.NoUndefined<z.input<T>>), () => about);
}

/** The kinds that nobody has asked for so far. */
const unmade = new WeakSet<z.core.$ZodType>();

/**
 * A kind that is made when a value is read with it. Most files say nothing of discovery, pools, routes or guards, and what
 * the schema says of them would take a twentieth of each start. The kind must want a value: neither `null` nor nothing.
 */
export function later<T extends z.ZodType>(make: () => T): z.ZodLazy<T> {
  const made = z.lazy(() => {
    unmade.delete(made);
    return make();
  });
  unmade.add(made);
  // To know whether a key may be left out, an object would ask the kind, which would make it.
  Object.defineProperties(made._zod, { optin: { value: undefined }, optout: { value: undefined } });
  return made;
}

/** A setting that may be left out, so that the value of another place counts. `null` stands for its default. */
type Override<T> = T extends z.ZodPrefault<infer Kind extends z.ZodType>
  ? z.ZodOptional<z.ZodType<z.output<Kind>, z.input<Kind> | null> & WithUnit<UnitOf<Kind>>>
  : never;

type WithUnit<U> = U extends Unit ? InUnit<U> : unknown;

/** These settings of a section for a place that says only what differs there. */
export function overrides<T extends z.ZodObject, Key extends keyof T["shape"] & string>(kind: T, keys: readonly Key[]) {
  const shape = Object.fromEntries(keys.map((key) => [key, override(kind.shape[key])]));
  return z.strictObject(shape as unknown as { [K in Key]: Override<T["shape"][K]> });
}

/** One setting for such a place. */
export function override<T extends z.ZodType>(made: T): Override<T> {
  const known = facts.get(made);
  if (known === undefined || !(made instanceof z.ZodPrefault)) throw new TypeError("want a setting with a default");
  const kind = made.unwrap() as z.ZodType;
  const unit = unitOf(kind);
  const codec = z.codec(kind.nullable(), z.custom<unknown>(), {
    decode: (value) => value ?? made.parse(undefined),
    encode: (value) => value,
  });
  const optional = (unit === undefined ? codec : withUnit(codec, unit)).optional();
  describe(optional, () => `${descriptionOf(known)} null: the default, ${JSON.stringify(known.fallback)}.`);
  facts.set(optional, alsoSaying(known, { overrides: true, restart: undefined }));
  return optional as unknown as Override<T>;
}

/** A section of overrides. `null` in place of the object stands for the default of each. */
export function orDefaults<T extends z.ZodType>(kind: T, defaults: () => z.output<T>, about: string) {
  const codec = z.codec(kind.nullable(), z.custom<z.output<T>>(), {
    decode: (value) => value ?? defaults(),
    encode: (value) => value,
  });
  return describe(codec.optional(), () => about);
}

/** The unit of a kind, whatever makes it optional. `""`: it has none. */
type UnitOf<T> = T extends InUnit<infer U> ? U
  : T extends z.ZodPrefault<infer Inner> | z.ZodNullable<infer Inner> | z.ZodOptional<infer Inner> ? UnitOf<Inner>
  : "";

/** A setting's name in the code. */
type Used<Name, U> = Name extends string
  ? U extends "" ? Name : `${Name extends `${infer Base}Size` ? Base : Name}${U & string}`
  : never;

/** The values of a section by their names in the code. */
type Inside<T extends z.ZodObject> = {
  [K in keyof z.output<T> as Used<K, UnitOf<T["shape"][K & string]>>]: z.output<T>[K];
};

/**
 * Settings whose names in the code say their unit: `interval` in the file is `intervalMs`, `bodySize` is `bodyBytes`.
 */
export function inUnits<T extends z.ZodObject>(kind: T) {
  const names = Object.entries(kind.shape).map(([name, inner]) => [name, usedName(name, inner)] as const);
  const [there, back] = [new Map(names), new Map(names.map(([written, used]) => [used, written]))];
  return z.codec(kind, z.custom<Inside<T>>(), {
    decode: (written) => renameKeys(written, there) as Inside<T>,
    encode: (used) => renameKeys(used, back) as z.output<T>,
  });
}

function usedName(name: string, kind: z.core.$ZodType): string {
  const unit = unitOf(kind);
  return unit === undefined ? name : `${name.replace(/Size$/, "")}${unit}`;
}

function renameKeys(value: unknown, names: ReadonlyMap<string, string>): unknown {
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, inner]) => [names.get(key) ?? key, inner]));
}

/** Gives a schema that nobody else has its description for editors. */
function describe<T extends z.ZodType>(made: T, description: () => string): T {
  z.globalRegistry.add(made, {
    get description() {
      return description();
    },
  });
  return made;
}

/** The description for editors. It has no backticks, because most editors do not render Markdown there. */
function descriptionOf({ about, words, engine }: SettingFacts): string {
  return [about, `Type: ${words}.`, ...engine === undefined ? [] : [`Only with engine ${engine}.`]].join(" ")
    .replaceAll("`", "");
}

/** The facts with others beside or in place of them. None is looked at: see `facts`. */
function alsoSaying<T extends object>(known: SettingFacts, others: T): SettingFacts & T {
  return Object.assign(Object.create(known), others);
}

/** Every setting of a schema, in its order. */
export function settingsOf(schema: z.core.$ZodType): Setting[] {
  const found: Setting[] = [];
  visit(schema, [], found, true);
  return found;
}

/** The settings of a schema without those in kinds that no value has been read with: see `later`. */
export function settingsRead(schema: z.core.$ZodType): Setting[] {
  const found: Setting[] = [];
  visit(schema, [], found, false);
  return found;
}

function visit(schema: z.core.$ZodType, path: readonly string[], found: Setting[], all: boolean): void {
  const known = facts.get(schema);
  if (known !== undefined) found.push(alsoSaying(known, { path }));
  const { def } = (schema as z.core.$ZodTypes)._zod;
  switch (def.type) {
    case "object":
      for (const [key, inner] of Object.entries(def.shape)) visit(inner, [...path, key], found, all);
      break;
    case "array":
      visit(def.element, [...path, EACH], found, all);
      break;
    case "record":
      visit(def.valueType, [...path, EACH], found, all);
      break;
    case "union":
      for (const option of def.options) visit(option, path, found, all);
      break;
    case "pipe":
      visit(def.in, path, found, all);
      break;
    case "prefault":
    case "nullable":
    case "optional":
      visit(def.innerType, path, found, all);
      break;
    case "lazy":
      if (all || !unmade.has(schema)) visit((schema as z.core.$ZodLazy)._zod.innerType, path, found, all);
  }
}

/** Whether a path leads to the setting or into it. */
export function covers({ path: keys }: Setting, path: Path): boolean {
  return keys.length <= path.length &&
    keys.every((key, index) => key === EACH || key === path[index]);
}

/**
 * The value of a setting in a configuration in the file's words. Inside a list or a record, there is one for each entry.
 */
export function valuesOf({ path }: Setting, written: unknown): { readonly path: Path; readonly value: unknown }[] {
  let places: { readonly path: Path; readonly value: unknown }[] = [{ path: [], value: written }];
  for (const key of path) {
    places = places.flatMap(({ path, value }) => {
      if (key === EACH) return entriesOf(value).map(([at, item]) => ({ path: [...path, at], value: item }));
      const holds = typeof value === "object" && value !== null && Object.hasOwn(value, key);
      return holds ? [{ path: [...path, key], value: Reflect.get(value, key) }] : [];
    });
  }
  return places;
}

function entriesOf(value: unknown): readonly (readonly [string | number, unknown])[] {
  if (Array.isArray(value)) return [...value.entries()];
  return typeof value === "object" && value !== null ? Object.entries(value) : [];
}
