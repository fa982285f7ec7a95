/** A setting and every fact about it: what it is for, its default, who can honour it, what a change of it takes. */
import * as z from "zod";
import type { Path } from "./setting_path.ts";

/** The engines by name. */
export const ENGINES = ["fetch", "wire"] as const;
export type EngineName = (typeof ENGINES)[number];

/** What may be special about a setting. */
export interface Particulars {
  /** The only engine that can honour it. Default: both can. */
  readonly engine?: EngineName;
  /**
   * Whether a change of it takes a restart, since it is bound to a listening socket or to an isolate. `"presence"`: only
   * whether it is there at all; what is in it says for itself.
   */
  readonly restart?: true | "presence";
  /**
   * What of it neither error lines nor `GET /config` show: all of it, the values of entries whose names look like those of
   * secrets, or such parameters of its query.
   */
  readonly secret?: "whole" | "by-name" | "in-query";
}

/** All that is known of a setting. */
export interface SettingFacts extends Particulars {
  /** One sentence or two: what it means. */
  readonly about: string;
  /**
   * The default in the file's words, in its one usual spelling; `undefined`: it has to be given, or means nothing when it
   * is left out.
   */
  readonly fallback?: unknown;
}

/** A setting with its place in the file. */
export interface Setting extends SettingFacts {
  /** Keys from the top of the file down; `EACH` stands for every entry of a list. */
  readonly path: readonly string[];
}

/** In a setting's path: every entry of a list, such as each backend. */
export const EACH = "[]";

const facts = z.registry<SettingFacts>();

/** A setting that may be left out: `fallback` is its default as one would write it in the file. */
export function setting<T extends z.ZodType>(
  kind: T,
  fallback: z.input<T> & z.core.util.NoUndefined<z.input<T>>,
  about: string,
  particulars: Particulars = {},
) {
  const description = `${describe(about, particulars)} Default: ${JSON.stringify(fallback)}.`;
  const made = kind.prefault(fallback).meta({ description });
  facts.add(made, { about, fallback: z.encode(made, made.parse(undefined)), ...particulars });
  return made;
}

/** A setting without a default: one that has to be given, or an optional kind that may be left out. */
export function bareSetting<T extends z.ZodType>(kind: T, about: string, particulars: Particulars = {}) {
  const made = kind.meta({ description: describe(about, particulars) });
  facts.add(made, { about, ...particulars });
  return made;
}

/** A group of settings that may be left out, each of which then has its own default. */
export function section<T extends z.ZodType>(kind: T, about: string) {
  // Every setting of a section has a default, so an empty object is always valid input for it.
  return kind.prefault({} as z.core.util.NoUndefined<z.input<T>>).meta({ description: about });
}

/** An object's type with some of its keys under other names. */
type Renamed<T, Names extends Readonly<Record<string, string>>> = {
  [K in keyof T as K extends keyof Names ? Names[K] : K]: T[K];
};

/** Settings whose names in the code say their unit: `interval` in the file is `intervalMs` in the code. */
export function renamed<T extends z.ZodObject, const Names extends Readonly<Record<string, string>>>(
  kind: T,
  names: Names & { readonly [K in keyof Names]: K extends keyof z.output<T> ? string : never },
) {
  type Inside = Renamed<z.output<T>, Names>;
  const back = Object.fromEntries(Object.entries<string>(names).map(([written, used]) => [used, written]));
  return z.codec(kind, z.custom<Inside>(), {
    decode: (written) => renameKeys(written, names) as Inside,
    encode: (used) => renameKeys(used, back) as z.output<T>,
  });
}

function renameKeys(value: unknown, names: Readonly<Record<string, string>>): unknown {
  return Object.fromEntries(Object.entries(value ?? {}).map(([key, inner]) => [names[key] ?? key, inner]));
}

function describe(about: string, { engine }: Particulars): string {
  return engine === undefined ? about : `${about.replace(/\.$/, "")} (engine ${engine}).`;
}

/** Every setting of a schema, in its order; those of a group stand where the group does. */
export function settingsOf(schema: z.core.$ZodType): Setting[] {
  const found: Setting[] = [];
  visit(schema, [], found);
  return found;
}

function visit(schema: z.core.$ZodType, path: readonly string[], found: Setting[]): void {
  const known = facts.get(schema as z.ZodType); // it looks for the very object, of whatever kind
  if (known !== undefined) found.push({ path, ...known });
  if (schema instanceof z.ZodObject) {
    for (const [key, inner] of Object.entries<z.core.$ZodType>(schema.shape)) visit(inner, [...path, key], found);
  } else if (schema instanceof z.ZodArray) visit(schema.element, [...path, EACH], found);
  else if (schema instanceof z.ZodUnion) schema.options.forEach((option) => visit(option, path, found));
  else if (schema instanceof z.ZodPipe) visit(schema.in, path, found);
  else if (schema instanceof z.ZodPrefault || schema instanceof z.ZodNullable || schema instanceof z.ZodOptional) {
    visit(schema.unwrap(), path, found);
  }
}

/** Whether a path leads to the setting or to something in it. */
export function covers({ path: keys }: Setting, path: Path): boolean {
  return keys.length <= path.length &&
    keys.every((key, index) => key === EACH ? typeof path[index] === "number" : key === path[index]);
}

/** What stands at a setting's path in a configuration in the file's words: one value, or one for each entry of lists. */
export function valuesOf({ path }: Setting, written: unknown): { readonly path: Path; readonly value: unknown }[] {
  let places: { readonly path: Path; readonly value: unknown }[] = [{ path: [], value: written }];
  for (const key of path) {
    places = places.flatMap(({ path, value }) => {
      if (key === EACH) {
        return Array.isArray(value) ? value.map((item, at) => ({ path: [...path, at], value: item })) : [];
      }
      const holds = typeof value === "object" && value !== null && Object.hasOwn(value, key);
      return holds ? [{ path: [...path, key], value: Reflect.get(value, key) }] : [];
    });
  }
  return places;
}
