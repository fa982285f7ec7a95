/** Reads what the API server sends: pages of a list, and events of a watch. */

import * as z from "zod";
import { readAnswer } from "../asking.ts";
import { type EndpointSlice, type GoneSlice, readBookmark, readGoneSlice, readSlice } from "./endpoint_slice.ts";
import { errorEvent } from "./refusals.ts";

/** A part of a list. */
export interface Page {
  readonly slices: readonly EndpointSlice[];
  readonly version: string;
  /** Asks for the next page; empty after the last one. */
  readonly next: string;
}

const page = z.object({
  kind: z.literal("EndpointSliceList"),
  metadata: z.object({
    resourceVersion: z.string().min(1, "a resource version").max(128, "a resource version"),
    continue: z.string().max(64 * 1024).nullish(),
  }),
  items: z.array(z.unknown()).max(4096, "at most 4096 EndpointSlices").nullable(),
});

/** @throws {SourceError} with the place of the first error */
export function readPage(value: unknown, service: string): Page {
  const { metadata, items } = readAnswer(page, value, "the list");
  return {
    slices: (items ?? []).map((item) => readSlice(item, service)),
    version: metadata.resourceVersion,
    next: metadata.continue ?? "",
  };
}

/** What happened to the slices. A bookmark says only that nothing else happened up to a version. */
export type WatchEvent =
  | { readonly kind: "slice"; readonly slice: EndpointSlice | GoneSlice; readonly version: string }
  | { readonly kind: "bookmark"; readonly version: string };

const event = z.object({ type: z.enum(["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]), object: z.unknown() });

/** @throws {SourceError} for what can't be read, and for the error that the API server reports by an event */
export function readEvent(value: unknown, service: string): WatchEvent {
  const { type, object } = readAnswer(event, value, "an event");
  switch (type) {
    case "ERROR":
      throw errorEvent(object);
    case "BOOKMARK":
      return { kind: "bookmark", version: readBookmark(object) };
    default: {
      const slice = type === "DELETED" ? readGoneSlice(object) : readSlice(object, service);
      return { kind: "slice", slice, version: slice.version };
    }
  }
}
