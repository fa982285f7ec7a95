/** Reads a value with a schema. Says what is wrong in roundhouse's own words, not in those of the schema library. */
import * as z from "zod";
import { withoutCredentials } from "./backend_url.ts";
import { nearest } from "./nearest.ts";
import { isSecret } from "./secrets.ts";
import { formatPath, isWithin, type Path, valueAt } from "./setting_path.ts";

/** Something wrong at a place in the file. `text` is what a line says after `PATH: `. */
export interface Diagnostic {
  readonly path: Path;
  readonly text: string;
}

/** The result of reading a value: the complete value, or everything that is wrong with it. */
export type Reading<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly diagnostics: readonly Diagnostic[] };

/** Reads `raw` with `schema`. Never throws; every problem is found, each with its path inside `raw`. */
export function readWith<T extends z.ZodType>(schema: T, raw: unknown): Reading<z.output<T>> {
  const result = schema.safeParse(raw, { error: wanted });
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, diagnostics: distinct(result.error.issues.flatMap((issue) => toDiagnostics(issue, raw, []))) };
}

/** A problem as a line of its own: `backends[1].weight: got -1, want a whole number from 0 to 256`. */
export function diagnosticLine(diagnostic: Diagnostic): string {
  const path = formatPath(diagnostic.path);
  return path === "" ? diagnostic.text : `${path}: ${diagnostic.text}`;
}

/** Leaves out diagnostics about a place, or inside a place, that an earlier one is about. */
export function distinct(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const kept: Diagnostic[] = [];
  for (const diagnostic of diagnostics) {
    if (!kept.some((earlier) => isWithin(diagnostic.path, earlier.path))) kept.push(diagnostic);
  }
  return kept;
}

/** A value as error lines show it after "got": short, on one line, and without secrets. */
export function show(value: unknown, path: Path): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) {
    const keys = Object.keys(value).map((key) => JSON.stringify(key));
    return keys.length === 0 ? "an empty object" : `an object with ${shorten(keys.join(", "))}`;
  }
  if (isSecret(path) && value !== null && value !== "") return "a value that is not shown";
  return typeof value === "string" ? JSON.stringify(shorten(withoutCredentials(value))) : String(value);
}

type Issue = z.core.$ZodIssue;

function toDiagnostics(issue: Issue, raw: unknown, above: Path): Diagnostic[] {
  const path = [...above, ...issue.path.map((step) => typeof step === "symbol" ? String(step) : step)];
  const got = () => show(valueAt(raw, path), path);
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({ path: [...path, key], text: unknownSetting(key, issue.message) }));
    case "invalid_union": {
      const form = intendedForm(issue.errors, valueAt(raw, path));
      if (form !== undefined) return form.flatMap((inner) => toDiagnostics(inner, raw, path));
      return [{ path, text: `got ${got()}, want ${issue.message}${nearestWord(valueAt(raw, path), issue.message)}` }];
    }
    case "invalid_key":
      return [{
        path,
        text: `got the name ${show(path.at(-1), [])}, want ${issue.issues[0]?.message ?? issue.message}`,
      }];
    case "too_big": {
      const value = valueAt(raw, path);
      return [{ path, text: `got ${Array.isArray(value) ? value.length : got()}, want ${issue.message}` }];
    }
    default: {
      // All keys of an object are known here: the schema names those that are not by themselves.
      const value = valueAt(raw, path);
      const hint = isPlainObject(value) ? "" : nearestWord(value, issue.message);
      return [{ path, text: `got ${got()}, want ${issue.message}${hint}` }];
    }
  }
}

/** Says which of the words in `want` is probably meant. Examples have capitals or digits. */
function nearestWord(value: unknown, want: string): string {
  const words = Array.from(want.matchAll(/"([a-z][a-zA-Z:-]*)"/g), ([, word = ""]) => word);
  const given = typeof value === "string" ? [value] : isPlainObject(value) ? Object.keys(value) : [];
  const meant = given.filter((word) => !words.includes(word)).map((word) => nearest(word, words))
    .find((word) => word !== undefined);
  return meant === undefined ? "" : `; did you mean ${JSON.stringify(meant)}?`;
}

function isPlainObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Of the forms that a setting takes, the one that has the type of the value, if it is exactly one. Of several kinds of
 * object, it is the one whose keys are all there, or else the one with the fewest keys that are missing or unknown.
 */
function intendedForm(forms: readonly (readonly Issue[])[], value: unknown): readonly Issue[] | undefined {
  const ofRightType = forms.filter((issues) =>
    !issues.some(({ code, path }) => path.length === 0 && (code === "invalid_type" || code === "invalid_value"))
  );
  if (ofRightType.length < 2) return ofRightType[0];
  const isMissing = ({ path }: Issue) => path.length === 1 && valueAt(value, path.map(String)) === undefined;
  const complete = ofRightType.filter((issues) => !issues.some(isMissing));
  if (complete.length > 0) return complete.length === 1 ? complete[0] : undefined;
  const wrongKeys = ofRightType.map((issues) =>
    issues.filter(isMissing).length +
    issues.flatMap((issue) => issue.code === "unrecognized_keys" ? issue.keys : []).length
  );
  const fewest = Math.min(...wrongKeys);
  const closest = ofRightType.filter((_, index) => wrongKeys[index] === fewest);
  return closest.length === 1 ? closest[0] : undefined;
}

/** What a value should have been, where the schema gives no text of its own. */
function wanted(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case "unrecognized_keys":
      // Only here is the object's schema at hand: the message carries its keys to `unknownSetting`.
      return JSON.stringify(issue.inst instanceof z.ZodObject ? Object.keys(issue.inst.shape) : []);
    case "invalid_type":
      return TYPE_NAMES[issue.expected] ?? "a value of another type";
    case "invalid_value":
      return oneOf(issue.values.map((value) => JSON.stringify(value) ?? "nothing"));
    default:
      return "another value";
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  object: "an object",
  record: "an object",
  array: "a list",
  string: "text",
  boolean: "true or false",
  number: "a number",
  int: "a whole number",
};

function oneOf(values: readonly string[]): string {
  const last = values.at(-1) ?? "nothing";
  return values.length < 2 ? last : `${values.slice(0, -1).join(", ")} or ${last}`;
}

function unknownSetting(key: string, knownKeys: string): string {
  const meant = nearest(key, JSON.parse(knownKeys));
  return meant === undefined ? "unknown setting" : `unknown setting, did you mean ${JSON.stringify(meant)}?`;
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
