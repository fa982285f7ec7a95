/** A TLS connection of `node:tls` as a `Link`. `node:tls` can change certificates while it listens. */

import type { TLSSocket } from "node:tls";
import type { Link } from "./link.ts";
import type { LinkStream } from "./link_stream.ts";

interface Reading {
  readonly into: Uint8Array;
  readonly resolve: (count: number | null) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The source that a `TLSSocket` reads from. A paused socket continues to read and keeps everything in memory, so the
 * source must be stopped.
 */
interface Source {
  readStart(): void;
  readStop(): void;
}

/**
 * The most bytes of one write. The socket reports a write only when all of it was sent. Writes of this size show that
 * the peer takes bytes.
 */
const MOST_WRITTEN = 64 * 1024;

/** A socket whose bytes are read into the caller's buffers. One read at a time. */
export class NodeLink implements Link {
  readonly #socket: TLSSocket;
  readonly #carrier: LinkStream | TLSSocket;
  readonly #source: Source | undefined;
  #paused = false;
  /** Bytes that arrived while nobody read. The socket is then paused. */
  #rest: Uint8Array | undefined;
  #reading: Reading | undefined;
  #ended = false;
  #error: unknown;

  /** @param stream the stream below the socket; `undefined`: the socket has made its own connection */
  constructor(socket: TLSSocket, stream?: LinkStream) {
    this.#socket = socket;
    this.#carrier = stream ?? socket;
    this.#source = stream ?? sourceOf(socket);
    socket.setNoDelay(true);
    socket.on("data", (chunk: Uint8Array) => this.#came(chunk));
    socket.on("end", () => this.#end(undefined));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the connection was closed")));
    this.#pause();
  }

  read(into: Uint8Array): Promise<number | null> {
    const rest = this.#rest;
    if (rest !== undefined) {
      this.#rest = rest.length > into.length ? rest.subarray(into.length) : undefined;
      into.set(rest.subarray(0, into.length));
      return Promise.resolve(Math.min(rest.length, into.length));
    }
    if (this.#ended) return this.#error === undefined ? Promise.resolve(null) : Promise.reject(this.#error);
    return new Promise((resolve, reject) => {
      this.#reading = { into, resolve, reject };
      this.#resume();
    });
  }

  write(bytes: Uint8Array): Promise<number> {
    const part = bytes.length > MOST_WRITTEN ? bytes.subarray(0, MOST_WRITTEN) : bytes;
    return new Promise((resolve, reject) => {
      this.#socket.write(part, (error) => error ? reject(error) : resolve(part.length));
    });
  }

  closeWrite(): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#socket.once("close", resolve); // if the socket is destroyed, `end` never calls back
      this.#socket.end(resolve);
    });
  }

  setKeepAlive(on: boolean): void {
    this.#carrier.setKeepAlive(on);
  }

  close(): void {
    this.#socket.destroy();
    this.#end(new Error("the connection was closed"));
  }

  #came(chunk: Uint8Array): void {
    const reading = this.#reading;
    if (reading === undefined) {
      // The socket reads a little more after it was told to pause.
      this.#rest = this.#rest === undefined ? chunk : joined(this.#rest, chunk);
      this.#pause();
      return;
    }
    this.#reading = undefined;
    const count = Math.min(chunk.length, reading.into.length);
    reading.into.set(chunk.subarray(0, count));
    if (count < chunk.length) {
      this.#rest = chunk.subarray(count);
      this.#pause();
    }
    reading.resolve(count);
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
    this.#source?.readStop();
  }

  #resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#source?.readStart();
    this.#socket.resume();
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    const reading = this.#reading;
    this.#reading = undefined;
    if (error === undefined) reading?.resolve(null);
    else reading?.reject(error);
  }
}

/** The TCP connection that a socket has made itself. There is no public API for it. */
function sourceOf(socket: TLSSocket): Source | undefined {
  const { _handle: handle } = socket as TLSSocket & { readonly _handle?: { readonly _parent?: Partial<Source> } };
  const source = handle?._parent;
  const stops = typeof source?.readStop === "function" && typeof source.readStart === "function";
  return stops ? source as Source : undefined;
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const all = new Uint8Array(one.length + other.length);
  all.set(one);
  all.set(other, one.length);
  return all;
}
