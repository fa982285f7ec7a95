/** What a kind of value is called, and the unit in which the code sees it. */
import * as z from "zod";
import { formatDuration, formatSize, MAX_TIMER_MS } from "./units.ts";

/** Milliseconds or bytes. The names of settings in the code end in it. */
export type Unit = "Ms" | "Bytes";

/** A kind whose values have a unit in the code. */
export interface InUnit<U extends Unit = Unit> {
  readonly unit: U;
}

/** Gives a kind its unit. */
export function withUnit<T extends z.ZodType, U extends Unit>(kind: T, unit: U): T & InUnit<U> {
  return Object.assign(kind, { unit });
}

/** The unit of a kind, whatever makes it optional. */
export function unitOf(kind: z.core.$ZodType): Unit | undefined {
  if (isInUnit(kind)) return kind.unit;
  const isWrapper = kind instanceof z.ZodPrefault || kind instanceof z.ZodNullable || kind instanceof z.ZodOptional;
  return isWrapper ? unitOf(kind.unwrap()) : undefined;
}

/**
 * What the file may say for a kind, in Markdown: `1–256 or "auto"`, `list of text`, `duration from 1ms`.
 *
 * @throws {TypeError} for a schema that no setting has used so far
 */
export function wordsFor(kind: z.core.$ZodType): string {
  const words = alternatives(kind);
  const last = words.at(-1) ?? "";
  return words.length < 2 ? last : `${words.slice(0, -1).join(", ")} or ${last}`;
}

function alternatives(kind: z.core.$ZodType): string[] {
  if (isInUnit(kind) && kind instanceof z.ZodPipe) return amounts(kind.in, kind.unit);
  if (kind instanceof z.ZodPrefault || kind instanceof z.ZodOptional) return alternatives(kind.unwrap());
  if (kind instanceof z.ZodLazy) return alternatives(kind.unwrap());
  if (kind instanceof z.ZodNullable) return [...alternatives(kind.unwrap()), "`null`"];
  if (kind instanceof z.ZodPipe) return alternatives(kind.in);
  if (kind instanceof z.ZodUnion) return [...new Set(kind.options.flatMap((option) => alternatives(option)))];
  if (kind instanceof z.ZodLiteral) return [...kind.values].map(code);
  if (kind instanceof z.ZodEnum) return kind.options.map(code);
  if (kind instanceof z.ZodBoolean) return ["`true`", "`false`"];
  if (kind instanceof z.ZodNumber) return [`${kind.minValue}–${kind.maxValue}`];
  if (kind instanceof z.ZodArray) return [`list of ${wordsFor(kind.element)}`];
  if (kind instanceof z.ZodString) return ["text"];
  if (kind instanceof z.ZodObject || kind instanceof z.ZodRecord) return ["object"];
  throw new TypeError(`no words for the kind ${kind._zod.def.type}`);
}

/** A duration or a size may be text or a number, but is one kind to whoever writes it. */
function amounts(written: z.core.$ZodType, unit: Unit): string[] {
  const options = written instanceof z.ZodUnion ? written.options : [written];
  return options.filter((option) => !(option instanceof z.ZodString)).flatMap((option) => {
    if (!(option instanceof z.ZodNumber)) return alternatives(option);
    const [least, most] = [option.minValue ?? 0, option.maxValue ?? Infinity];
    return unit === "Ms"
      ? amount("duration", formatDuration, least, most === MAX_TIMER_MS ? undefined : most)
      : amount("size", formatSize, least, most < Number.MAX_SAFE_INTEGER ? most : undefined);
  });
}

function amount(name: string, format: (value: number) => string, least: number, most: number | undefined): string {
  if (most !== undefined) return `${name}, ${format(least)}–${format(most)}`;
  return least === 0 ? name : `${name} from ${format(least)}`;
}

function code(value: unknown): string {
  return `\`${JSON.stringify(value)}\``;
}

function isInUnit(kind: object): kind is InUnit {
  return "unit" in kind;
}
