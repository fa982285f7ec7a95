/**
 * Reads HTTP/1.1 with llhttp, Node's parser, as undici ships it in WebAssembly, with none of its leniencies: what a
 * well-kept parser says of a message.
 */

import type { Buffer } from "node:buffer";
import { ERROR, METHODS as METHOD_CODES, TYPE } from "undici/lib/llhttp/constants.js";
import wasm from "undici/lib/llhttp/llhttp-wasm.js";

/** A message as llhttp reads it. */
export interface LlhttpMessage {
  /** Of a request. */
  method: string;
  target: string;
  /** Of a response. */
  status: number;
  reason: string;
  minorVersion: number;
  /** Names as they were spelled. */
  fields: [name: string, value: string][];
  /** Whether the head has come whole. */
  headComplete: boolean;
  body: string;
  trailers: [name: string, value: string][];
  /** Where the message ends; `undefined`: it goes on. */
  end: number | undefined;
  /** Whether another message may follow; known at the end. */
  keepAlive: boolean;
  /** Whether something else than HTTP follows. */
  upgrade: boolean;
  /** Why llhttp refuses it. */
  error: string | undefined;
}

/** The methods that llhttp knows; it refuses any other. */
export const METHODS: ReadonlySet<string> = new Set(Object.keys(METHOD_CODES));

type Pointer = number;

interface Llhttp {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(bytes: number): Pointer;
  free(pointer: Pointer): void;
  llhttp_alloc(type: number): Pointer;
  llhttp_free(parser: Pointer): void;
  llhttp_execute(parser: Pointer, bytes: Pointer, length: number): number;
  llhttp_get_error_pos(parser: Pointer): Pointer;
  llhttp_get_error_reason(parser: Pointer): Pointer;
  llhttp_get_http_minor(parser: Pointer): number;
  llhttp_get_method(parser: Pointer): number;
  llhttp_get_upgrade(parser: Pointer): number;
  llhttp_method_name(method: number): Pointer;
  llhttp_should_keep_alive(parser: Pointer): number;
}

/** The present message. The callbacks belong to the module, not to a parser. */
let current: LlhttpMessage;

const llhttp = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(wasm)), {
  env: {
    wasm_on_message_begin: () => 0,
    wasm_on_url: (_: Pointer, at: Pointer, length: number) => {
      current.target += textAt(at, length);
      return 0;
    },
    wasm_on_status: (_: Pointer, at: Pointer, length: number) => {
      current.reason += textAt(at, length);
      return 0;
    },
    wasm_on_header_field: (_: Pointer, at: Pointer, length: number) => {
      lines().push([textAt(at, length), ""]);
      return 0;
    },
    wasm_on_header_value: (_: Pointer, at: Pointer, length: number) => {
      const line = lines().at(-1);
      if (line !== undefined) line[1] += textAt(at, length);
      return 0;
    },
    wasm_on_headers_complete: (parser: Pointer, status: number) => {
      current.headComplete = true;
      current.status = status;
      current.minorVersion = llhttp.llhttp_get_http_minor(parser);
      return 0;
    },
    wasm_on_body: (_: Pointer, at: Pointer, length: number) => {
      current.body += textAt(at, length);
      return 0;
    },
    wasm_on_message_complete: (parser: Pointer) => {
      current.keepAlive = llhttp.llhttp_should_keep_alive(parser) === 1;
      return ERROR["PAUSED"];
    },
  },
}).exports as unknown as Llhttp;
llhttp._initialize();

/** Reads the first message in `bytes`. */
export function readWithLlhttp(type: "REQUEST" | "RESPONSE", bytes: Buffer): LlhttpMessage {
  current = {
    method: "",
    target: "",
    status: 0,
    reason: "",
    minorVersion: 0,
    fields: [],
    headComplete: false,
    body: "",
    trailers: [],
    end: undefined,
    keepAlive: false,
    upgrade: false,
    error: undefined,
  };
  const parser = llhttp.llhttp_alloc(TYPE[type] ?? 0);
  const at = llhttp.malloc(bytes.length);
  try {
    new Uint8Array(llhttp.memory.buffer).set(bytes, at);
    const code = llhttp.llhttp_execute(parser, at, bytes.length);
    current.upgrade = llhttp.llhttp_get_upgrade(parser) === 1;
    if (type === "REQUEST") current.method = textOf(llhttp.llhttp_method_name(llhttp.llhttp_get_method(parser)));
    if (code === ERROR["PAUSED"] || code === ERROR["PAUSED_UPGRADE"]) {
      current.end = llhttp.llhttp_get_error_pos(parser) - at;
    } else if (code !== ERROR["OK"]) current.error = textOf(llhttp.llhttp_get_error_reason(parser));
    return current;
  } finally {
    llhttp.free(at);
    llhttp.llhttp_free(parser);
  }
}

/** Receives field lines. */
function lines(): [name: string, value: string][] {
  return current.headComplete ? current.trailers : current.fields;
}

function textAt(at: Pointer, length: number): string {
  return new Uint8Array(llhttp.memory.buffer, at, length)
    .reduce((text, byte) => text + String.fromCharCode(byte), "");
}

/** A text that ends with a 0. */
function textOf(at: Pointer): string {
  const bytes = new Uint8Array(llhttp.memory.buffer, at);
  return textAt(at, bytes.indexOf(0));
}
